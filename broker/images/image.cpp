// SPDX-License-Identifier: Apache-2.0
#include "broker/images/image.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <vector>

namespace bulkhead {
namespace {

// Newer than the oldest headers that this is built with.
constexpr unsigned memfd_exec = 0x0010U;  // MFD_EXEC, Linux 6.3
constexpr int seal_exec = 0x0020;         // F_SEAL_EXEC, Linux 6.3

constexpr int seals_needed = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr mode_t program_mode = 0111;
constexpr mode_t script_mode = 0555;
constexpr std::size_t chunk_bytes = std::size_t{128} << 10U;

[[noreturn]] void refuse(image_failure failure, const std::string& name, const std::string& why,
                         const std::string& remedy) {
  throw image_error{failure, fmt::format("{} cannot be run", name), why, remedy};
}

[[noreturn]] void refuse_errno(const std::string& name, int error_number) {
  if (error_number == ENOMEM || error_number == ENOSPC) {
    refuse(image_failure::no_memory, name, "there is no memory for a copy of it",
           "free memory, or raise the limit of the broker's service");
  }
  refuse(image_failure::system, name, std::generic_category().message(error_number), "");
}

/// Empty memory that may be sealed and executed. What `ps` shows of a process is its argument zero;
/// the memory's own name is seen in /proc/PID/exe.
unique_fd make_memory(const std::string& name) {
  constexpr std::size_t name_bytes_max = 64;
  const auto shown = name.substr(name.rfind('/') + 1).substr(0, name_bytes_max);
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  unique_fd memory{::memfd_create(shown.c_str(), flags | memfd_exec)};
  if (!memory && errno == EINVAL) memory = unique_fd{::memfd_create(shown.c_str(), flags)};
  if (memory) return memory;
  if (errno == EACCES || errno == EPERM || errno == ENOSYS) {
    refuse(image_failure::memory_not_sealed, name,
           "this machine makes no executable memory (vm.memfd_noexec, or a rule of its container)",
           "set vm.memfd_noexec to 0 or 1");
  }
  refuse_errno(name, errno);
}

void write_all(const unique_fd& memory, const char* from, std::size_t bytes,
               const std::string& name) {
  while (bytes > 0) {
    const auto put = ::write(memory.get(), from, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) refuse_errno(name, errno);
    from += put;
    bytes -= static_cast<std::size_t>(put);
  }
}

/// Copies up to the end of the file as it is by then; returns how much that was.
std::uint64_t copy(const plugin_file& file, const unique_fd& memory, std::uint64_t bytes_max) {
  std::vector<char> chunk(chunk_bytes);
  std::uint64_t copied = 0;
  for (;;) {
    const auto got = ::read(file.fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_errno(file.name, errno);
    if (got == 0) return copied;
    copied += static_cast<std::uint64_t>(got);
    if (copied > bytes_max) {
      refuse(image_failure::file_too_large, file.name,
             fmt::format("it is longer than {} bytes (plugin_file_bytes_max)", bytes_max),
             "strip it, or raise the limit");
    }
    write_all(memory, chunk.data(), static_cast<std::size_t>(got), file.name);
  }
}

struct stat look_at(const plugin_file& file) {
  struct stat info {};
  if (::fstat(file.fd.get(), &info) != 0) refuse_errno(file.name, errno);
  return info;
}

bool same_moment(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/// False when somebody wrote to the file in between, as far as its times can tell.
bool unchanged(const struct stat& before, const struct stat& after, std::uint64_t copied) {
  return before.st_size == after.st_size && static_cast<std::uint64_t>(after.st_size) == copied &&
         same_moment(before.st_mtim, after.st_mtim) && same_moment(before.st_ctim, after.st_ctim);
}

bool is_script(const unique_fd& memory) {
  std::array<char, 2> start{};
  return ::pread(memory.get(), start.data(), start.size(), 0) == 2 &&
         std::string_view{start.data(), start.size()} == "#!";
}

/// From here on nobody changes a byte, nor (from Linux 6.3 on) who may execute it. The other bits
/// of the mode stay changeable for a process of the broker's user; they decide who may read it.
void seal(const unique_fd& memory, const std::string& name) {
  // Which of the two modes is decided on bytes that are not sealed yet. Whoever could change them
  // now gets a program with the wrong mode; what it is gets decided again, on the sealed bytes.
  if (::fchmod(memory.get(), is_script(memory) ? script_mode : program_mode) != 0)
    refuse_errno(name, errno);
  int sealed = ::fcntl(memory.get(), F_ADD_SEALS, seals_needed | seal_exec);
  if (sealed != 0 && errno == EINVAL) sealed = ::fcntl(memory.get(), F_ADD_SEALS, seals_needed);
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (sealed != 0 || seals < 0 || (seals & seals_needed) != seals_needed) {
    refuse(image_failure::memory_not_sealed, name, "its copy in memory could not be sealed",
           "find out which process of the broker's user has the broker's memory open");
  }
}

[[noreturn]] void refuse_changed(const std::string& name) {
  refuse(image_failure::file_changed, name, "it was written to while it was read",
         "put the finished file there by renaming it");
}

[[noreturn]] void refuse_digest(const std::string& name, const trust::digest& expected,
                                const trust::digest& found) {
  refuse(image_failure::digest_mismatch, name,
         fmt::format("its SHA-256 is {}, and {} is expected", to_hex(found), to_hex(expected)),
         "put the file that was registered back, or register this one as another version");
}

}  // namespace

std::shared_ptr<const image> make_image(plugin_file file,
                                        const std::optional<trust::digest>& expected,
                                        std::uint64_t file_bytes_max) {
  const auto before = look_at(file);
  const std::shared_ptr<image> made{new image};
  made->fd_ = make_memory(file.name);
  made->size_ = copy(file, made->fd_, file_bytes_max);
  const bool quiet = unchanged(before, look_at(file), made->size_);
  seal(made->fd_, file.name);
  try {
    made->digest_ = sha256_of(made->fd_.get(), made->size_);
    // The right bytes are right, whoever else has written meanwhile.
    if (!quiet && expected != made->digest_) refuse_changed(file.name);
    if (expected && *expected != made->digest_) refuse_digest(file.name, *expected, made->digest_);
    made->kind_ = inspect_program(made->fd_.get(), made->size_, file.name);
  } catch (const std::system_error& failed) {
    refuse_errno(file.name, failed.code().value());
  }
  return made;
}

}  // namespace bulkhead
