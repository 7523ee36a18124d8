// SPDX-License-Identifier: Apache-2.0
#include "broker/store/file_work.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace bulkhead {

descriptor::~descriptor() {
  if (fd_ >= 0) close(fd_);
}

void fail_errno(int error, std::string what, std::string remedy) {
  store_fault fault = store_fault::io_error;
  if (error == ENOSPC || error == EDQUOT) fault = store_fault::disk_full;
  if (error == EROFS || error == EACCES || error == EPERM) fault = store_fault::read_only;
  throw store_error(fault, std::move(what), std::strerror(error), std::move(remedy));
}

std::string directory_of(const std::string& file) {
  auto directory = std::filesystem::path(file).parent_path().string();
  return directory.empty() ? "." : directory;
}

void sync_path(const std::string& path, int flags) {
  const descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) {
    fail_errno(errno, fmt::format("{} could not be synced", path), "check the disk");
  }
}

std::string make_draft(const std::string& file) {
  std::string draft = file + "." + std::string(6, 'X');  // for mkostemp to fill in
  const descriptor fd(mkostemp(draft.data(), O_CLOEXEC));
  if (fd.get() < 0) {
    fail_errno(errno, fmt::format("{} could not be made", file),
               "check the path and its permissions");
  }
  return draft;
}

void name_draft(const std::string& draft, const std::string& file) {
  int done = renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE);
  if (done != 0 && (errno == EINVAL || errno == ENOSYS)) {
    // A file system without it: a second name never replaces either.
    done = link(draft.c_str(), file.c_str());
    if (done == 0) unlink(draft.c_str());
  }
  if (done != 0 && errno == EEXIST) {
    throw store_error(store_fault::exists, fmt::format("{} was not made", file),
                      "there is something of that name", "name a new file");
  }
  if (done != 0) fail_errno(errno, fmt::format("{} was not made", file), "check the disk");
  try {
    sync_path(directory_of(file), O_RDONLY | O_DIRECTORY);
  } catch (const store_error&) {
    unlink(file.c_str());  // who is told that it was not made finds nothing
    throw;
  }
}

void replace_file(const std::string& file, std::string_view text) {
  const auto draft = make_draft(file);
  try {
    {
      const descriptor fd(open(draft.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
      if (fd.get() < 0 ||
          write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
          fsync(fd.get()) != 0) {
        fail_errno(errno, fmt::format("{} could not be written", file), "check the disk");
      }
    }
    if (rename(draft.c_str(), file.c_str()) != 0) {
      fail_errno(errno, fmt::format("{} could not be written", file), "check the disk");
    }
  } catch (...) {
    unlink(draft.c_str());
    throw;
  }
  sync_path(directory_of(file), O_RDONLY | O_DIRECTORY);
}

}  // namespace bulkhead
