// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/users.hpp"

#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {
namespace {

constexpr const char* folder = "/run";
constexpr const char* name = "bulkhead-users";

bool is_roots_alone(int file, mode_t type, mode_t forbidden) {
  struct stat found {};
  return ::fstat(file, &found) == 0 && (found.st_mode & S_IFMT) == type && found.st_uid == 0 &&
         (found.st_mode & forbidden) == 0;
}

/// The file whose bytes stand for the blocks: open, or -1 and errno.
int open_blocks() {
  const int place = ::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) return -1;
  int file = -1;
  errno = EPERM;
  if (is_roots_alone(place, S_IFDIR, S_IWGRP | S_IWOTH))
    file = ::openat(place, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  close_keeping_errno(place);
  if (file < 0 || is_roots_alone(file, S_IFREG, S_IRWXG | S_IRWXO)) return file;
  ::close(file);
  return errno = EPERM, -1;
}

/// 0, or errno: EUSERS when it is another's. The lock is that of the open file, not of the process:
/// it stays as long as that is open.
int hold(int file, std::uint32_t block) {
  struct flock one {};
  one.l_type = F_WRLCK;
  one.l_whence = SEEK_SET;
  one.l_start = block;
  one.l_len = 1;
  if (::fcntl(file, F_OFD_SETLK, &one) == 0) return 0;
  return errno == EAGAIN || errno == EACCES ? EUSERS : errno;
}

/// The first number of a text, which is taken off.
std::uint64_t number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t value = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1))
    value = value * 10 + static_cast<std::uint64_t>(text.front() - '0');
  return value;
}

/// Does this user namespace know the whole range?
bool is_mapped() {
  const int file = ::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;
  std::array<char, 4096> bytes;
  const auto size = ::read(file, bytes.data(), bytes.size());
  ::close(file);
  std::string_view text{bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  while (!text.empty()) {
    const auto from = number(text);
    number(text);
    const auto count = number(text);
    if (from <= user_range::first &&
        from + count >=
            user_range::first + std::uint64_t{user_range::blocks} * user_range::block_size)
      return true;
    text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
  }
  return false;
}

}  // namespace

int user_range::claim_block() {
  if (!is_mapped()) return EINVAL;
  const int file = open_blocks();
  if (file < 0) return errno;
  std::uint32_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) start = 0;
  int error = EUSERS;
  for (std::uint32_t n = 0; n < blocks && error == EUSERS; ++n) {
    const std::uint32_t block = (start + n) % blocks;
    error = hold(file, block);
    if (error == 0) base_ = first + block * block_size;
  }
  if (error != 0) ::close(file);  // otherwise it stays open as long as this process runs
  return error;
}

std::uint32_t user_range::take() {
  for (std::uint32_t n = 0; n < block_size && base_ != 0; ++n) {
    const std::uint32_t at = next_;
    next_ = (next_ + 1) % block_size;
    if (taken_.test(at)) continue;
    taken_.set(at);
    return base_ + at;
  }
  return 0;
}

void user_range::give_back(std::uint32_t user) {
  if (user >= base_ && user - base_ < block_size) taken_.reset(user - base_);
}

}  // namespace bulkhead::launcher
