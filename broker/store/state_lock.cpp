// SPDX-License-Identifier: Apache-2.0
#include "broker/store/state_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "broker/store/file_work.hpp"

namespace bulkhead {
namespace {

void secure_directory(const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) {
    auto parent = std::filesystem::path(directory).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      fail_errno(errno, fmt::format("the state directory {} could not be made", directory),
                 "check the path and its permissions");
    }
  }
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    fail_errno(errno != 0 ? errno : ENOTDIR,
               fmt::format("the state directory {} could not be used", directory),
               "check the path and its permissions");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw store_error(store_fault::exposed,
                      fmt::format("the state directory {} is open to other users", directory),
                      fmt::format("its mode is {:04o}: others could replace the state",
                                  static_cast<unsigned>(info.st_mode & 07777)),
                      fmt::format("chmod 700 {}", directory));
  }
}

}  // namespace

state_lock::state_lock(const std::string& file) {
  secure_directory(directory_of(file));
  const std::string path = file + ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) {
    fail_errno(errno, fmt::format("the lock {} could not be made", path),
               "check the state directory and its permissions");
  }
  std::array<char, 32> text{};
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const auto size = pread(fd_, text.data(), text.size() - 1, 0);
    close(fd_);
    if (error != EWOULDBLOCK) {
      fail_errno(error, fmt::format("the lock {} could not be taken", path), "check the disk");
    }
    std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    holder = holder.substr(0, holder.find_first_not_of("0123456789"));
    throw store_error(store_fault::locked, fmt::format("the state {} is in use", file),
                      holder.empty() ? "another broker holds its lock"
                                     : fmt::format("the broker with pid {} holds its lock", holder),
                      "stop that broker, or give this one another state directory");
  }
  // Best effort: a full disk must not keep a broker from serving reads.
  const auto pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd_, 0) == 0 && pwrite(fd_, pid.data(), pid.size(), 0) < 0) {
    static_cast<void>(ftruncate(fd_, 0));
  }
}

state_lock::~state_lock() {
  close(fd_);
}

}  // namespace bulkhead
