// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store: where everything lives that must survive the broker. Catalog, mount table, pins,
// policies and the views of plugins are keys in one ordered map, and each change of the map makes a
// new revision, as in etcd.
//
// What it guarantees
//   * A transaction is all or nothing, and when it returns (outside a group) it is durable: a power
//   cut does not undo it.
//   * Revisions grow by one per transaction that changes something, and never repeat. A key carries
//   the revision that created it,
//     that of its last change, and its version: the number of changes since it was created.
//   * Reads see everything acknowledged before them. A read at an older revision sees the map as it
//   was, until that is compacted.
//   * Whoever saw revision R learns each later change, in order and once, from `changes_since(R)`;
//   or learns that it is `compacted`.
//   * A key that was put with a lease goes when the lease ends: by `revoke`, or by `expire` when
//   nobody kept it alive.
// What it does not promise: that this process is the only writer (a clustered engine stands behind
// the same interface), or that a lease ends on the dot: it never ends early, and it may end late.
//
// This is the sync face of an engine: calls block on the disk. One thread at a time. Failures are
// thrown as `store_error`; after a failed call nothing has changed, except that after `io_error`
// the outcome on the disk is unknown until the state is opened again. For promises see
// async_store.hpp; for a thread of its own store_actor.hpp.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/store_failure.hpp"
#include "broker/store/store_limits.hpp"

namespace bulkhead {

/// Milliseconds of a clock that never goes back; the origin does not matter. Injected: tests turn
/// it by hand.
using store_clock = std::function<std::uint64_t()>;

/// A half-open interval of keys, bytewise.
struct key_range {
  std::string begin;               ///< The first key that belongs.
  std::optional<std::string> end;  ///< The first key that does not; nothing: no end.

  static key_range one(std::string_view key);
  static key_range prefix(std::string_view prefix);  ///< An empty prefix is everything.
  static key_range between(std::string_view begin, std::string_view end);
  static key_range all() { return {}; }

  bool contains(std::string_view key) const {
    return key >= begin && (!end || key < std::string_view(*end));
  }
};

/// One key with what the store knows of it.
struct store_row {
  std::string key;
  std::string value;  ///< Bytes; empty where only keys were asked for.
  std::uint64_t create_revision =
      0;  ///< The revision that made the key appear; 0: the key is not there.
  std::uint64_t mod_revision = 0;  ///< The revision of its last change.
  std::uint64_t version = 0;       ///< 1 after creation, and one more per put.
  std::uint64_t lease = 0;         ///< The lease that it goes with; 0: none.

  bool operator==(const store_row&) const = default;
};

struct range_request {
  key_range keys;
  std::string after;  ///< Only keys that sort after this one: the last key of the page before.
                      ///< Empty: from the start.
  std::uint32_t limit = 0;  ///< Most rows; 0, or more than `page_rows_max`, means `page_rows_max`.
  std::uint64_t revision = 0;  ///< Read the map as of this revision; 0: the newest.
  bool keys_only = false;      ///< Leave the values out.
};

struct range_result {
  std::vector<store_row> rows;  ///< In order of keys.
  bool more = false;            ///< There are rows after the last one.
  std::uint64_t revision =
      0;  ///< The newest revision of the store; pass it on to read further pages of the same map.
};

enum class compare_target { version, create_revision, mod_revision, lease, value };
enum class compare_op { equal, not_equal, less, greater };

/// A condition on one key. A key that is not there has version, revisions and lease 0 and an empty
/// value.
struct txn_compare {
  std::string key;
  compare_target target = compare_target::mod_revision;
  compare_op op = compare_op::equal;
  std::uint64_t number = 0;  ///< What to compare with, for all targets but `value`.
  std::string bytes;         ///< What to compare with, for `value`.

  static txn_compare absent(std::string key);
  static txn_compare present(std::string key);
  static txn_compare unchanged(std::string key, std::uint64_t mod_revision);
};

enum class txn_op_kind { put, erase, get };

struct txn_op {
  txn_op_kind kind = txn_op_kind::get;
  std::string key;
  std::string value;        ///< For `put`.
  std::uint64_t lease = 0;  ///< For `put`: the lease to go with; 0: none.

  static txn_op put(std::string key, std::string value, std::uint64_t lease = 0);
  static txn_op erase(std::string key);
  static txn_op get(std::string key);
};

/// If all compares hold, do `then`, else do `otherwise`. A branch changes a key at most once. A
/// `get` sees the puts before it.
struct txn_request {
  std::vector<txn_compare> compares;
  std::vector<txn_op> then;
  std::vector<txn_op> otherwise;
};

struct txn_response {
  bool existed = false;          ///< The key was there before (put, erase), or is there (get).
  std::optional<store_row> row;  ///< For `get`: the key, if it is there.
};

struct txn_result {
  bool succeeded = false;      ///< Which branch ran.
  std::uint64_t revision = 0;  ///< The newest revision after it; unchanged when nothing changed.
  std::vector<txn_response> responses;  ///< One per operation of the branch that ran.
};

struct lease_info {
  std::uint64_t id = 0;
  std::uint64_t ttl_ms = 0;  ///< As granted.
  std::uint64_t remaining_ms =
      0;  ///< Until it may end. A restart of the broker gives the full time again.
};

enum class change_kind { put, erase };

struct store_change {
  change_kind kind = change_kind::put;
  store_row row;  ///< For `erase`: the key, and its revision in `mod_revision`; all else empty.

  bool operator==(const store_change&) const = default;
};

struct changes_request {
  std::uint64_t revision =
      0;  ///< The last revision that the caller knows; changes after it are wanted.
  key_range keys;
  std::uint32_t limit =
      0;  ///< About the most changes; revisions are never split. 0: `page_rows_max`.
};

struct changes_result {
  bool compacted =
      false;  ///< Some of the changes are gone: read the range anew, then go on from its revision.
  std::vector<store_change> changes;  ///< In order; changes of one revision stand together.
  std::uint64_t revision =
      0;              ///< Everything up to here has been told: the `revision` of the next request.
  bool more = false;  ///< Ask again at once.
};

struct store_status {
  std::uint64_t revision = 0;
  std::uint64_t compacted_revision = 0;  ///< Reads and changes before it are gone.
  std::uint64_t leases = 0;
  std::uint64_t file_bytes = 0;
  bool writable = true;
  std::optional<store_failure> refusing;  ///< Why writes are refused, if they are.
  bool encrypted = false;                 ///< Some values are (encrypted_store.hpp).
  bool rewriting = false;       ///< Values are being encrypted anew; `maintain` goes on with it.
  std::uint64_t rewritten = 0;  ///< So many have been, since the last order.
  std::optional<store_failure> rewrite_failure;  ///< Why the last step of it failed, if it did.
};

struct backup_result {
  std::uint64_t bytes = 0;
  std::uint64_t revision = 0;
};

/// A copy of the state that is being made. Destroyed early, it leaves nothing. The engine outlives
/// it.
class state_copy {
 public:
  state_copy() = default;
  state_copy(const state_copy&) = delete;
  state_copy& operator=(const state_copy&) = delete;
  virtual ~state_copy() = default;

  /// One bounded step, outside of groups. Nothing: call again; else the copy is whole, durable and
  /// at its name. When it throws, there is no copy.
  virtual std::optional<backup_result> step() = 0;
};

/// What `store::rewrite` makes of a value; nothing: it stays.
using value_rewriter = std::function<std::optional<std::string>(const store_row&)>;

/// A storage engine.
class store {
 public:
  store() = default;
  store(const store&) = delete;
  store& operator=(const store&) = delete;
  virtual ~store() = default;

  /// The newest revision; 1 for an empty state. Inside a group it includes what the group did.
  virtual std::uint64_t revision() const = 0;
  virtual store_status status() = 0;

  /// Reads one page. Failures: `invalid`, `compacted`, `future_revision`, `corrupt`, `io_error`.
  virtual range_result range(const range_request& request) = 0;
  /// Failures: `invalid`, `lease_not_found`, `disk_full`, `io_error`, `read_only`, `corrupt`.
  virtual txn_result txn(const txn_request& request) = 0;

  /// Makes a lease. Its identity is never used again.
  virtual lease_info grant(std::uint64_t ttl_ms) = 0;
  /// Gives the lease its full time again. Writes nothing. Failure: `lease_not_found`.
  virtual lease_info keep_alive(std::uint64_t lease) = 0;
  /// Ends the lease and removes its keys, in a revision of their own. Returns the newest revision.
  /// Failure: `lease_not_found`.
  virtual std::uint64_t revoke(std::uint64_t lease) = 0;
  /// Ends every lease whose time is up, each in a revision of its own. Returns how many ended.
  virtual std::size_t expire() = 0;
  /// All leases, in order of identity.
  virtual std::vector<lease_info> leases() = 0;

  /// Changes after a revision, oldest first. Failures: `invalid`, `future_revision`, `corrupt`,
  /// `io_error`.
  virtual changes_result changes_since(const changes_request& request) = 0;

  /// Forgets what was before `revision`: the map as of `revision` and later stays readable. Space
  /// is freed by `maintain`. Repeating it, or compacting to an older revision, does nothing.
  /// Failure: `future_revision`.
  virtual void compact(std::uint64_t revision) = 0;
  /// One bounded step of housekeeping; true: call again soon. Never fails: what fails shows in
  /// `status`.
  virtual bool maintain() = 0;

  /// Replaces values, those of history too, by what `change` makes of them: for layers that change
  /// how values are written, not what they say. Keys, revisions and versions stay, and nobody is
  /// told. Takes the rows of whole revisions after `after` up to `until`, as many as one bounded
  /// step may, and returns the last revision that is done.
  virtual std::uint64_t rewrite(std::uint64_t after, std::uint64_t until,
                                const value_rewriter& change) = 0;
  /// Reads the keys of an encrypted state anew and begins to encrypt what older keys encrypted with
  /// the newest; `maintain` does it, `status` tells when it is done. Failures: `invalid` when the
  /// state is not encrypted, `wrong_key`, those of `txn`.
  virtual void rotate_key();

  /// Begins a complete, consistent copy of the state in a new file; reads and writes go on between
  /// its steps, and what is acknowledged before the last step is in it. Failures: `exists`,
  /// `invalid` for a name that is not absolute, `disk_full`, `io_error`, `read_only`.
  virtual std::unique_ptr<state_copy> begin_backup(const std::string& file) = 0;

  /// A group puts several writes under one fsync. Between `begin_group` and `commit_group` each
  /// write still succeeds or fails by itself, but is durable, and may be told to anybody, only when
  /// `commit_group` has returned. If that throws, none of the group happened. Groups do not nest.
  /// `abandon_group` undoes; without an open group it does nothing.
  virtual void begin_group() = 0;
  virtual void commit_group() = 0;
  virtual void abandon_group() noexcept = 0;
};

/// What every engine checks before it starts; throws `store_error` with `invalid`.
void check_request(const range_request& request);
void check_request(const txn_request& request);
void check_request(const changes_request& request);
void check_ttl(std::uint64_t ttl_ms);

/// The rows that a page may have when the caller asked for `limit`.
std::uint32_t page_limit(std::uint32_t limit);

/// A backup in one go.
backup_result backup(store& engine, const std::string& file);

/// For watchers: the changes after `request.revision` if there are any in its range, or if it is
/// compacted; else nothing, and `request` moves on over what does not concern it, so that the next
/// look is cheap.
std::optional<changes_result> changes_if_any(store& engine, changes_request& request);

/// Whether the compare holds for a row (`create_revision` 0: not there).
bool holds(const txn_compare& compare, const store_row& row);

}  // namespace bulkhead
