// SPDX-License-Identifier: Apache-2.0
#include "broker/images/plugin_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <vector>

namespace bulkhead {
namespace {

[[noreturn]] void refuse(image_failure failure, const std::string& path, const std::string& why,
                         const std::string& remedy) {
  throw image_error{failure, fmt::format("{} cannot be used for plugins", path), why, remedy};
}

[[noreturn]] void refuse_errno(const std::string& path, int error_number) {
  if (error_number == EACCES) {
    refuse(image_failure::not_readable, path, "the broker's user may not open it",
           "permit that user to read the file and to enter the directories on the way to it");
  }
  refuse(image_failure::system, path, std::generic_category().message(error_number),
         error_number == ENOSYS || error_number == EPERM
             ? "run on Linux 5.6 or newer, with openat2 permitted"
             : "");
}

/// Opens one component beneath a directory. Empty: errno says why not.
unique_fd open_component(const unique_fd& directory, const std::string& name, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  do {
    fd = ::syscall(SYS_openat2, directory.get(), name.c_str(), &how, sizeof how);
  } while (fd < 0 && errno == EINTR);
  return unique_fd{static_cast<int>(fd)};
}

struct stat look_at(const unique_fd& fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) refuse_errno(path, errno);
  return info;
}

bool is_trusted(uid_t owner) {
  return owner == 0 || owner == ::geteuid();
}

bool others_may_write(const struct stat& info) {
  return (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

/// `above`: something else is looked for beneath it, so it may be sticky.
void check_directory(const struct stat& info, const std::string& path, bool above) {
  if (S_ISLNK(info.st_mode)) {
    refuse(image_failure::directory_is_link, path, "it is a symbolic link",
           fmt::format("name the directory by its real path, which realpath {} tells", path));
  }
  if (!S_ISDIR(info.st_mode))
    refuse(image_failure::not_a_directory, path, "it is no directory", "name a directory");
  if (!is_trusted(info.st_uid)) {
    refuse(image_failure::directory_owner, path, "it belongs to neither root nor the broker's user",
           fmt::format("chown root {}, or keep plugins elsewhere", path));
  }
  if (others_may_write(info) && !(above && (info.st_mode & S_ISVTX) != 0)) {
    refuse(image_failure::directory_writable, path, "others may write to it",
           fmt::format("chmod go-w {}, or keep plugins elsewhere", path));
  }
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    parts.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_control(char letter) {
  return static_cast<unsigned char>(letter) < ' ' || letter == '\x7f';
}

/// Paths stand in texts that people read, and in commands that they are told to run.
bool has_control(const std::string& path) {
  return std::any_of(path.begin(), path.end(), is_control);
}

/// As far as it can be shown: control characters are not.
std::string shown(const std::string& text) {
  constexpr std::size_t shown_max = 200;
  std::string safe = text.substr(0, shown_max);
  std::replace_if(safe.begin(), safe.end(), is_control, '?');
  return safe;
}

std::vector<std::string> parts_of_command(const std::string& command) {
  const auto bad = [&](const char* why) {
    throw image_error{image_failure::bad_command,
                      fmt::format("'{}' names no plugin file", shown(command)), why,
                      "name a file by its path beneath the plugin directory"};
  };
  if (command.empty()) bad("it is empty");
  if (has_control(command)) bad("it holds a control character");
  if (command.front() == '/') bad("it is absolute");
  if (command.size() >= PATH_MAX) bad("it is too long for a path");
  auto parts = split(command);
  for (const auto& part : parts) {
    if (part.empty() || part == "." || part == "..") bad("it holds an empty part, '.' or '..'");
    if (part.size() > NAME_MAX) bad("a part of it is too long for a name");
  }
  return parts;
}

void check_file(const struct stat& info, const std::string& path, std::uint64_t bytes_max) {
  const auto mode = info.st_mode;
  if (S_ISLNK(mode)) {
    refuse(image_failure::file_is_link, path, "it is a symbolic link",
           "name the file itself, or copy it there");
  }
  if (!S_ISREG(mode)) refuse(image_failure::not_a_file, path, "it is no file", "name a program");
  if (!is_trusted(info.st_uid)) {
    refuse(image_failure::file_owner, path, "it belongs to neither root nor the broker's user",
           fmt::format("look at what it is, then chown root {}", path));
  }
  if (others_may_write(info)) {
    refuse(image_failure::file_writable, path, "others may write to it",
           fmt::format("look at what it is, then chmod go-w {}", path));
  }
  if ((mode & (S_ISUID | S_ISGID)) != 0) {
    refuse(image_failure::file_setid, path, "it is setuid or setgid",
           fmt::format("chmod ug-s {}: a plugin runs as the broker says", path));
  }
  if ((mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
    refuse(image_failure::not_executable, path, "nobody may execute it",
           fmt::format("chmod +x {}", path));
  }
  if (info.st_size == 0)
    refuse(image_failure::file_empty, path, "it is empty", "copy the program again");
  if (static_cast<std::uint64_t>(info.st_size) > bytes_max) {
    refuse(image_failure::file_too_large, path,
           fmt::format("it is longer than {} bytes (plugin_file_bytes_max)", bytes_max),
           "strip it, or raise the limit");
  }
}

}  // namespace

plugin_directory::plugin_directory(const std::string& path) : path_(path) {
  const auto bad = [&](const char* why) {
    throw image_error{image_failure::directory_not_absolute,
                      fmt::format("'{}' names no plugin directory", shown(path)), why,
                      "name the directory by its whole path"};
  };
  if (path.empty() || path.front() != '/') bad("its path does not begin with '/'");
  if (has_control(path)) bad("it holds a control character");
  std::vector<std::string> parts;
  for (auto& part : split(path)) {
    if (part == "." || part == "..") bad("it holds '.' or '..'");
    if (!part.empty()) parts.push_back(std::move(part));
  }
  std::string walked = "/";
  fd_ = unique_fd{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!fd_) refuse_errno(walked, errno);
  for (std::size_t i = 0;; ++i) {
    const bool above = i < parts.size();
    check_directory(look_at(fd_, walked), walked, above);
    if (!above) return;
    walked += (i == 0 ? "" : "/") + parts[i];
    auto next = open_component(fd_, parts[i], O_PATH);
    if (!next && errno == ENOENT)
      refuse(image_failure::directory_missing, walked, "it does not exist", "make it");
    if (!next) refuse_errno(walked, errno);
    fd_ = std::move(next);
  }
}

plugin_file plugin_directory::open(const std::string& command, std::uint64_t file_bytes_max) const {
  const auto parts = parts_of_command(command);
  const auto whole = path_ + "/" + command;
  unique_fd below;
  const auto* directory = &fd_;
  // First by O_PATH, which opens no device and wakes no FIFO; then for reading, and once more.
  const auto step = [&](const std::string& name) {
    auto next = open_component(*directory, name, O_PATH);
    if (!next && errno == ENOENT)
      refuse(image_failure::file_missing, whole, "there is no such file", "put the program there");
    if (!next) refuse_errno(whole, errno);
    return next;
  };
  std::string walked = path_;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    walked += "/" + parts[i];
    auto next = step(parts[i]);
    const auto info = look_at(next, whole);
    if (S_ISLNK(info.st_mode)) {
      refuse(image_failure::file_is_link, whole, "it is reached through a symbolic link",
             "name the file by its real path, or copy it there");
    }
    if (!S_ISDIR(info.st_mode))
      refuse(image_failure::file_missing, whole, "there is no such file", "put the program there");
    check_directory(info, walked, false);
    below = std::move(next);
    directory = &below;
  }
  check_file(look_at(step(parts.back()), whole), whole, file_bytes_max);
  auto fd = open_component(*directory, parts.back(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) refuse_errno(whole, errno);
  const auto info = look_at(fd, whole);
  check_file(info, whole, file_bytes_max);
  return {std::move(fd), static_cast<std::uint64_t>(info.st_size), whole};
}

}  // namespace bulkhead
