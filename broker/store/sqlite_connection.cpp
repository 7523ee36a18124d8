// SPDX-License-Identifier: Apache-2.0
#include "broker/store/sqlite_connection.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace bulkhead {

sqlite_connection::sqlite_connection(const std::string& file, int flags) : file_(file) {
  int code = sqlite3_open_v2(file.c_str(), &db_, flags | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) {
    try {
      fail(code, "opened");
    } catch (...) {
      sqlite3_close_v2(db_);
      throw;
    }
  }
}

sqlite_connection::~sqlite_connection() {
  sqlite3_close_v2(db_);
}

void sqlite_connection::exec(const char* sql) {
  int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code, "changed");
}

std::int64_t sqlite_connection::number(const char* sql) {
  sqlite_statement statement(*this, sql);
  sqlite_query query(statement);
  return query.row() ? static_cast<std::int64_t>(query.number_at(0)) : 0;
}

std::string sqlite_connection::text(const char* sql) {
  sqlite_statement statement(*this, sql);
  sqlite_query query(statement);
  return query.row() ? std::string(query.bytes_at(0)) : std::string();
}

void sqlite_connection::fail(int code, std::string_view doing) const {
  std::string what = fmt::format("the state file {} could not be {}", file_, doing);
  std::string why = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  int os = db_ != nullptr ? sqlite3_system_errno(db_) : 0;
  // SQLite has no code of its own for a header whose format number is none.
  const int primary = why == "unsupported file format" ? SQLITE_CORRUPT : code & 0xff;
  if (primary == SQLITE_IOERR && os != 0) why += fmt::format(" ({})", std::strerror(os));
  const bool space = primary == SQLITE_FULL ||
                     (code == SQLITE_IOERR_WRITE && (os == ENOSPC || os == EDQUOT || os == EFBIG));
  if (space) {
    throw store_error(store_fault::disk_full,
                      fmt::format("the state file {} could not be written", file_), why,
                      "free space on the disk of the state directory, then repeat");
  }
  switch (primary) {
    case SQLITE_IOERR:
      throw store_error(
          store_fault::io_error, what, why,
          "check the disk and the kernel's log; the broker goes on when the disk works");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw store_error(store_fault::corrupt, fmt::format("the state file {} is damaged", file_),
                        why, "restore a backup; keep the damaged file for inspection");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      throw store_error(
          store_fault::read_only, what, why,
          "check that the disk is mounted writable and the file belongs to the broker");
    case SQLITE_CANTOPEN:
      if (os == ENOSPC || os == EDQUOT) {
        throw store_error(store_fault::disk_full, what, why,
                          "free space on the disk of the state directory, then repeat");
      }
      throw store_error(store_fault::io_error, what,
                        os != 0 ? fmt::format("{} ({})", why, std::strerror(os)) : why,
                        "check the path and its permissions");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw store_error(store_fault::locked, what, "another process holds it",
                        "stop the other process, or use another state directory");
    default:
      throw store_error(store_fault::internal, what, fmt::format("{} (code {})", why, code),
                        "this is a defect; please report it");
  }
}

sqlite_statement::sqlite_statement(sqlite_connection& db, const char* sql) : db_(db) {
  int code =
      sqlite3_prepare_v3(db.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (code != SQLITE_OK) db.fail(code, "read");
}

sqlite_query& sqlite_query::number(std::uint64_t value) {
  int code = sqlite3_bind_int64(statement_, next_++, static_cast<sqlite3_int64>(value));
  if (code != SQLITE_OK) db_.fail(code, "used");
  return *this;
}

sqlite_query& sqlite_query::bytes(std::string_view value) {
  // A null pointer would bind NULL; an empty value is a value.
  const char* data = value.empty() ? "" : value.data();
  int code = sqlite3_bind_blob64(statement_, next_++, data, value.size(), SQLITE_STATIC);
  if (code != SQLITE_OK) db_.fail(code, "used");
  return *this;
}

bool sqlite_query::row() {
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  // COMMIT and its like count as reading with SQLite; what they do is to write.
  const bool reads = sqlite3_stmt_readonly(statement_) != 0 && sqlite3_column_count(statement_) > 0;
  db_.fail(code, reads ? "read" : "written");
}

std::string_view sqlite_query::bytes_at(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  if (data == nullptr || size == 0) return {};
  return {static_cast<const char*>(data), size};
}

}  // namespace bulkhead
