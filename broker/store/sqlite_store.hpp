// SPDX-License-Identifier: Apache-2.0
#pragma once

// The embedded engine: the store on one SQLite file (tables: state_schema.cpp; how the file is
// opened: state_file.hpp).
//
// Durable means: write-ahead log, synchronous=FULL; the fsync of the log happens before `txn` or
// `commit_group` returns. Inside a group each write is a savepoint, so that it fails alone; only
// when SQLite itself drops the transaction (as it may when the disk is full) do all writes of the
// group fail, and the caller may repeat them one by one.
//
// When the device fails (EIO, a failed fsync) the engine never tries to sync again as if nothing
// had happened: pages may be lost that the kernel calls clean. It refuses writes by name and serves
// reads. From then on `maintain` looks from time to time whether the disk takes a file, and if so
// opens the state again from what is really on the disk, with all checks of an opening; it goes on
// only when everything acknowledged is there. A full disk is different: that write fails whole, and
// the next one is tried again. Each row carries a checksum, verified at open and at each read of
// its value.
//
// Costs: one fsync per group or lone transaction; opening reads the whole file once (quick_check
// and checksums).

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "broker/store/store.hpp"

namespace bulkhead {

class sqlite_connection;
class state_file;

class sqlite_store final : public store {
 public:
  /// Opens the state in `file`, or makes it. Throws `store_error`: `corrupt`, `foreign`, `locked`,
  /// `schema_too_new`, `exposed`, `read_only`, `disk_full`, `io_error`; then nothing is held and
  /// nothing was changed.
  static std::unique_ptr<sqlite_store> open(const std::string& file, store_clock clock);
  /// A state that is gone with the object; for tests.
  static std::unique_ptr<sqlite_store> in_memory(store_clock clock);

  ~sqlite_store() override;

  std::uint64_t revision() const override { return revision_; }
  store_status status() override;
  range_result range(const range_request& request) override;
  txn_result txn(const txn_request& request) override;
  lease_info grant(std::uint64_t ttl_ms) override;
  lease_info keep_alive(std::uint64_t lease) override;
  std::uint64_t revoke(std::uint64_t lease) override;
  std::size_t expire() override;
  std::vector<lease_info> leases() override;
  changes_result changes_since(const changes_request& request) override;
  void compact(std::uint64_t revision) override;
  bool maintain() override;
  std::uint64_t rewrite(std::uint64_t after, std::uint64_t until,
                        const value_rewriter& change) override;
  std::unique_ptr<state_copy> begin_backup(const std::string& file) override;
  void begin_group() override;
  void commit_group() override;
  void abandon_group() noexcept override;

  /// For a state that was put back from a backup: goes on at `least` or later, and far enough from
  /// the present revision that none is made twice; whoever saw a revision before learns that it is
  /// compacted. Returns the new revision.
  std::uint64_t begin_anew(std::uint64_t least);

  /// For tests: the file may not grow beyond so many pages of 4 KiB; a write that needs more finds
  /// the disk full.
  void set_pages_max(std::uint32_t pages);

 private:
  struct statements;
  struct lease_state {
    std::uint64_t ttl_ms = 0;
    std::uint64_t ends_ms = 0;
  };

  sqlite_store(std::unique_ptr<state_file> file, std::unique_ptr<sqlite_connection> memory,
               store_clock clock);

  template <class F>
  auto write(F&& change);
  bool undo_in_group();
  void verify();
  void load();
  void load_leases();
  void refuse_if_failed() const;
  void notice(const store_failure& failure);
  void check_revision(std::uint64_t revision) const;
  void save_number(std::string_view name, std::uint64_t value);

  store_row read_head(std::string_view key);
  std::optional<store_row> read_row(std::string_view key);
  txn_result run_txn(const txn_request& request);
  void add_change(const store_row& row, bool erased, std::uint64_t id);
  std::uint64_t erase_lease(std::uint64_t lease);
  void checkpoint();
  statements& sql() const;
  bool disk_works() const;
  void recover();

  std::unique_ptr<state_file> file_;
  std::unique_ptr<sqlite_connection> memory_;
  sqlite_connection* db_;  // null with `sql_`
  store_clock clock_;
  std::unique_ptr<statements> sql_;  // null: the file could not be opened again; see `refusing_`

  std::uint64_t revision_ = 0;
  std::uint64_t compacted_ = 0;
  std::uint64_t reclaimed_ = 0;   // history up to here was swept already
  std::uint64_t sweep_from_ = 0;  // the row of history where the sweep stands
  std::uint64_t last_lease_ = 0;
  std::map<std::uint64_t, lease_state> leases_;

  bool in_group_ = false;
  std::optional<store_failure> group_lost_;  // SQLite dropped the transaction of the open group
  std::optional<store_failure> refusing_;    // the device failed: no more writes
  bool lost_ = false;                        // ... and opening again does not help
  std::uint64_t recover_at_ms_ = 0;          // the next attempt to open again
  std::shared_ptr<bool> copies_ = std::make_shared<bool>();  // shared with backups under way
};

}  // namespace bulkhead
