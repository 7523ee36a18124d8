// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/users.hpp"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {
namespace {

/// 0, or errno.
int hold_name(int socket, std::uint32_t block) {
  short_text<64> name;
  name << "bulkhead-users-" << block;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A zero byte in front makes it abstract.
  std::memcpy(address.sun_path + 1, name.c_str(), name.view().size());
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.view().size());
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
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
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return errno;
  std::uint32_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) start = 0;
  int error = EADDRINUSE;
  for (std::uint32_t n = 0; n < blocks && error == EADDRINUSE; ++n) {
    const std::uint32_t block = (start + n) % blocks;
    error = hold_name(socket, block);
    if (error == 0) base_ = first + block * block_size;
  }
  if (error != 0) ::close(socket);  // otherwise it stays open as long as this process runs
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
