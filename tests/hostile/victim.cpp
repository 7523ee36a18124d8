// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/victim.hpp"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr std::size_t page = 4096;
constexpr int canary_descriptor = 20;

/// What attacks read: the secret at the start of a page of its own.
alignas(page) std::array<char, page> memory{};

int bound_port(int type) {
  const auto end = static_cast<int>(call(SYS_socket, AF_INET, type, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (call(SYS_bind, end, &address, size) < 0) return -1;
  if (type == SOCK_STREAM && call(SYS_listen, end, 64) < 0) return -1;
  if (call(SYS_getsockname, end, &address, &size) < 0) return -1;
  return ntohs(address.sin_port);
}

/// A socket of this name, which stands behind `offset` zeroes; -1 when it cannot be had.
int named_socket(int type, const char* name, std::size_t offset) {
  const auto end = static_cast<int>(call(SYS_socket, AF_UNIX, type, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path + offset, name, sizeof address.sun_path - 2);
  const auto size = offsetof(sockaddr_un, sun_path) + offset + strlen(name);
  return call(SYS_bind, end, &address, size) == 0 ? end : -1;
}

bool listens_at(const char* name, std::size_t offset) {
  const int end = named_socket(SOCK_STREAM, name, offset);
  return end >= 0 && call(SYS_listen, end, 256) == 0;
}

int shared_segment() {
  const auto segment = static_cast<int>(call(SYS_shmget, 0, page, 0600 | 01000 /* create */));
  const long address = call(SYS_shmat, segment, nullptr, 0);
  if (address == -1) return -1;
  memcpy(reinterpret_cast<void*>(address), secret.data(), secret.size());
  return segment;
}

int made_key() {
  return static_cast<int>(call(SYS_add_key, "user", "bulkhead-hostile-victim", secret.data(),
                               secret.size(), KEY_SPEC_USER_KEYRING));
}

}  // namespace

int serve_as_victim(const char* directory) {
  const auto self = static_cast<int>(call(SYS_getpid));
  memcpy(memory.data(), secret.data(), secret.size());
  std::array<char, 256> canary{};
  snprintf(canary.data(), canary.size(), "%s/canary", directory);
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, canary.data(), O_RDONLY, 0));
  if (file < 0 || call(SYS_dup2, file, canary_descriptor) < 0) return 20;
  std::array<char, 256> path{};
  snprintf(path.data(), path.size(), "%s/socket", directory);
  std::array<char, 64> name{};
  snprintf(name.data(), name.size(), "bulkhead-hostile-%d", self);
  if (!listens_at(path.data(), 0) || !listens_at(name.data(), 1)) return 21;
  std::array<char, 256> datagrams{};
  snprintf(datagrams.data(), datagrams.size(), "%s/datagrams", directory);
  if (named_socket(SOCK_DGRAM, datagrams.data(), 0) < 0) return 26;
  const int tcp = bound_port(SOCK_STREAM);
  const int udp = bound_port(SOCK_DGRAM);
  if (tcp < 0 || udp < 0) return 22;
  const int segment = shared_segment();
  if (segment < 0) return 23;
  if (call(SYS_mq_open, name.data(), O_RDWR | O_CREAT, 0600, nullptr) < 0) return 24;
  const int key = made_key();
  if (key < 0) return 25;
  printf(
      "victim=%d secret-at=%p victim-descriptor=%d tcp-port=%d udp-port=%d shared-memory=%d "
      "key=%d unix-socket=%s datagrams=%s abstract-socket=%s queue=/%s\n",
      self, static_cast<void*>(memory.data()), canary_descriptor, tcp, udp, segment, key,
      path.data(), datagrams.data(), name.data(), name.data());
  fflush(stdout);
  char byte = 0;
  while (call(SYS_read, 0, &byte, 1UL) > 0) {
  }
  call(SYS_shmctl, segment, 0 /* remove */, nullptr);
  call(SYS_mq_unlink, name.data());
  call(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING, 0, 0);
  call(SYS_unlink, path.data());
  call(SYS_unlink, datagrams.data());
  return 0;
}

int serve_as_parent(char** words) {
  const long child = call(SYS_clone, SIGCHLD, 0UL, 0UL, 0UL, 0UL);
  if (child < 0) return 30;
  if (child == 0) {
    call(SYS_close, end_descriptor);
    call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    call(SYS_execve, words[0], words, environ);
    return 31;
  }
  call(SYS_close, 3);
  siginfo_t info{};
  while (call(SYS_waitid, P_PID, child, &info, WEXITED, nullptr) < 0) {
    if (errno != EINTR) return 32;
  }
  const std::array<int, 2> end{info.si_code, info.si_status};
  return call(SYS_write, end_descriptor, end.data(), sizeof end) < 0 ? 33 : 0;
}

}  // namespace hostile
