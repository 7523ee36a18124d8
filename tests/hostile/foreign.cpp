// SPDX-License-Identifier: Apache-2.0
// Threat 2: from a plugin to its neighbours, by what the kernel shares within one user.
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

/// Connects to `name`; `offset` 1 leaves the leading zero of an abstract one.
outcome connects(const char* name, std::size_t offset) {
  const auto end = static_cast<int>(call(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
  if (end < 0) return blocked();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path + offset, name, sizeof address.sun_path - 2);
  const auto size = offsetof(sockaddr_un, sun_path) + offset + strlen(name);
  return worked(call(SYS_connect, end, &address, size));
}

outcome attaches(const targets& at) {
  const long address = call(SYS_shmat, at.shared_memory, nullptr, SHM_RDONLY);
  if (address == -1) return blocked();
  return worked_if(is_secret({reinterpret_cast<const char*>(address), secret.size()}));
}

outcome makes_segment(const targets&) {
  const auto segment = static_cast<int>(call(SYS_shmget, IPC_PRIVATE, 4096UL, 0600 | IPC_CREAT));
  if (segment < 0) return blocked();
  call(SYS_shmctl, segment, IPC_RMID, nullptr);
  return succeeded();
}

outcome makes_semaphore(const targets&) {
  const auto set = static_cast<int>(call(SYS_semget, IPC_PRIVATE, 1, 0600 | IPC_CREAT));
  if (set < 0) return blocked();
  call(SYS_semctl, set, 0, IPC_RMID, 0);
  return succeeded();
}

outcome makes_queue(const targets&) {
  const auto queue = static_cast<int>(call(SYS_msgget, IPC_PRIVATE, 0600 | IPC_CREAT));
  if (queue < 0) return blocked();
  call(SYS_msgctl, queue, IPC_RMID, nullptr);
  return succeeded();
}

outcome reads_key(const targets& at) {
  std::array<char, 64> bytes{};
  const long size = call(SYS_keyctl, KEYCTL_READ, at.key, bytes.data(), bytes.size(), 0);
  if (size < 0) return blocked();
  return worked_if(is_secret({bytes.data(), bytes.size()}));
}

outcome adds_key(const targets&) {
  const long key =
      call(SYS_add_key, "user", "bulkhead-hostile-own", "x", 1UL, KEY_SPEC_USER_KEYRING);
  if (key < 0) return blocked();
  call(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING, 0, 0);
  return succeeded();
}

outcome finds_key(const targets&) {
  return worked(
      call(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "bulkhead-hostile-victim", 0));
}

constexpr attack table[] = {
    {"abstract", 2, "connects to an abstract socket of its user's",
     [](const targets& at) { return connects(at.abstract_socket, 1); }},
    {"unix_path", 2, "connects to a socket in the file system",
     [](const targets& at) { return connects(at.unix_socket, 0); }},
    {"shm", 2, "reads a System V segment of its user's", attaches},
    {"shm_make", 2, "makes a System V segment, which outlives it", makes_segment},
    {"sem_make", 2, "makes a System V semaphore, which outlives it", makes_semaphore},
    {"msg_make", 2, "makes a System V queue, which outlives it", makes_queue},
    {"mq", 2, "opens a message queue of its user's",
     [](const targets& at) {
       return worked(call(SYS_mq_open, at.queue + 1, O_RDONLY, 0, nullptr));
     }},
    {"keyring", 2, "leaves a key in its user's keyring", adds_key},
    {"keyctl", 2, "reads a key of its user's", reads_key},
    {"key_search", 2, "finds a key of its user's", finds_key},
    {"key_persistent", 2, "gets the keyring that outlives its user's sessions",
     [](const targets&) {
       return worked(call(SYS_keyctl, KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING, 0, 0));
     },
     "a kernel may be built without persistent keyrings"},
    {"key_session", 2, "joins a session keyring",
     [](const targets&) {
       return worked(call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr, 0, 0, 0));
     }},
};

}  // namespace

std::span<const attack> foreign_attacks() {
  return table;
}

}  // namespace hostile
