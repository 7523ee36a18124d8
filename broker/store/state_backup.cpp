// SPDX-License-Identifier: Apache-2.0
// A copy of a state that is in use: made under another name page by page, synced, and renamed; so a
// backup is complete or not there.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "broker/store/sqlite_statements.hpp"

namespace bulkhead {
namespace {

void sync_file(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!synced) {
    throw store_error(store_fault::io_error, fmt::format("{} could not be synced", path),
                      std::strerror(error), "check the disk");
  }
}

void copy_pages(sqlite_connection& from, const std::string& draft) {
  sqlite_connection to(draft, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  sqlite3_backup* copy = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  if (copy == nullptr) to.fail(sqlite3_extended_errcode(to.handle()), "written");
  const int code = sqlite3_backup_step(copy, -1);
  sqlite3_backup_finish(copy);
  if (code != SQLITE_DONE) to.fail(code, "written");
}

}  // namespace

void copy_state(sqlite_connection& from, const std::string& file) {
  if (struct stat info{}; lstat(file.c_str(), &info) == 0) {
    throw store_error(store_fault::invalid, fmt::format("the backup {} was not made", file),
                      "the file exists", "name a new file");
  }
  const std::string draft = file + ".new";
  unlink(draft.c_str());
  const int fd = open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    throw store_error(store_fault::io_error, fmt::format("the backup {} was not made", file),
                      std::strerror(errno), "check the path and its permissions");
  }
  close(fd);
  try {
    copy_pages(from, draft);
    sync_file(draft, O_RDWR);
    if (rename(draft.c_str(), file.c_str()) != 0) {
      throw store_error(store_fault::io_error, fmt::format("the backup {} was not made", file),
                        std::strerror(errno), "check the disk");
    }
  } catch (...) {
    unlink(draft.c_str());
    throw;
  }
  auto directory = std::filesystem::path(file).parent_path().string();
  sync_file(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
}

}  // namespace bulkhead
