// SPDX-License-Identifier: Apache-2.0
// Messages with descriptors over a SOCK_SEQPACKET socket, without a heap.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>

namespace bulkhead::launcher {

inline constexpr std::size_t message_fds_max = 253;  // of the kernel, SCM_MAX_FD

/// False, with errno, when it could not be sent whole; nothing of it has been then.
inline bool send_message(int socket, const void* bytes, std::size_t size,
                         std::span<const int> descriptors = {}, int flags = 0) {
  alignas(cmsghdr) char control[CMSG_SPACE(message_fds_max * sizeof(int))];
  iovec part{const_cast<void*>(bytes), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(control, 0, message.msg_controllen);
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

struct received_message {
  ssize_t size = 0;       // 0: end of file; below 0: errno says why
  std::size_t fds = 0;    // how many of the caller's were filled
  bool cut_off = false;   // it, or its descriptors, were longer than the room
  bool fds_lost = false;  // of these two the latter; or this process has no room for more
};

/// All descriptors that came are in `descriptors`, close-on-exec.
inline received_message receive_message(int socket, void* bytes, std::size_t size,
                                        std::span<int> descriptors, int flags = 0) {
  alignas(cmsghdr) char control[CMSG_SPACE(message_fds_max * sizeof(int))];
  iovec part{bytes, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  // Not CMSG_SPACE, which rounds up: where there is room for one more the kernel puts one more.
  message.msg_controllen = CMSG_LEN(descriptors.size_bytes());
  received_message got;
  do {
    got.size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (got.size < 0 && errno == EINTR);
  if (got.size < 0) return got;
  got.cut_off = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  got.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(descriptors.data() + got.fds, CMSG_DATA(head), here * sizeof(int));
    got.fds += here;
  }
  return got;
}

}  // namespace bulkhead::launcher
