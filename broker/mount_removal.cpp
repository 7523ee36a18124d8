// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, third part: how a mount goes away.
//
//     mark the record ── refuse calls ── drain ── plugin's unmount, stop ── delete view, snapshot
//                                                                       ── erase the record
//
// Each step may be done twice, so a removal that was cut short is done again from its beginning;
// what went before the mark left no trace. It goes on without whoever asked for it.
#include <fmt/format.h>
#include <kj/debug.h>

#include "broker/broker_core.hpp"
#include "broker/refusal.hpp"
#include "broker/view.hpp"

namespace bulkhead {
namespace {

constexpr const char* by_operator = "an operator removed the mount";

}  // namespace

kj::Promise<void> broker_core::unmount(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<void> {
    auto& route = require(path);
    const auto& name = route.entry->spec.path;
    if (route.work == mount_work::removing) return await_removal(name);
    if (route.work != mount_work::none)
      refuse(error_kind::failed_precondition, fmt::format("'{}' cannot be unmounted now", name),
             route.work == mount_work::mounting ? "it is being mounted"
                                                : "another change of it is under way");
    auto ended = await_removal(name);
    begin_removal(route);
    return ended;
  });
}

kj::Promise<void> broker_core::await_removal(const std::string& path) {
  auto waiter = kj::newPromiseAndFulfiller<void>();
  removals_[path].push_back(kj::mv(waiter.fulfiller));
  return kj::mv(waiter.promise);
}

void broker_core::begin_removal(mount_route& route) {
  route.work = mount_work::removing;
  route.removal_problem.clear();
  auto entry = route.entry;
  services_.reactor.detach(
      taint(route)
          .then([this, entry] {
            revoke(*entry);
            return stop_actor(entry, mount_stop{services_.limits.drain_ms_max, "unmounted", true});
          })
          .then([this, entry] { return delete_storage(entry); })
          .then([this, entry] { return erase_record(entry); })
          .then([this, entry] { removed(*entry); },
                [this, entry](kj::Exception&& problem) { removal_failed(*entry, problem); }));
}

/// From here on the mount is lost, whatever happens to the broker.
kj::Promise<void> broker_core::taint(const mount_route& route) {
  auto entry = route.entry;
  if (entry->removing) return kj::READY_NOW;
  if (route.unusable.empty())
    return change_record(std::move(entry), [](mount_record& record) { record.removing = true; });
  if (entry->uuid.empty()) return kj::READY_NOW;  // nobody knows which view was its
  // What was there cannot be read as a whole; what is needed to go on is known.
  mount_record marked;
  marked.spec.path = entry->spec.path;
  marked.uuid = entry->uuid;
  marked.removing = true;
  txn_request request;
  request.then.push_back(txn_op::put(mount_key(entry->spec.path), encode_record(marked)));
  return services_.store.txn(std::move(request)).then([entry](txn_result&&) {
    entry->removing = true;
  });
}

/// No call reaches an instance from now on; those in flight may finish.
void broker_core::revoke(mount_entry& entry) const {
  entry.closed = true;
  entry.slot->refuse(exception(error_kind::unmounted,
                               fmt::format("'{}' was unmounted", entry.spec.path), by_operator));
}

/// Deletes the view and the snapshot, a bounded number of keys at a time.
kj::Promise<void> broker_core::delete_storage(const entry_ptr& entry) {
  if (entry->uuid.empty()) return kj::READY_NOW;
  return entry->storage_work.take().then([this, entry](kj::Own<turns::pass>&& turn) {
    auto& store = services_.store;
    return delete_keys_below(store, view_prefix(entry->uuid))
        .ignoreResult()
        .then([&store, entry] { return delete_keys_below(store, snapshot_prefix(entry->uuid)); })
        .ignoreResult()
        .attach(kj::mv(turn))
        .attach(kj::cp(entry));
  });
}

kj::Promise<void> broker_core::erase_record(const entry_ptr& entry) {
  return entry->writes.take().then([this, entry](kj::Own<turns::pass>&& turn) {
    txn_request request;
    request.then.push_back(txn_op::erase(mount_key(entry->spec.path)));
    return services_.store.txn(std::move(request))
        .ignoreResult()
        .attach(kj::mv(turn))
        .attach(kj::cp(entry));
  });
}

void broker_core::removed(mount_entry& entry) {
  const auto path = entry.spec.path;
  erase_route(path);
  services_.events.record(path, entry.generations_used, "unmounted", by_operator);
  auto waiting = removals_.extract(path);
  if (waiting.empty()) return;
  for (auto& each : waiting.mapped()) each->fulfill();
}

/// Before the mark nothing has happened. Behind it the mount stays closed, and whoever unmounts it
/// again goes on.
void broker_core::removal_failed(mount_entry& entry, const kj::Exception& problem) {
  const auto& path = entry.spec.path;
  if (auto* route = route_of(entry)) {
    route->work = mount_work::none;
    if (entry.removing) route->removal_problem = to_error(problem).what();
  }
  if (entry.removing)
    services_.events.record(path, entry.generations_used, "removal_failed",
                            to_error(problem).what());
  auto waiting = removals_.extract(path);
  if (waiting.empty()) return;
  for (auto& each : waiting.mapped()) each->reject(kj::cp(problem));
}

}  // namespace bulkhead
