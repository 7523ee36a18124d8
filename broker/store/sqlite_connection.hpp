// SPDX-License-Identifier: Apache-2.0
#pragma once

// A thin owner of one SQLite connection and its prepared statements, and the one place where result
// codes become failures.
//
// Statements are prepared once and live as long as the connection. A `query` is one run of a
// statement: it binds, steps and, however it ends, resets, so that no read transaction stays open
// behind the caller's back. Bound bytes are not copied: they must outlive the query. Nothing here
// knows what the store stores.

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/store/store_failure.hpp"

namespace bulkhead {

class sqlite_connection {
 public:
  /// Opens the file; `flags` are those of sqlite3_open_v2. Throws `store_error`.
  sqlite_connection(const std::string& file, int flags);
  sqlite_connection(const sqlite_connection&) = delete;
  sqlite_connection& operator=(const sqlite_connection&) = delete;
  ~sqlite_connection();

  sqlite3* handle() const { return db_; }
  const std::string& file() const { return file_; }

  /// Runs statements that return nothing of interest.
  void exec(const char* sql);
  /// The first column of the first row of a statement.
  std::int64_t number(const char* sql);
  std::string text(const char* sql);

  /// Whether SQLite has given up the transaction (it does so by itself when some statements fail).
  bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

  /// Turns a result code into the failure that it stands for.
  [[noreturn]] void fail(int code, std::string_view doing) const;

 private:
  sqlite3* db_ = nullptr;
  std::string file_;
};

class sqlite_statement {
 public:
  sqlite_statement(sqlite_connection& db, const char* sql);
  sqlite_statement(const sqlite_statement&) = delete;
  sqlite_statement& operator=(const sqlite_statement&) = delete;
  ~sqlite_statement() { sqlite3_finalize(statement_); }

 private:
  friend class sqlite_query;
  sqlite_connection& db_;
  sqlite3_stmt* statement_ = nullptr;
};

class sqlite_query {
 public:
  explicit sqlite_query(sqlite_statement& statement)
      : db_(statement.db_), statement_(statement.statement_) {}
  sqlite_query(const sqlite_query&) = delete;
  sqlite_query& operator=(const sqlite_query&) = delete;
  ~sqlite_query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

  /// Binds the next parameter.
  sqlite_query& number(std::uint64_t value);
  sqlite_query& bytes(std::string_view value);

  /// True: there is a row. Throws `store_error`.
  bool row();
  /// Runs a statement that has no rows.
  void run() {
    while (row()) {
    }
  }

  std::uint64_t number_at(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
  }
  /// Valid until the next `row()`.
  std::string_view bytes_at(int column) const;

 private:
  sqlite_connection& db_;
  sqlite3_stmt* statement_;
  int next_ = 1;
};

}  // namespace bulkhead
