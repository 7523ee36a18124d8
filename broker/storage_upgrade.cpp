// SPDX-License-Identifier: Apache-2.0
#include "broker/storage_upgrade.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <utility>

#include "broker/convert.hpp"
#include "broker/refusal.hpp"
#include "broker/store/store_limits.hpp"
#include "broker/trust/utc_time.hpp"
#include "broker/upgrade_rules.hpp"
#include "broker/view.hpp"

namespace bulkhead {
namespace {

using entry_ptr = std::shared_ptr<mount_entry>;

struct copy_run {
  std::string from;
  std::string to;                // empty: only weighed
  std::string after;             // goes on behind this key
  std::uint64_t bytes_left = 0;  // that it may still copy
  std::uint64_t bytes_max = 0;
};

/// Counts the rows; fails when they are too many.
void count_bytes(copy_run& run, const std::vector<store_row>& rows) {
  std::uint64_t bytes = 0;
  for (const auto& row : rows) bytes += row.key.size() - run.from.size() + row.value.size();
  if (bytes > run.bytes_left)
    refuse(error_kind::invalid_argument, "has too much stored for a snapshot",
           fmt::format("the limit is {} bytes (snapshot_bytes_max)", run.bytes_max));
  run.bytes_left -= bytes;
}

kj::Promise<void> write_page(async_store& store, const copy_run& run, std::vector<store_row> rows) {
  if (run.to.empty()) return kj::READY_NOW;
  txn_request write;
  for (auto& row : rows)
    write.then.push_back(
        txn_op::put(run.to + row.key.substr(run.from.size()), std::move(row.value)));
  return store.txn(std::move(write)).ignoreResult();
}

kj::Promise<void> copy_page(async_store& store, copy_run run) {
  range_request request;
  request.keys = key_range::prefix(run.from);
  request.after = run.after;
  request.limit = static_cast<std::uint32_t>(store_limits::txn_ops_max);
  return store.range(std::move(request))
      .then([&store, run = std::move(run)](range_result&& page) mutable -> kj::Promise<void> {
        if (page.rows.empty()) return kj::READY_NOW;
        count_bytes(run, page.rows);
        run.after = page.rows.back().key;
        auto written = write_page(store, run, std::move(page.rows));
        if (!page.more) return written;
        return written.then(
            [&store, run = std::move(run)]() mutable { return copy_page(store, std::move(run)); });
      });
}

kj::Promise<void> set_state(broker_services& services, const entry_ptr& entry,
                            snapshot_state state) {
  return services.change_record(
      entry, [state](mount_record& record) { record.snapshot.value().state = state; });
}

kj::Promise<void> drop_snapshot(broker_services& services, const entry_ptr& entry) {
  return delete_keys_below(services.store, snapshot_prefix(entry->uuid))
      .ignoreResult()
      .then([&services, entry] {
        return services.change_record(entry, [](mount_record& record) { record.snapshot.reset(); });
      });
}

/// The copy is whole as long as the record says `restoring`: doing it again does no harm.
kj::Promise<void> put_back(broker_services& services, const entry_ptr& entry) {
  auto& store = services.store;
  return delete_keys_below(store, view_prefix(entry->uuid))
      .ignoreResult()
      .then([&store, entry] {
        return copy_keys(store, snapshot_prefix(entry->uuid), view_prefix(entry->uuid));
      })
      .then([&services, entry] { return set_state(services, entry, snapshot_state::copying); })
      .then([&services, entry] {
        services.events.record(
            entry->spec.path, entry->generations_used, "storage_restored",
            fmt::format("it is that of storage version {}", entry->snapshot->storage_version));
      });
}

/// What is to be done with the view and the copy.
void decide(mount_record& record) {
  if (state_of_snapshot(record) == snapshot_state::migrating)
    record.snapshot->state = snapshot_state::restoring;
}

/// That is written once more before anything is deleted: a write that failed may have been done,
/// and one that nobody waited for any more may have been under way.
kj::Promise<void> settle(broker_services& services, const entry_ptr& entry) {
  if (entry->removing || !is_unsettled(state_of_snapshot(*entry))) return kj::READY_NOW;
  return services.change_record(entry, decide).then([&services, entry]() -> kj::Promise<void> {
    if (state_of_snapshot(*entry) == snapshot_state::restoring)
      return put_back(services, entry).then([&services, entry] {
        return drop_snapshot(services, entry);
      });
    if (state_of_snapshot(*entry) == snapshot_state::copying) return drop_snapshot(services, entry);
    return kj::READY_NOW;
  });
}

}  // namespace

kj::Promise<void> copy_keys(async_store& store, std::string from, std::string to,
                            std::uint64_t bytes_max) {
  KJ_REQUIRE(!from.empty() && !to.empty());
  return copy_page(store, {std::move(from), std::move(to), {}, bytes_max, bytes_max});
}

kj::Promise<bool> has_stored(async_store& store, const std::string& uuid) {
  range_request request;
  request.keys = key_range::prefix(view_prefix(uuid));
  request.limit = 1;
  request.keys_only = true;
  return store.range(std::move(request)).then([](range_result&& found) {
    return !found.rows.empty();
  });
}

void demand_settled(const mount_record& record) {
  if (is_unsettled(state_of_snapshot(record)))
    refuse(error_kind::failed_precondition, "cannot use what is stored",
           "the storage is being put back");
}

bool rolls_back(const mount_record& record) {
  return state_of_snapshot(record) == snapshot_state::restoring;
}

void write_release(mount_record& record, const release* of) {
  if (of == nullptr || rolls_back(record)) return;
  record.version_running = of->spec.version;
  record.spec.kind = of->spec.kind;
}

kj::Promise<void> take_snapshot(broker_services& services, entry_ptr entry) {
  const auto begin = [now = unix_ms_now()](mount_record& record) {
    demand_settled(record);
    record.snapshot = storage_snapshot{record.storage_version, record.version_running, now,
                                       snapshot_state::copying};
  };
  const auto bytes_max = services.limits.snapshot_bytes_max;
  // The copy before is given up only for one that fits.
  return copy_page(services.store, {view_prefix(entry->uuid), {}, {}, bytes_max, bytes_max})
      .then([&services, entry, begin] { return services.change_record(entry, begin); })
      .then([&services, entry] {
        return delete_keys_below(services.store, snapshot_prefix(entry->uuid)).ignoreResult();
      })
      .then([&services, entry] {
        return copy_keys(services.store, view_prefix(entry->uuid), snapshot_prefix(entry->uuid),
                         services.limits.snapshot_bytes_max);
      })
      .then([&services, entry] { return set_state(services, entry, snapshot_state::migrating); });
}

kj::Promise<void> settle_storage(broker_services& services, entry_ptr entry) {
  auto alone = entry->become_alone ? entry->become_alone() : kj::Promise<void>(kj::READY_NOW);
  return alone.then([entry] { return entry->storage_work.take(); })
      .then([&services, entry](kj::Own<turns::pass>&& turn) {
        return settle(services, entry).attach(kj::mv(turn)).attach(kj::cp(entry));
      });
}

void settle_storage_soon(broker_services& services, const entry_ptr& entry) {
  if (!is_unsettled(state_of_snapshot(*entry))) return;
  services.reactor.detach(
      settle_storage(services, entry).catch_([&services, entry](kj::Exception&& problem) {
        services.events.record(entry->spec.path, entry->generations_used, "storage_not_restored",
                               to_error(problem).what());
      }));
}

std::string snapshot_text(const storage_snapshot& what) {
  return fmt::format(
      "{}, {}",
      what.version.empty() ? fmt::format("storage version {}", what.storage_version) : what.version,
      trust::utc_from_unix_ms(what.taken_unix_ms));
}

void show_storage(const mount_entry& entry, mount_status& status) {
  status.storage_version = entry.storage_version;
  if (!entry.snapshot || entry.snapshot->state != snapshot_state::kept) return;
  status.snapshot = snapshot_text(*entry.snapshot);
}

}  // namespace bulkhead
