// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits of the store, on one page. Each engine enforces the same figures, so that a state
// moves between engines.
//
// Where they come from: etcd's defaults are 1.5 MiB for a request and 128 operations for a
// transaction, and a clustered engine is to stand behind the same interface; a view promises 1 MiB
// for a value and 1024 bytes for a key, to which the store adds the prefix of the mount and room
// for what an encrypting layer puts around a value. Pages are bounded twice, in rows and in bytes,
// because a page is held in memory and travels in one message. At a limit of a request the outcome
// is a failure `invalid` that names the limit and changes nothing; at a limit of a page the page
// ends early and says `more`; at a limit of a table the outcome is `limit`.

#include <cstddef>
#include <cstdint>

namespace bulkhead::store_limits {

/// Shortest and longest key, in bytes. Keys are any bytes, ordered bytewise. Outcome: `invalid`.
constexpr std::size_t key_bytes_min = 1;
constexpr std::size_t key_bytes_max = 2048;

/// Longest value, in bytes: the 1 MiB of a view and 4 KiB around it. Outcome: `invalid`.
constexpr std::size_t value_bytes_max = (std::size_t{1} << 20) + 4096;

/// Most compares, and most operations in either branch, of one transaction. Outcome: `invalid`.
constexpr std::size_t txn_ops_max = 128;

/// Most bytes of keys and values in one transaction: what one frame carries. Outcome: `invalid`.
constexpr std::size_t txn_bytes_max = std::size_t{32} << 20;

/// Most rows, and about the most bytes, of one page of a range or of changes. A page holds at least
/// one row (of changes: one whole revision) whatever its size. Outcome: the page ends and says
/// `more`.
constexpr std::uint32_t page_rows_max = 1000;
constexpr std::size_t page_bytes_max = std::size_t{4} << 20;

/// Most leases at once. Outcome: `limit`.
constexpr std::size_t leases_max = 100'000;

/// Shortest and longest time to live of a lease, in milliseconds (30 days). Outcome: `invalid`.
constexpr std::uint64_t lease_ttl_ms_min = 1;
constexpr std::uint64_t lease_ttl_ms_max = std::uint64_t{30} * 24 * 3600 * 1000;

/// Most keys that one revision takes away when a lease ends. Outcome: the rest goes in the
/// revisions that follow at once.
constexpr std::size_t lease_keys_per_revision = 100'000;

/// Revisions of history that automatic compaction keeps for watchers and for reads in the past.
/// Outcome: older ones answer `compacted`.
constexpr std::uint64_t history_revisions_kept = 1000;

/// Most rows that one step of housekeeping removes. Outcome: the next step goes on.
constexpr std::uint32_t maintain_rows_max = 500;

/// Writes that the store actor puts under one fsync at most. Outcome: the next ones wait for the
/// next group.
constexpr std::size_t group_writes_max = 256;

/// Bytes of keys and values that wait for one group at most. Outcome: the group is committed early.
constexpr std::size_t group_bytes_max = std::size_t{32} << 20;

/// After the disk failed the state is opened again at most this often, in milliseconds. Outcome:
/// writes are refused until then.
constexpr std::uint64_t recover_retry_ms = 5000;

/// Pages of 4 KiB that one step of a backup copies. Outcome: the next step goes on.
constexpr int backup_step_pages = 512;

/// Most changes awaited at once at a store actor. Outcome: `limit`.
constexpr std::size_t awaits_max = 4096;

}  // namespace bulkhead::store_limits
