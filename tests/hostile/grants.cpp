// SPDX-License-Identifier: Apache-2.0
// Threat 3, where a directory was granted: out of it, and with what is in it more than to read or
// to write. Without the grant these are attacks on files like any other.
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

using path_text = std::array<char, 512>;

outcome reads_secret_at(const char* path) {
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
  return file < 0 ? blocked() : reads_secret(file);
}

outcome follows_link(const targets& at) {
  path_text path{};
  snprintf(path.data(), path.size(), "%s/way-out", at.directory);
  return reads_secret_at(path.data());
}

outcome goes_beside(const targets& at) {
  path_text path{};
  snprintf(path.data(), path.size(), "%s/..%s", at.directory, strrchr(at.outside, '/'));
  return reads_secret_at(path.data());
}

/// From a descriptor on the directory, as one would leave a root that is only a chroot.
outcome goes_up(const targets& at) {
  const auto directory = static_cast<int>(
      call(SYS_openat, AT_FDCWD, at.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (directory < 0) return blocked();
  path_text path{};
  snprintf(path.data(), path.size(), "../../../../../../..%s", at.outside);
  const auto file = static_cast<int>(call(SYS_openat, directory, path.data(), O_RDONLY, 0));
  return file < 0 ? blocked() : reads_secret(file);
}

outcome uses_device(const targets& at) {
  if (*at.node == '\0') return not_applicable();
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, at.node, O_RDONLY | O_CLOEXEC, 0));
  if (file < 0) return blocked();
  char byte = 1;
  const outcome result = worked(call(SYS_read, file, &byte, 1UL));
  call(SYS_close, file);
  return result;
}

/// A socket whose other end is its own as well; but whoever sends may name another.
outcome sends_by_name(const targets& at) {
  std::array<int, 2> pair{};
  if (call(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair.data()) < 0) return blocked();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", at.datagrams);
  const long sent = call(SYS_sendto, pair[0], "x", 1UL, MSG_DONTWAIT, &address, sizeof address);
  return worked_if(sent == 1 || errno == EAGAIN);  // the queue may be full, but was reached
}

/// A program that whoever runs it runs as this user: for somebody else on the machine to find.
outcome leaves_set_uid(const targets& at) {
  path_text path{};
  snprintf(path.data(), path.size(), "%s/left", at.directory);
  const auto file = static_cast<int>(
      call(SYS_openat, AT_FDCWD, path.data(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755));
  if (file < 0) return blocked();
  struct stat made {};
  const long seen = call(SYS_fstat, file, &made);
  call(SYS_close, file);
  call(SYS_unlink, path.data());
  return worked_if(seen == 0 && (made.st_mode & S_ISUID) != 0);
}

constexpr attack table[] = {
    {"link_out", 3, "reads what a link in a directory leads out to", follows_link},
    {"beside", 3, "reads what is beside a directory", goes_beside},
    {"upwards", 3, "reads what is above a directory that it has open", goes_up},
    {"node", 3, "uses a device that lies in a directory", uses_device,
     "needs a node, which only root makes"},
    {"send_named", 2, "sends to a socket that lies in a directory", sends_by_name},
    {"leave_set_uid", 5, "leaves a set-uid program of its user's", leaves_set_uid},
};

}  // namespace

std::span<const attack> grant_attacks() {
  return table;
}

}  // namespace hostile
