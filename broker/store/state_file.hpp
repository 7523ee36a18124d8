// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file of an embedded state: how it is made, locked and judged before anybody reads from it.
//
// A state appears at its name complete or not at all: it is made under another name, synced and
// renamed. So an empty or short file at the name is always damage, never a beginning. It is locked
// for as long as the `state_file` lives (state_lock.hpp). Each reason not to use a file is a
// failure of its own: `foreign` (not ours), `corrupt` (short, or an internal structure is wrong),
// `schema_too_new`, `locked`, `exposed` (others may write to the directory), `read_only`. Modes:
// directory 0700 when it is made here, files 0600 always.

#include <memory>
#include <string>

#include "broker/store/sqlite_connection.hpp"
#include "broker/store/state_lock.hpp"

namespace bulkhead {

/// "BHST": tells `file` and us that a SQLite file is a Bulkhead state.
constexpr std::int32_t state_application_id = 0x42485354;
/// The version of the tables. It grows with each migration (see state_schema.cpp).
constexpr std::int32_t state_schema_version = 2;

class state_file {
 public:
  /// Opens the state, or makes it. Checks everything that can be checked without knowing what is
  /// stored. Throws `store_error`; then nothing was changed, and nothing is held.
  explicit state_file(std::string file);
  state_file(const state_file&) = delete;
  state_file& operator=(const state_file&) = delete;

  sqlite_connection& db() { return *db_; }
  const std::string& path() const { return file_; }

  /// Closes the file as it is and opens it again, with all checks, from what is on the disk. When
  /// it throws `store_error`, `db` must not be used before another attempt has succeeded.
  void reopen();

 private:
  void look_at_files() const;
  void create() const;
  void open();

  std::string file_;
  state_lock lock_;
  std::unique_ptr<sqlite_connection> db_;  // goes before the lock: closing writes the log back
};

/// A private state in memory, with the same tables; for tests.
std::unique_ptr<sqlite_connection> open_state_in_memory();

/// Brings the tables to `state_schema_version`; refuses a newer one by name. `fresh`: there are
/// none yet.
void migrate_state(sqlite_connection& db, bool fresh);

}  // namespace bulkhead
