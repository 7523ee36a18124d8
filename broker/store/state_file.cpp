// SPDX-License-Identifier: Apache-2.0
#include "broker/store/state_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "broker/store/file_work.hpp"
#include "broker/store/log_check.hpp"

namespace bulkhead {
namespace {

/// How long SQLite waits for somebody else's lock on the file (a backup tool's, say) before it
/// gives up.
constexpr int busy_timeout_ms = 2000;
/// The write-ahead log is cut back to this after a checkpoint.
constexpr std::int64_t log_bytes_kept = std::int64_t{16} << 20;

[[noreturn]] void refuse_damaged(const std::string& file, std::string why) {
  throw store_error(store_fault::corrupt, fmt::format("the state file {} is damaged", file),
                    std::move(why), "restore a backup; keep the damaged file for inspection");
}

[[noreturn]] void refuse_foreign(const std::string& file, std::string why) {
  throw store_error(store_fault::foreign, fmt::format("the file {} is not a Bulkhead state", file),
                    std::move(why), "name another state directory, or move the file away");
}

void configure(sqlite_connection& db) {
  sqlite3_busy_timeout(db.handle(), busy_timeout_ms);
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  db.exec("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;");
}

}  // namespace

state_file::state_file(std::string file) : file_(std::move(file)), lock_(file_) {
  struct stat info {};
  if (lstat(file_.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) refuse_foreign(file_, "it is not a regular file");
    look_at_files();
  } else if (errno != ENOENT) {
    fail_errno(errno, fmt::format("the state file {} could not be opened", file_),
               "check the path and its permissions");
  } else {
    create();
  }
  open();
}

void state_file::reopen() {
  // What the kernel has in its cache may be more than what the disk took: close without touching
  // the file, forget the cache, and look again.
  if (db_) sqlite3_db_config(db_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  db_.reset();
  for (const char* suffix : {"", "-wal"}) {
    const descriptor fd(::open((file_ + suffix).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (fd.get() >= 0) posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  look_at_files();
  open();
}

void state_file::look_at_files() const {
  // Closed again before SQLite opens the file: closing a descriptor drops the process's POSIX locks
  // on the file.
  descriptor fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0) {
    fail_errno(errno, fmt::format("the state file {} could not be opened", file_),
               "check the path and its permissions");
  }
  constexpr std::string_view magic("SQLite format 3\0", 16);
  std::array<char, 100> header{};
  const auto size = pread(fd.get(), header.data(), header.size(), 0);
  if (size < 0)
    fail_errno(errno, fmt::format("the state file {} could not be read", file_), "check the disk");
  if (size == 0) refuse_damaged(file_, "it is empty");
  const auto head = std::string_view(header.data(), static_cast<std::size_t>(size));
  if (head.substr(0, magic.size()) != magic.substr(0, head.size())) {
    refuse_foreign(file_, "it does not begin like one");
  }
  if (head.size() < header.size()) refuse_damaged(file_, "it is cut off");
  struct stat info {};
  if (fstat(fd.get(), &info) == 0 && (info.st_mode & 0077) != 0) {
    static_cast<void>(
        fchmod(fd.get(), 0600));  // fails for a file of somebody else, and then opening it will
  }
  check_log(file_);
}

void state_file::create() const {
  struct stat info {};
  if (lstat((file_ + "-wal").c_str(), &info) == 0 && info.st_size > 0) {
    refuse_damaged(file_, fmt::format("it is gone, but its log {}-wal is there", file_));
  }
  const std::string draft = file_ + ".new";
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((draft + suffix).c_str());
  {
    descriptor fd(::open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd.get() < 0) {
      fail_errno(errno, fmt::format("the state file {} could not be made", file_),
                 "check the state directory and its permissions");
    }
  }
  {
    sqlite_connection db(draft, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
    configure(db);
    db.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = FULL;");
    db.exec(fmt::format("PRAGMA application_id = {}", state_application_id).c_str());
    migrate_state(db, true);
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;");
  }
  sync_path(draft, O_RDWR);
  if (rename(draft.c_str(), file_.c_str()) != 0) {
    fail_errno(errno, fmt::format("the state file {} could not be made", file_), "check the disk");
  }
  sync_path(directory_of(file_), O_RDONLY | O_DIRECTORY);
}

void state_file::open() {
  db_ = std::make_unique<sqlite_connection>(file_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  configure(*db_);
  // Exclusive: no other process can slip in between two transactions, and the index of the log
  // lives in memory instead of in a mapped file, where a full disk would be a SIGBUS.
  db_->exec("PRAGMA locking_mode = EXCLUSIVE");
  const auto id = db_->number("PRAGMA application_id");
  if (id != state_application_id) {
    refuse_foreign(file_, "it is a SQLite file of another program");
  }
  if (db_->text("PRAGMA journal_mode = WAL") != "wal") {
    refuse_damaged(file_, "it cannot be put into write-ahead mode");
  }
  // secure_delete: what was destroyed is overwritten in the file, not only forgotten.
  db_->exec(fmt::format("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                        "PRAGMA secure_delete = ON; PRAGMA journal_size_limit = {}",
                        log_bytes_kept)
                .c_str());
  if (const auto verdict = db_->text("PRAGMA quick_check(1)"); verdict != "ok") {
    refuse_damaged(file_, verdict);
  }
  migrate_state(*db_, false);
}

std::unique_ptr<sqlite_connection> open_state_in_memory() {
  auto db = std::make_unique<sqlite_connection>(
      ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX);
  configure(*db);
  migrate_state(*db, true);
  return db;
}

}  // namespace bulkhead
