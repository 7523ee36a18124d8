// SPDX-License-Identifier: Apache-2.0
#pragma once

// The statements of the embedded engine, prepared once. All that read rows of history share one
// order of columns (`row_columns`).

#include "broker/store/row_checksum.hpp"
#include "broker/store/sqlite_connection.hpp"
#include "broker/store/sqlite_store.hpp"

// `h` is a row of history; the value comes last, so that a query for keys alone can leave it out.
#define BULKHEAD_HEAD_COLUMNS \
  "h.id, h.key, h.erased, h.create_revision, h.version, h.lease, h.checksum"
#define BULKHEAD_ROW_COLUMNS BULKHEAD_HEAD_COLUMNS ", h.value"
#define BULKHEAD_LIVE "FROM live l CROSS JOIN history h ON h.id = l.id "
// The map as of a row's identity (?4): the newest row of each key up to there, unless it erased the
// key.
#define BULKHEAD_PAST                                                                            \
  "FROM history h WHERE h.key >= ?1 AND h.key < ?2 AND h.id <= ?4 AND h.erased = 0 "             \
  "AND NOT EXISTS (SELECT 1 FROM history n WHERE n.key = h.key AND n.id > h.id AND n.id <= ?4) " \
  "ORDER BY h.key LIMIT ?3"

namespace bulkhead {

struct row_columns {
  enum : int { id, key, erased, create_revision, version, lease, checksum, value };
};

inline std::uint64_t checksum_of(const sqlite_query& query) {
  return row_checksum(query.number_at(row_columns::id), query.bytes_at(row_columns::key),
                      query.number_at(row_columns::erased) != 0,
                      query.number_at(row_columns::create_revision),
                      query.number_at(row_columns::version), query.number_at(row_columns::lease),
                      query.bytes_at(row_columns::value));
}

inline store_row row_of(const sqlite_query& query, bool with_value) {
  store_row row;
  row.key = query.bytes_at(row_columns::key);
  row.create_revision = query.number_at(row_columns::create_revision);
  row.mod_revision = query.number_at(row_columns::id) >> 20U;
  row.version = query.number_at(row_columns::version);
  row.lease = query.number_at(row_columns::lease);
  if (with_value) row.value = query.bytes_at(row_columns::value);
  return row;
}

struct sqlite_store::statements {
  explicit statements(sqlite_connection& connection) : db(connection) {}

  sqlite_connection& db;

  sqlite_statement meta{db, "SELECT name, value FROM meta"};
  sqlite_statement save_number{db, "UPDATE meta SET value = ?1 WHERE name = CAST(?2 AS TEXT)"};

  sqlite_statement head{db, "SELECT " BULKHEAD_HEAD_COLUMNS " " BULKHEAD_LIVE "WHERE l.key = ?1"};
  sqlite_statement row{db, "SELECT " BULKHEAD_ROW_COLUMNS " " BULKHEAD_LIVE "WHERE l.key = ?1"};
  sqlite_statement live_rows{db, "SELECT " BULKHEAD_ROW_COLUMNS " " BULKHEAD_LIVE
                                 "WHERE l.key >= ?1 AND l.key < ?2 ORDER BY l.key LIMIT ?3"};
  sqlite_statement live_keys{db, "SELECT " BULKHEAD_HEAD_COLUMNS " " BULKHEAD_LIVE
                                 "WHERE l.key >= ?1 AND l.key < ?2 ORDER BY l.key LIMIT ?3"};
  sqlite_statement past_rows{db, "SELECT " BULKHEAD_ROW_COLUMNS " " BULKHEAD_PAST};
  sqlite_statement past_keys{db, "SELECT " BULKHEAD_HEAD_COLUMNS " " BULKHEAD_PAST};
  sqlite_statement changes{db, "SELECT " BULKHEAD_ROW_COLUMNS
                               " FROM history h WHERE h.id > ?1 AND h.key >= ?2 AND h.key < ?3 "
                               "ORDER BY h.id"};

  sqlite_statement values{db, "SELECT " BULKHEAD_ROW_COLUMNS
                              " FROM history h WHERE h.id > ?1 AND h.id <= ?2 AND h.erased = 0 "
                              "ORDER BY h.id"};
  sqlite_statement set_value{db, "UPDATE history SET value = ?2, checksum = ?3 WHERE id = ?1"};

  sqlite_statement add_history{db, "INSERT INTO history VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"};
  sqlite_statement set_live{db,
                            "INSERT INTO live VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET "
                            "id = excluded.id, lease = excluded.lease"};
  sqlite_statement drop_live{db, "DELETE FROM live WHERE key = ?1"};

  sqlite_statement leases{db, "SELECT id, ttl_ms FROM leases ORDER BY id"};
  sqlite_statement add_lease{db, "INSERT INTO leases VALUES(?1, ?2)"};
  sqlite_statement drop_lease{db, "DELETE FROM leases WHERE id = ?1"};
  sqlite_statement lease_keys{
      db, "SELECT key FROM live WHERE lease = ?1 AND lease != 0 ORDER BY key LIMIT ?2"};

  sqlite_statement history_ids{
      db, "SELECT id FROM history WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT ?3"};
  // A row is old when its key changed again up to the compacted revision, or when it only says that
  // the key went.
  sqlite_statement drop_if_old{
      db,
      "DELETE FROM history WHERE id = ?1 AND (erased != 0 OR EXISTS (SELECT 1 FROM history n "
      "WHERE n.key = history.key AND n.id > ?1 AND n.id <= ?2))"};

  sqlite_statement all_history{db, "SELECT " BULKHEAD_ROW_COLUMNS " FROM history h ORDER BY h.id"};
  sqlite_statement orphans{db,
                           "SELECT 1 FROM live l LEFT JOIN history h ON h.id = l.id WHERE "
                           "h.id IS NULL OR h.key != l.key OR h.erased != 0 OR h.lease != l.lease "
                           "LIMIT 1"};
  sqlite_statement strays{db,
                          "SELECT 1 FROM history h LEFT JOIN live l ON l.key = h.key WHERE "
                          "h.erased = 0 AND (l.id IS NULL OR h.id > l.id) AND NOT EXISTS ("
                          "SELECT 1 FROM history n WHERE n.key = h.key AND n.id > h.id) LIMIT 1"};

  sqlite_statement savepoint{db, "SAVEPOINT write_of_group"};
  sqlite_statement release{db, "RELEASE write_of_group"};
  sqlite_statement rollback_to{db, "ROLLBACK TO write_of_group"};
  sqlite_statement commit{db, "COMMIT"};
};

/// Copies the whole state into a new file, complete or not at all; `revision` says what it has come
/// to. `from` outlives the copy.
std::unique_ptr<state_copy> copy_state(sqlite_connection& from, const std::string& file,
                                       std::function<std::uint64_t()> revision);

}  // namespace bulkhead
