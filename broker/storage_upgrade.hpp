// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage of a mount goes from one layout to the next, or back, and is never half.
//
//     COPYING ── the view copied below snapshot/<uuid>/ ── MIGRATING ── the plugin's migrate ──
//     KEPT
//                                                              │
//                  none ── COPYING ── the view put back ── RESTORING ── from KEPT, by rollback
//
// What is in capitals is one transaction that writes the mount's record. COPYING says that the copy
// is worth nothing, MIGRATING and RESTORING that the view is: whoever finds one of them, the same
// broker or another, goes on from there with settle_storage, before any instance sees the view.
// Nothing of view or copy is deleted before a write of the record that says so has been
// acknowledged. KEPT comes with the new number and the release that runs, in one transaction.
//
// Views are copied in bounded steps, through the store that the plugins use: values that are
// encrypted are bound to their keys and are sealed anew under the new one.
//
// Limits: one snapshot of a mount is kept (snapshots_kept); an upgrade that begins gives up the one
// before it. A view of more than snapshot_bytes_max is not upgraded. The revisions of keys that
// were put back are new. What the copy costs is linear in the view, in time and on the disk.

#include <kj/async.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "broker/catalog/release.hpp"
#include "broker/services.hpp"

namespace bulkhead {

inline constexpr std::uint64_t snapshots_kept = 1;

/// Copies everything below `from` to below `to`, in order. Nothing changes below `from` meanwhile,
/// and below `to` there is nothing. When keys, without `from`, and values are more than `bytes_max`
/// it fails with invalid_argument, and leaves what it has copied.
kj::Promise<void> copy_keys(async_store& store, std::string from, std::string to,
                            std::uint64_t bytes_max = std::numeric_limits<std::uint64_t>::max());

/// Whether the view of the mount has a key.
kj::Promise<bool> has_stored(async_store& store, const std::string& uuid);

/// Fails while the view is not to be seen. For changes of a record, which wait for their turn: an
/// upgrade, or a rollback, may have begun meanwhile.
void demand_settled(const mount_record& record);

/// The record says what runs when the view is back, and nobody else does.
bool rolls_back(const mount_record& record);

/// Writes into a record that the mount runs this release, unless that is null, or the mount
/// rolls_back().
void write_release(mount_record& record, const release* of);

/// Makes a snapshot of the view; when it resolves the record says `migrating`. No instance writes
/// meanwhile. The caller has the turn (mount_entry::storage_work).
kj::Promise<void> take_snapshot(broker_services& services, std::shared_ptr<mount_entry> entry);

/// Brings a view that is not to be seen into one piece: as it was before the upgrade, or the
/// rollback has asked for it. Takes the turn, when no instance but the newest lives. Without
/// anything to do it does nothing; so it does for a mount that is being removed. If it fails or is
/// dropped, call it again.
kj::Promise<void> settle_storage(broker_services& services, std::shared_ptr<mount_entry> entry);

/// The same, begun and left to itself; a failure is an event.
void settle_storage_soon(broker_services& services, const std::shared_ptr<mount_entry>& entry);

/// "1.2.0, 2026-11-20T10:00:00Z": which release wrote it, and when it was taken.
std::string snapshot_text(const storage_snapshot& what);

/// What status says of the storage.
void show_storage(const mount_entry& entry, mount_status& status);

}  // namespace bulkhead
