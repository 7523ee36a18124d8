// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, fifth part: the way back from an upgrade of a mount's storage.
//
// The mark is one transaction: the record says that the view is being put back, and which number
// and version the mount has then. From the mark on there is no way back: whoever starts the mount,
// this broker or another, puts the view back first. What can be refused is refused before it.
#include <fmt/format.h>

#include "broker/broker_core.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/refusal.hpp"
#include "broker/storage_upgrade.hpp"

namespace bulkhead {

namespace {

[[noreturn]] void refuse_rollback(const mount_record& of, std::string why, std::string remedy) {
  refuse(error_kind::failed_precondition, fmt::format("'{}' cannot be rolled back", of.spec.path),
         std::move(why), std::move(remedy));
}

void demand_snapshot(const mount_record& of) {
  const auto state = state_of_snapshot(of);
  if (!state || state == snapshot_state::copying)
    refuse_rollback(
        of, "there is no snapshot: no upgrade has migrated its storage, or it was rolled back",
        fmt::format("bulkhead status {}", of.spec.path));
  if (state == snapshot_state::migrating)
    refuse_rollback(of, "its storage is being migrated",
                    fmt::format("bulkhead stop {}", of.spec.path));
}

}  // namespace

/// The release that ran before; null: an unregistered file did.
std::shared_ptr<const release> broker_core::check_rollback(const mount_entry& entry) const {
  demand_snapshot(entry);
  const auto& version = entry.snapshot->version;
  if (version.empty()) return nullptr;
  auto before = services_.catalog->find({entry.spec.kind, entry.spec.plugin, version});
  if (before == nullptr)
    refuse_rollback(
        entry, fmt::format("the release {} that ran before is not registered any more", version),
        fmt::format("bulkhead plugin register {} --version {}", entry.spec.plugin, version));
  return before;
}

kj::Promise<mount_snapshot> broker_core::rollback(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_settled(path);
    auto entry = route.entry;
    auto before = check_rollback(*entry);
    route.work = mount_work::rolling_back;
    return demand_startable(services_, *entry, before)
        .catch_([entry, before](kj::Exception&& problem) {
          const auto why = to_error(problem);
          refuse_rollback(*entry,
                          fmt::format("the release {} that ran before could not start: {}: {}",
                                      before->spec.version, why.what(), why.why()),
                          why.remedy());
        })
        .then([this, entry] { return return_to_snapshot(entry); })
        .then([this, entry] { return start_as_before(entry); })
        .attach(kj::defer([this, entry] {
          if (auto* now = route_of(*entry)) now->work = mount_work::none;
        }));
  });
}

kj::Promise<void> broker_core::return_to_snapshot(entry_ptr entry) {
  const auto mark = [](mount_record& record) {
    demand_snapshot(record);  // an upgrade may have begun meanwhile
    const auto& before = *record.snapshot;
    record.storage_version = before.storage_version;
    if (!before.version.empty()) record.spec.version = record.version_running = before.version;
    record.snapshot->state = snapshot_state::restoring;
  };
  return change_record(entry, mark)
      .then([this, entry] {
        services_.events.record(
            entry->spec.path, entry->generations_used, "rolling_back",
            fmt::format("to {}; what was written since is lost", snapshot_text(*entry->snapshot)));
        return halt(entry);
      })
      .then([this, entry] {
        return settle_storage(services_, entry).catch_([entry](kj::Exception&& problem) {
          // What is left of the snapshot when the view is back is removed before the start, or
          // later.
          if (!entry->snapshot || entry->snapshot->state != snapshot_state::copying)
            kj::throwFatalException(kj::mv(problem));
        });
      });
}

/// Resolves when no instance of the mount lives.
kj::Promise<void> broker_core::halt(const entry_ptr& entry) {
  const auto& route = require(entry->spec.path);
  if (!route.actor || parent_.absence(entry->spec.path)) return kj::READY_NOW;
  return ask_.ask<mount_snapshot>(route.actor, mount_halt{})
      .then([entry](mount_snapshot&&) -> kj::Promise<void> {
        if (entry->become_alone) return entry->become_alone();
        return kj::READY_NOW;
      });
}

kj::Promise<mount_snapshot> broker_core::start_as_before(const entry_ptr& entry) {
  const auto& path = entry->spec.path;
  auto started = parent_.absence(path)
                     ? revive(entry, true, false)
                     : ask_.ask<mount_snapshot>(require(path).actor, mount_start{true});
  return started.then([this, entry](mount_snapshot&& now) {
    services_.events.record(entry->spec.path, now.status.generation, "rolled_back",
                            now.start_failure);
    return kj::mv(now);
  });
}

}  // namespace bulkhead
