// SPDX-License-Identifier: Apache-2.0
#include "broker/view.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "broker/store/wipe.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

[[noreturn]] void refuse(schema::ErrorKind kind, std::string what, std::string why,
                         std::string remedy = {}) {
  wire::error_info info;
  info.kind = kind;
  info.what = std::move(what);
  info.why = std::move(why);
  info.remedy = std::move(remedy);
  kj::throwFatalException(wire::make_exception(info));
}

[[noreturn]] void refuse_conflict(std::string why) {
  refuse(schema::ErrorKind::CONFLICT, "the view was not changed", std::move(why),
         "read the key again and decide anew");
}

std::string_view bytes_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::string_view bytes_of(capnp::Data::Reader data) {
  auto chars = data.asChars();
  return {chars.begin(), chars.size()};
}

/// Length of the UTF-8 sequence that `text` begins with; 0: it begins with none. Overlong forms,
/// surrogates and what lies above U+10FFFF are none.
std::size_t sequence_bytes(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead < 0xc2   ? 0
                           : lead < 0xe0 ? 2
                           : lead < 0xf0 ? 3
                           : lead < 0xf5 ? 4
                                         : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0U) != 0x80U) return 0;
  }
  if (lead == 0xe0 && at(1) < 0xa0) return 0;
  if (lead == 0xed && at(1) > 0x9f) return 0;
  if (lead == 0xf0 && at(1) < 0x90) return 0;
  if (lead == 0xf4 && at(1) > 0x8f) return 0;
  return size;
}

/// The rules of a key but for its being there: also those of a prefix.
std::string check_text(std::string_view text) {
  if (text.size() > view_key_bytes_max) {
    return fmt::format("it has {} bytes, the limit is {}", text.size(), view_key_bytes_max);
  }
  if (text.find('\0') != std::string_view::npos) return "it holds a NUL";
  while (!text.empty()) {
    const auto size = sequence_bytes(text);
    if (size == 0) return "it is not UTF-8";
    text.remove_prefix(size);
  }
  return {};
}

void require(std::string problem, std::string_view name) {
  if (problem.empty()) return;
  refuse(schema::ErrorKind::INVALID_ARGUMENT, fmt::format("the view refused a {}", name),
         std::move(problem));
}

void require_value(capnp::Data::Reader value) {
  if (value.size() <= view_value_bytes_max) return;
  require(fmt::format("it has {} bytes, the limit is {}", value.size(), view_value_bytes_max),
          "value");
}

/// Adds the condition, if there is one. A key that is not there has revision 0.
void add_expect(txn_request& request, const std::string& key, schema::Expect::Reader expect) {
  switch (expect.which()) {
    case schema::Expect::ANYTHING:
      return;
    case schema::Expect::ABSENT:
      request.compares.push_back(txn_compare::absent(key));
      return;
    case schema::Expect::REVISION:
      request.compares.push_back(txn_compare::unchanged(key, expect.getRevision()));
      return;
  }
  refuse(schema::ErrorKind::INVALID_ARGUMENT, "the view refused a condition",
         "this version does not know it");
}

class view_server final : public schema::View::Server {
 public:
  view_server(async_store& store, std::string prefix, std::shared_ptr<void> owner)
      : store_(store), owner_(std::move(owner)), prefix_(std::move(prefix)) {}

  kj::Promise<void> get(GetContext context) override {
    range_request request;
    request.keys = key_range::one(stored_key(context.getParams().getKey()));
    request.limit = 1;
    context.releaseParams();
    return store_.range(std::move(request)).then([context](range_result&& found) mutable {
      auto results = context.getResults();
      if (found.rows.empty()) return;
      auto& row = found.rows.front();
      results.setFound(true);
      results.setValue(kj::arrayPtr(row.value.data(), row.value.size()).asBytes());
      wipe(row.value);
      results.setRevision(row.mod_revision);
    });
  }

  kj::Promise<void> put(PutContext context) override {
    const auto params = context.getParams();
    auto key = stored_key(params.getKey());
    require_value(params.getValue());
    txn_request request;
    add_expect(request, key, params.getExpect());
    request.then.push_back(txn_op::put(std::move(key), std::string(bytes_of(params.getValue()))));
    context.releaseParams();
    return store_.txn(std::move(request)).then([context](txn_result&& done) mutable {
      if (!done.succeeded) refuse_conflict("the key is not as expected");
      context.getResults().setRevision(done.revision);
    });
  }

  kj::Promise<void> delete_(DeleteContext context) override {
    const auto params = context.getParams();
    auto key = stored_key(params.getKey());
    txn_request request;
    add_expect(request, key, params.getExpect());
    request.then.push_back(txn_op::erase(std::move(key)));
    context.releaseParams();
    return store_.txn(std::move(request)).then([context](txn_result&& done) mutable {
      if (!done.succeeded) refuse_conflict("the key is not as expected");
      context.getResults().setExisted(done.responses.front().existed);
    });
  }

  kj::Promise<void> list(ListContext context) override {
    const auto params = context.getParams();
    const auto prefix = bytes_of(params.getPrefix());
    const auto after = bytes_of(params.getAfter());
    require(check_text(prefix), "prefix");
    require(check_text(after), "key to list after");
    range_request request;
    request.keys = key_range::prefix(prefix_ + std::string(prefix));
    if (!after.empty()) request.after = prefix_ + std::string(after);
    const auto limit = params.getLimit();
    request.limit = limit == 0 ? view_page_keys_max : std::min(limit, view_page_keys_max);
    request.keys_only = true;
    context.releaseParams();
    const auto skip = prefix_.size();
    return store_.range(std::move(request)).then([context, skip](range_result&& found) mutable {
      auto results = context.getResults();
      auto keys = results.initKeys(static_cast<unsigned>(found.rows.size()));
      for (unsigned i = 0; i < keys.size(); ++i) {
        const auto& key = found.rows[i].key;
        keys.set(i, capnp::Text::Reader(key.c_str() + skip, key.size() - skip));
      }
      results.setMore(found.more);
    });
  }

  kj::Promise<void> transact(TransactContext context) override {
    const auto changes = context.getParams().getChanges();
    if (changes.size() > view_changes_max) {
      require(fmt::format("it has {} changes, the limit is {}", changes.size(), view_changes_max),
              "transaction");
    }
    txn_request request;
    for (auto change : changes) {
      auto key = stored_key(change.getKey());
      add_expect(request, key, change.getExpect());
      switch (change.which()) {
        case schema::Change::PUT:
          require_value(change.getPut());
          request.then.push_back(
              txn_op::put(std::move(key), std::string(bytes_of(change.getPut()))));
          break;
        case schema::Change::DELETE:
          request.then.push_back(txn_op::erase(std::move(key)));
          break;
        case schema::Change::CHECK:
          break;
        default:
          require("this version does not know it", "change");
      }
    }
    context.releaseParams();
    return store_.txn(std::move(request)).then([context](txn_result&& done) mutable {
      if (!done.succeeded) refuse_conflict("a key is not as expected");
      context.getResults().setRevision(done.revision);
    });
  }

 private:
  std::string stored_key(capnp::Text::Reader key) const {
    const auto bytes = bytes_of(key);
    require(check_view_key(bytes), "key");
    return prefix_ + std::string(bytes);
  }

  async_store& store_;
  std::shared_ptr<void> owner_;  // of the store, where it has one
  const std::string prefix_;
};

kj::Promise<std::uint64_t> delete_page(async_store& store, std::string prefix,
                                       std::uint64_t removed) {
  range_request request;
  request.keys = key_range::prefix(prefix);
  request.limit = static_cast<std::uint32_t>(store_limits::txn_ops_max);
  request.keys_only = true;
  return store.range(std::move(request))
      .then([&store, prefix = std::move(prefix),
             removed](range_result&& page) mutable -> kj::Promise<std::uint64_t> {
        if (page.rows.empty()) return removed;
        txn_request erase;
        for (auto& row : page.rows) erase.then.push_back(txn_op::erase(std::move(row.key)));
        const auto count = erase.then.size();
        return store.txn(std::move(erase))
            .then([&store, prefix = std::move(prefix), sum = removed + count](
                      txn_result&&) mutable { return delete_page(store, std::move(prefix), sum); });
      });
}

std::string_view checked_uuid(std::string_view uuid) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  };
  if (uuid.empty() || uuid.size() > 64 || !std::all_of(uuid.begin(), uuid.end(), allowed)) {
    throw std::invalid_argument("a view needs the uuid of a mount");
  }
  return uuid;
}

}  // namespace

std::string check_view_key(std::string_view key) {
  if (key.empty()) return "it is empty";
  return check_text(key);
}

std::string view_prefix(std::string_view uuid) {
  return fmt::format("view/{}/", checked_uuid(uuid));
}

std::string snapshot_prefix(std::string_view uuid) {
  return fmt::format("snapshot/{}/", checked_uuid(uuid));
}

schema::View::Client make_view(async_store& store, std::string_view uuid) {
  return kj::heap<view_server>(store, view_prefix(uuid), nullptr);
}

schema::View::Client make_view(std::shared_ptr<async_store> store, std::string_view uuid) {
  auto& used = *store;
  return kj::heap<view_server>(used, view_prefix(uuid), std::move(store));
}

kj::Promise<std::uint64_t> delete_view(async_store& store, std::string_view uuid) {
  return delete_page(store, view_prefix(uuid), 0);
}

kj::Promise<std::uint64_t> delete_keys_below(async_store& store, std::string prefix) {
  KJ_REQUIRE(!prefix.empty());
  return delete_page(store, std::move(prefix), 0);
}

}  // namespace bulkhead
