// SPDX-License-Identifier: Apache-2.0
// A copy of a state that is in use, made step by step under another name, synced, and named: so a
// backup is complete or not there, and nothing is ever replaced by one.
//
// SQLite copies page by page on the engine's own connection. What the engine writes between two
// steps goes into the pages that were copied already as well, so the copy is the state as of its
// last step. Only a transaction that is rolled back makes SQLite start the copy anew; when that has
// cost twice the steps that it should take, the last step copies all the rest, and everybody waits.
// Each step syncs what it wrote: the sync at the end has little left to do.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "broker/store/file_work.hpp"
#include "broker/store/sqlite_statements.hpp"

namespace bulkhead {
namespace {

class sqlite_copy final : public state_copy {
 public:
  sqlite_copy(sqlite_connection& from, const std::string& file,
              std::function<std::uint64_t()> revision)
      : file_(file), draft_(make_draft(file)), revision_(std::move(revision)) {
    try {
      to_ =
          std::make_unique<sqlite_connection>(draft_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
      // A draft that is cut short is thrown away: it needs neither a journal nor SQLite's syncs.
      to_->exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;");
      copy_ = sqlite3_backup_init(to_->handle(), "main", from.handle(), "main");
      if (copy_ == nullptr) to_->fail(sqlite3_extended_errcode(to_->handle()), "written");
    } catch (...) {
      drop();
      throw;
    }
  }
  sqlite_copy(const sqlite_copy&) = delete;
  sqlite_copy& operator=(const sqlite_copy&) = delete;
  ~sqlite_copy() override { drop(); }

  std::optional<backup_result> step() override {
    const auto enough = 4 + 2 * sqlite3_backup_pagecount(copy_) / store_limits::backup_step_pages;
    const int pages = steps_++ <= enough ? store_limits::backup_step_pages : -1;
    const int code = sqlite3_backup_step(copy_, pages);
    if (code != SQLITE_OK && code != SQLITE_DONE) to_->fail(code, "written");
    if (code == SQLITE_OK) {
      sync_path(draft_, O_RDWR);
      return std::nullopt;
    }
    const auto revision = revision_();
    sqlite3_backup_finish(std::exchange(copy_, nullptr));
    to_.reset();
    sync_path(draft_, O_RDWR);
    struct stat info {};
    if (stat(draft_.c_str(), &info) != 0) {
      fail_errno(errno, fmt::format("the backup {} was not made", file_), "check the disk");
    }
    name_draft(draft_, file_);
    draft_.clear();
    return backup_result{static_cast<std::uint64_t>(info.st_size), revision};
  }

 private:
  void drop() {
    if (copy_ != nullptr) sqlite3_backup_finish(copy_);
    to_.reset();
    if (!draft_.empty()) unlink(draft_.c_str());
  }

  std::string file_;
  std::string draft_;  // empty: it has its name
  std::function<std::uint64_t()> revision_;
  std::unique_ptr<sqlite_connection> to_;
  sqlite3_backup* copy_ = nullptr;
  int steps_ = 0;
};

}  // namespace

std::unique_ptr<state_copy> copy_state(sqlite_connection& from, const std::string& file,
                                       std::function<std::uint64_t()> revision) {
  if (file.empty() || file.front() != '/') {
    throw store_error(store_fault::invalid, fmt::format("the backup '{}' was not made", file),
                      "its path is not absolute",
                      "name a new file by its whole path, on the machine of the broker");
  }
  if (struct stat info{}; lstat(file.c_str(), &info) == 0) {
    throw store_error(store_fault::exists, fmt::format("the backup {} was not made", file),
                      "there is something of that name", "name a new file");
  }
  return std::make_unique<sqlite_copy>(from, file, std::move(revision));
}

}  // namespace bulkhead
