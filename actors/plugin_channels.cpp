// SPDX-License-Identifier: Apache-2.0
#include "actors/plugin_channels.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace bulkhead {
namespace {

int check(int rc, const char* call) {
  if (rc < 0) throw std::system_error{errno, std::generic_category(), call};
  return rc;
}

two_ends prepared(const std::array<int, 2>& ends) {
  two_ends channel{unique_fd{ends[0]}, unique_fd{ends[1]}};
  const int flags = check(::fcntl(channel.ours.get(), F_GETFL), "fcntl");
  check(::fcntl(channel.ours.get(), F_SETFL, flags | O_NONBLOCK), "fcntl");
  channel.theirs = out_of_the_way(std::move(channel.theirs));
  return channel;
}

}  // namespace

unique_fd copy_out_of_the_way(const unique_fd& fd) {
  const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, first_safe_fd);
  if (copy < 0 && errno == EINVAL) errno = EMFILE;  // RLIMIT_NOFILE is below `first_safe_fd`
  return unique_fd{check(copy, "fcntl")};
}

unique_fd out_of_the_way(unique_fd fd) {
  return fd.get() >= first_safe_fd ? std::move(fd) : copy_out_of_the_way(fd);
}

two_ends make_link_channel() {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  return prepared(ends);
}

two_ends make_output_channel() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  return prepared(ends);
}

bool is_script(const unique_fd& program) {
  std::array<char, 2> start{};
  return ::pread(program.get(), start.data(), start.size(), 0) == 2 && start[0] == '#' &&
         start[1] == '!';
}

}  // namespace bulkhead
