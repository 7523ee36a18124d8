// SPDX-License-Identifier: Apache-2.0
#include "broker/store/async_store.hpp"

#include <exception>
#include <utility>

#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

schema::ErrorKind kind_of(store_fault fault) {
  switch (fault) {
    case store_fault::invalid:
    case store_fault::future_revision:
      return schema::ErrorKind::INVALID_ARGUMENT;
    case store_fault::compacted:
      return schema::ErrorKind::FAILED_PRECONDITION;
    case store_fault::lease_not_found:
      return schema::ErrorKind::NOT_FOUND;
    case store_fault::limit:
      return schema::ErrorKind::OVERLOADED;
    case store_fault::disk_full:
    case store_fault::io_error:
    case store_fault::read_only:
    case store_fault::corrupt:
    case store_fault::foreign:
    case store_fault::locked:
    case store_fault::schema_too_new:
    case store_fault::exposed:
    case store_fault::wrong_key:
      return schema::ErrorKind::STORAGE;
    case store_fault::exists:
      return schema::ErrorKind::ALREADY_EXISTS;
    case store_fault::closed:
      return schema::ErrorKind::BROKER_STOPPING;
    case store_fault::internal:
      return schema::ErrorKind::INTERNAL;
  }
  return schema::ErrorKind::INTERNAL;
}

}  // namespace

kj::Exception store_exception(const store_failure& failure) {
  wire::error_info info;
  info.kind = kind_of(failure.fault);
  info.what = failure.what;
  info.why = failure.why;
  info.remedy = failure.remedy;
  info.detail.emplace_back("fault", std::string(fault_name(failure.fault)));
  return wire::make_exception(info);
}

template <class F>
auto inline_async_store::attempt(F&& operation) -> kj::Promise<decltype(operation())> {
  try {
    return operation();
  } catch (const store_error& error) {
    return store_exception(error.failure());
  }
}

kj::Promise<range_result> inline_async_store::range(range_request request) {
  return attempt([&] { return engine_.range(request); });
}

kj::Promise<txn_result> inline_async_store::txn(txn_request request) {
  auto promise = attempt([&] { return engine_.txn(request); });
  tell_waiting();
  return promise;
}

kj::Promise<lease_info> inline_async_store::grant(std::uint64_t ttl_ms) {
  return attempt([&] { return engine_.grant(ttl_ms); });
}

kj::Promise<lease_info> inline_async_store::keep_alive(std::uint64_t lease) {
  return attempt([&] { return engine_.keep_alive(lease); });
}

kj::Promise<std::uint64_t> inline_async_store::revoke(std::uint64_t lease) {
  auto promise = attempt([&] { return engine_.revoke(lease); });
  tell_waiting();
  return promise;
}

kj::Promise<changes_result> inline_async_store::changes_since(changes_request request) {
  return attempt([&] { return engine_.changes_since(request); });
}

kj::Promise<changes_result> inline_async_store::await_changes(changes_request request) {
  try {
    if (auto result = changes_if_any(engine_, request)) return kj::mv(*result);
  } catch (const store_error& error) {
    return store_exception(error.failure());
  }
  auto pair = kj::newPromiseAndFulfiller<changes_result>();
  waiting_.push_back({std::move(request), kj::mv(pair.fulfiller)});
  return kj::mv(pair.promise);
}

kj::Promise<void> inline_async_store::compact(std::uint64_t revision) {
  try {
    engine_.compact(revision);
  } catch (const store_error& error) {
    return store_exception(error.failure());
  }
  tell_waiting();
  return kj::READY_NOW;
}

kj::Promise<store_status> inline_async_store::status() {
  return attempt([&] { return engine_.status(); });
}

kj::Promise<backup_result> inline_async_store::backup(std::string file) {
  return attempt([&] { return bulkhead::backup(engine_, file); });
}

kj::Promise<std::uint64_t> inline_async_store::rotate_key() {
  return attempt([&] {
    engine_.rotate_key();
    while (engine_.maintain()) {
    }
    const auto status = engine_.status();
    if (status.rewrite_failure) throw store_error(*status.rewrite_failure);
    return status.rewritten;
  });
}

void inline_async_store::expire() {
  engine_.expire();
  tell_waiting();
}

void inline_async_store::tell_waiting() {
  for (auto entry = waiting_.begin(); entry != waiting_.end();) {
    if (!entry->fulfiller->isWaiting()) {
      entry = waiting_.erase(entry);
      continue;
    }
    try {
      auto result = changes_if_any(engine_, entry->request);
      if (!result) {
        ++entry;
        continue;
      }
      entry->fulfiller->fulfill(kj::mv(*result));
    } catch (const store_error& error) {
      entry->fulfiller->reject(store_exception(error.failure()));
    }
    entry = waiting_.erase(entry);
  }
}

}  // namespace bulkhead
