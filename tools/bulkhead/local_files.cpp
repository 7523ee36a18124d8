// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/local_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "broker/trust/ed25519.hpp"
#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

constexpr unsigned for_others = 077;

[[noreturn]] void fail(const std::string& verb, const std::string& path, int why,
                       const std::string& remedy = {}) {
  throw failure(why == ENOENT ? exit_code::no_target : exit_code::failed,
                fmt::format("cannot {} '{}'", verb, wire::escape_line(path)),
                std::generic_category().message(why), remedy);
}

class descriptor {
 public:
  explicit descriptor(int number) : number_(number) {}
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  descriptor(descriptor&&) = delete;
  descriptor& operator=(descriptor&&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

/// Reads until `to` is full, or to the end. `to` never moves, so that no copy stays behind.
void read_into(int from, const std::string& path, std::string& to) {
  std::size_t size = 0;
  while (size < to.size()) {
    const ssize_t count = ::read(from, to.data() + size, to.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read", path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  to.resize(size);
}

std::string read_checked(const std::string& path, std::size_t bytes_max, bool is_private) {
  const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail("read", path, errno);
  struct stat about = {};
  if (::fstat(file.get(), &about) != 0) fail("read", path, errno);
  const std::string name = wire::escape_line(path);
  if (!S_ISREG(about.st_mode)) {
    throw failure(exit_code::failed, fmt::format("'{}' is no regular file", name));
  }
  if (is_private && (about.st_mode & for_others) != 0) {
    throw failure(exit_code::failed, fmt::format("others may read the secret key '{}'", name),
                  fmt::format("its mode is {:04o}", about.st_mode & 07777),
                  fmt::format("chmod 600 {}; if others had access to it, make a new one", name));
  }
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size > bytes_max) {
    throw failure(exit_code::failed, fmt::format("'{}' is too long", name),
                  fmt::format("it may have {} bytes", bytes_max));
  }
  std::string content(size + 1, '\0');
  read_into(file.get(), path, content);
  if (content.size() > size) {
    trust::cleanse(content);
    throw failure(exit_code::failed, fmt::format("'{}' grew while it was read", name));
  }
  return content;
}

void write_all(const descriptor& file, const std::string& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = ::write(file.get(), content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(file.get()) != 0) fail("write", path, errno);
}

/// The name of a file is on the disk only when its directory is.
void flush_directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot: they answer EINVAL. A directory may also be closed to readers.
  if (directory.get() >= 0 && ::fsync(directory.get()) != 0 && errno == EIO) {
    fail("write", path, EIO);
  }
}

/// Leaves nothing when it fails.
void write_new(const std::string& path, std::string_view content, unsigned mode) {
  const descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (file.get() < 0) {
    fail("create", path, errno,
         errno == EEXIST ? "it is there already: choose another name, or take it away" : "");
  }
  try {
    write_all(file, path, content);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

}  // namespace

bool file_exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::string read_file(const std::string& path, std::size_t bytes_max) {
  return read_checked(path, bytes_max, false);
}

std::string read_private_file(const std::string& path, std::size_t bytes_max) {
  return read_checked(path, bytes_max, true);
}

void create_file(const std::string& path, std::string_view content, unsigned mode) {
  write_new(path, content, mode);
  flush_directory_of(path);
}

void replace_file(const std::string& path, std::string_view content, unsigned mode) {
  const std::string fresh = fmt::format("{}.{}.new", path, ::getpid());
  write_new(fresh, content, mode);
  if (::rename(fresh.c_str(), path.c_str()) == 0) return flush_directory_of(path);
  const int why = errno;
  ::unlink(fresh.c_str());
  fail("replace", path, why);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove", path, errno);
}

}  // namespace bulkhead::cli
