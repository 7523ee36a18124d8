// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file of an embedded state: how it is made, locked and judged before anybody reads from it.
//
// A state appears at its name complete or not at all: it is made under another name, synced and
// renamed. So an empty or short file at the name is always damage, never a beginning. The lock is
// `<file>.lock`, held by flock for as long as the `state_file` lives, and names the process that
// holds it. Each reason not to use a file is a failure of its own: `foreign` (not ours), `corrupt`
// (short, or an internal structure is wrong), `schema_too_new`, `locked`, `exposed` (others may
// write to the directory), `read_only`. Modes: directory 0700 when it is made here, files 0600
// always.

#include <memory>
#include <string>

#include "broker/store/sqlite_connection.hpp"

namespace bulkhead {

/// "BHST": tells `file` and us that a SQLite file is a Bulkhead state.
constexpr std::int32_t state_application_id = 0x42485354;
/// The version of the tables. It grows with each migration (see state_schema.cpp).
constexpr std::int32_t state_schema_version = 1;

class state_file {
 public:
  /// Opens the state, or makes it. Checks everything that can be checked without knowing what is
  /// stored. Throws `store_error`; then nothing was changed, and nothing is held.
  explicit state_file(std::string file);
  state_file(const state_file&) = delete;
  state_file& operator=(const state_file&) = delete;
  ~state_file();

  sqlite_connection& db() { return *db_; }
  const std::string& path() const { return file_; }

 private:
  void secure_directory();
  void lock();
  void look_at_header() const;
  void create() const;
  void open();

  std::string file_;
  std::string directory_;
  int lock_fd_ = -1;
  std::unique_ptr<sqlite_connection> db_;
};

/// A private state in memory, with the same tables; for tests.
std::unique_ptr<sqlite_connection> open_state_in_memory();

/// Brings the tables to `state_schema_version`; refuses a newer one by name. `fresh`: there are
/// none yet.
void migrate_state(sqlite_connection& db, bool fresh);

}  // namespace bulkhead
