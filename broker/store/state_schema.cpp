// SPDX-License-Identifier: Apache-2.0
// The tables of an embedded state, and the steps from each version of them to the next.
//
//   history  one row per change of a key, in the order of changes. `id` is the revision shifted
//   left by 20 bits plus the place within
//            the revision. `checksum` covers all other columns, so that a bit that flips in a value
//            is seen (SQLite has no such sum).
//   live     the keys that are there now, each with its newest row of history. Values are stored
//   once, in history. leases   identity and time to live; the deadline is kept in memory, so that a
//   keep-alive costs no write. meta     `revision`, `compacted_revision`, `lease` (the last
//   identity given).
//
// A new version appends a step; a step that was released never changes.

#include <fmt/format.h>

#include <array>

#include "broker/store/state_file.hpp"

namespace bulkhead {
namespace {

constexpr std::array<const char*, state_schema_version> steps = {
    // To version 1.
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('revision', 1), ('compacted_revision', 0), ('lease', 0);"
    "CREATE TABLE history("
    "  id INTEGER PRIMARY KEY, key BLOB NOT NULL, erased INTEGER NOT NULL,"
    "  create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL,"
    "  checksum INTEGER NOT NULL, value BLOB NOT NULL);"
    "CREATE UNIQUE INDEX history_by_key ON history(key, id);"
    "CREATE TABLE live(key BLOB PRIMARY KEY, id INTEGER NOT NULL, lease INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE INDEX live_by_lease ON live(lease, key) WHERE lease != 0;"
    "CREATE TABLE leases(id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL);",
    // To version 2: the same tables, but values may be encrypted and a state may have been
    // restored. A program that does not know would hand out the one and repeat what the other rules
    // out, so it must not open it.
    "",
};

}  // namespace

void migrate_state(sqlite_connection& db, bool fresh) {
  const auto version = db.number("PRAGMA user_version");
  if (version > state_schema_version) {
    throw store_error(store_fault::schema_too_new,
                      fmt::format("the state file {} was written by a newer Bulkhead", db.file()),
                      fmt::format("its schema version is {}, this program knows {}", version,
                                  state_schema_version),
                      "use the newer program, or restore a backup made by this version");
  }
  if (version < 0 || (version == 0 && !fresh)) {
    throw store_error(store_fault::corrupt, fmt::format("the state file {} is damaged", db.file()),
                      fmt::format("its schema version is {}", version),
                      "restore a backup; keep the damaged file for inspection");
  }
  for (auto next = version; next < state_schema_version; ++next) {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(steps.at(static_cast<std::size_t>(next)));
      db.exec(fmt::format("PRAGMA user_version = {}", next + 1).c_str());
      db.exec("COMMIT");
    } catch (...) {
      if (db.in_transaction()) sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
}

}  // namespace bulkhead
