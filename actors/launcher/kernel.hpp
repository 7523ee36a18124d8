// SPDX-License-Identifier: Apache-2.0
// What the kernel offers and Debian's headers of 6.1 or its C library do not, and what it takes to
// use that without a heap. Everything returns -1 and errno as system calls do, or says otherwise.
#pragma once

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace bulkhead::launcher {

inline constexpr std::uint64_t clone_into_cgroup = 0x200000000;
inline constexpr std::uint64_t clone_clear_handlers = 0x100000000;
inline constexpr int set_mdwe = 65;           // PR_SET_MDWE
inline constexpr unsigned mdwe_refuse = 1;    // PR_MDWE_REFUSE_EXEC_GAIN
inline constexpr long landlock_create = 444;  // the same numbers on every architecture
inline constexpr long landlock_add = 445;
inline constexpr long landlock_restrict = 446;

/// A text of limited length; what does not fit is cut off, which `fits` tells.
template <std::size_t Size>
class short_text {
 public:
  short_text& operator<<(std::string_view text) {
    if (text.size() >= Size - length_) {
      fits_ = false;
      text = text.substr(0, Size - length_ - 1);
    }
    std::memcpy(text_.data() + length_, text.data(), text.size());
    length_ += text.size();
    return *this;
  }
  short_text& operator<<(std::uint64_t number) {
    std::array<char, 20> digits;
    std::size_t first = digits.size();
    do {
      digits[--first] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return *this << std::string_view{digits.data() + first, digits.size() - first};
  }

  const char* c_str() const { return text_.data(); }
  std::string_view view() const { return {text_.data(), length_}; }
  bool fits() const { return fits_; }

 private:
  std::array<char, Size> text_{};
  std::size_t length_ = 0;
  bool fits_ = true;
};

using path_text = short_text<512>;

/// 0, or errno. The file is there already.
inline int write_file(int directory, const char* path, std::string_view text) {
  const int file = ::openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return errno;
  const auto written = ::write(file, text.data(), text.size());
  const int error = written < 0 ? errno : written == static_cast<ssize_t>(text.size()) ? 0 : EIO;
  ::close(file);
  return error;
}

/// Leaves errno to what it told before.
inline void close_keeping_errno(int fd) {
  const int error = errno;
  ::close(fd);
  errno = error;
}

inline std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

/// A copy of this process, as fork makes one; with a handle on it in `pidfd`. 0 in the copy. Only
/// for a process without threads.
inline pid_t copy_process(std::uint64_t flags, int& pidfd, int cgroup = -1) {
  clone_args wanted{};
  wanted.flags = flags | CLONE_PIDFD | clone_clear_handlers;
  if (cgroup >= 0) {
    wanted.flags |= clone_into_cgroup;
    wanted.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  wanted.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  wanted.exit_signal = 17;  // SIGCHLD
  return static_cast<pid_t>(::syscall(SYS_clone3, &wanted, sizeof wanted));
}

}  // namespace bulkhead::launcher
