// SPDX-License-Identifier: Apache-2.0
#include "broker/store/state_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace bulkhead {
namespace {

/// How long SQLite waits for somebody else's lock on the file (a backup tool's, say) before it
/// gives up.
constexpr int busy_timeout_ms = 2000;
/// The write-ahead log is cut back to this after a checkpoint.
constexpr std::int64_t log_bytes_kept = std::int64_t{16} << 20;

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail_errno(int error, std::string what, std::string remedy) {
  store_fault fault = store_fault::io_error;
  if (error == ENOSPC || error == EDQUOT) fault = store_fault::disk_full;
  if (error == EROFS || error == EACCES || error == EPERM) fault = store_fault::read_only;
  throw store_error(fault, std::move(what), std::strerror(error), std::move(remedy));
}

[[noreturn]] void refuse_damaged(const std::string& file, std::string why) {
  throw store_error(store_fault::corrupt, fmt::format("the state file {} is damaged", file),
                    std::move(why), "restore a backup; keep the damaged file for inspection");
}

[[noreturn]] void refuse_foreign(const std::string& file, std::string why) {
  throw store_error(store_fault::foreign, fmt::format("the file {} is not a Bulkhead state", file),
                    std::move(why), "name another state directory, or move the file away");
}

void sync_path(const std::string& path, int flags) {
  descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) {
    fail_errno(errno, fmt::format("{} could not be synced", path), "check the disk");
  }
}

void configure(sqlite_connection& db) {
  sqlite3_busy_timeout(db.handle(), busy_timeout_ms);
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  db.exec("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;");
}

}  // namespace

state_file::state_file(std::string file) : file_(std::move(file)) {
  directory_ = std::filesystem::path(file_).parent_path().string();
  if (directory_.empty()) directory_ = ".";
  secure_directory();
  lock();
  try {
    struct stat info {};
    if (lstat(file_.c_str(), &info) == 0) {
      if (!S_ISREG(info.st_mode)) refuse_foreign(file_, "it is not a regular file");
      look_at_header();
    } else if (errno != ENOENT) {
      fail_errno(errno, fmt::format("the state file {} could not be opened", file_),
                 "check the path and its permissions");
    } else {
      create();
    }
    open();
  } catch (...) {
    db_.reset();
    close(lock_fd_);
    throw;
  }
}

state_file::~state_file() {
  db_.reset();  // before the lock: closing writes the log back into the file
  close(lock_fd_);
}

void state_file::secure_directory() {
  std::error_code error;
  if (!std::filesystem::exists(directory_, error)) {
    auto parent = std::filesystem::path(directory_).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) {
      fail_errno(errno, fmt::format("the state directory {} could not be made", directory_),
                 "check the path and its permissions");
    }
  }
  struct stat info {};
  if (stat(directory_.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    fail_errno(errno != 0 ? errno : ENOTDIR,
               fmt::format("the state directory {} could not be used", directory_),
               "check the path and its permissions");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw store_error(store_fault::exposed,
                      fmt::format("the state directory {} is open to other users", directory_),
                      fmt::format("its mode is {:04o}: others could replace the state",
                                  static_cast<unsigned>(info.st_mode & 07777)),
                      fmt::format("chmod 700 {}", directory_));
  }
}

void state_file::lock() {
  const std::string path = file_ + ".lock";
  lock_fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd_ < 0) {
    fail_errno(errno, fmt::format("the lock {} could not be made", path),
               "check the state directory and its permissions");
  }
  std::array<char, 32> text{};
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const auto size = pread(lock_fd_, text.data(), text.size() - 1, 0);
    close(lock_fd_);
    if (error != EWOULDBLOCK) {
      fail_errno(error, fmt::format("the lock {} could not be taken", path), "check the disk");
    }
    std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    holder = holder.substr(0, holder.find_first_not_of("0123456789"));
    throw store_error(store_fault::locked, fmt::format("the state {} is in use", file_),
                      holder.empty() ? "another broker holds its lock"
                                     : fmt::format("the broker with pid {} holds its lock", holder),
                      "stop that broker, or give this one another state directory");
  }
  // Best effort: a full disk must not keep a broker from serving reads.
  const auto pid = fmt::format("{}\n", getpid());
  if (ftruncate(lock_fd_, 0) == 0 && pwrite(lock_fd_, pid.data(), pid.size(), 0) < 0) {
    static_cast<void>(ftruncate(lock_fd_, 0));
  }
}

void state_file::look_at_header() const {
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
  sync_path(directory_, O_RDONLY | O_DIRECTORY);
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
