// SPDX-License-Identifier: Apache-2.0
// Threat 4: from a plugin to the network, and what else a socket is good for.
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

int socket_of(int family, int type, int protocol = 0) {
  return static_cast<int>(call(SYS_socket, family, type | SOCK_CLOEXEC, protocol));
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

outcome connects(const targets& at) {
  const int end = socket_of(AF_INET, SOCK_STREAM);
  if (end < 0) return blocked();
  const auto address = loopback(at.tcp_port);
  return worked(call(SYS_connect, end, &address, sizeof address));
}

outcome sends(const targets& at) {
  const int end = socket_of(AF_INET, SOCK_DGRAM);
  if (end < 0) return blocked();
  const auto address = loopback(at.udp_port);
  return worked(call(SYS_sendto, end, "x", 1UL, 0, &address, sizeof address));
}

outcome listens(const targets&) {
  const int end = socket_of(AF_INET, SOCK_STREAM);
  if (end < 0) return blocked();
  const auto address = loopback(0);
  if (call(SYS_bind, end, &address, sizeof address) < 0) return blocked();
  return worked(call(SYS_listen, end, 1));
}

outcome opens_netlink(const targets&) {
  const int end = socket_of(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (end < 0) return blocked();
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  return worked(call(SYS_bind, end, &address, sizeof address));
}

outcome opens_algorithm(const targets&) {
  const int end = socket_of(AF_ALG, SOCK_SEQPACKET);
  if (end < 0) return blocked();
  sockaddr_alg address{};
  address.salg_family = AF_ALG;
  memcpy(address.salg_type, "hash", 5);
  memcpy(address.salg_name, "sha256", 7);
  return worked(call(SYS_bind, end, &address, sizeof address));
}

outcome makes_pair(const targets&) {
  std::array<int, 2> ends{};
  return worked(call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends.data()));
}

outcome lists_interfaces(const targets&) {
  // The link at 3 is a socket too, and answers for the network that it was born in.
  std::array<ifreq, 8> found{};
  ifconf list{};
  list.ifc_len = sizeof found;
  list.ifc_req = found.data();
  if (call(SYS_ioctl, 3, SIOCGIFCONF, &list) < 0) return blocked();
  return worked_if(list.ifc_len > 0);
}

outcome knows_peer(const targets&) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (call(SYS_getsockopt, 3, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return blocked();
  return worked_if(peer.pid > 0);
}

outcome widens_buffer(const targets&) {
  const int bytes = 8 << 20;
  return worked(call(SYS_setsockopt, 3, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes));
}

outcome sends_out_of_band(const targets&) {
  return worked(call(SYS_sendto, 3, "x", 1UL, MSG_OOB, nullptr, 0));
}

outcome sends_message_out_of_band(const targets&) {
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return worked(call(SYS_sendmsg, 3, &message, MSG_OOB));
}

outcome receives(const targets&) {
  char byte = 0;
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const long got = call(SYS_recvmsg, 3, &message, MSG_DONTWAIT);
  return worked_if(got >= 0 || errno == EAGAIN);
}

outcome sends_descriptors(const targets&) {
  char byte = 'x';
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = 1;
  memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  return worked(call(SYS_sendmsg, 3, &message, 0));
}

outcome reconnects_link(const targets&) {
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  const long result = call(SYS_connect, 3, &nowhere, sizeof nowhere);
  return worked_if(result == 0 || errno == EINVAL);  // the kernel looked at the address
}

constexpr attack table[] = {
    {"tcp", 4, "connects by TCP", connects},
    {"udp", 4, "sends by UDP", sends},
    {"listen", 4, "listens on a port", listens},
    {"inet6", 4, "makes an IPv6 socket",
     [](const targets&) { return worked(socket_of(AF_INET6, SOCK_DGRAM)); },
     "a kernel may be without IPv6"},
    {"ping_socket", 4, "makes a socket for echo requests",
     [](const targets&) { return worked(socket_of(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)); },
     "net.ipv4.ping_group_range decides"},
    {"raw_socket", 4, "makes a socket below TCP",
     [](const targets&) { return worked(socket_of(AF_INET, SOCK_RAW, IPPROTO_TCP)); },
     "needs root"},
    {"netlink", 4, "talks to the kernel about the network", opens_netlink},
    {"netlink_diag", 4, "asks the kernel who is connected",
     [](const targets&) { return worked(socket_of(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)); }},
    {"packet", 4, "sees all packets",
     [](const targets&) { return worked(socket_of(AF_PACKET, SOCK_RAW)); }, "needs root"},
    {"xdp", 4, "makes a socket on a driver's queue",
     [](const targets&) { return worked(socket_of(44, SOCK_RAW)); }, "needs root"},
    {"vsock", 4, "makes a socket to the machine's host",
     [](const targets&) { return worked(socket_of(AF_VSOCK, SOCK_STREAM)); },
     "a kernel may be without vsock"},
    {"alg", 4, "makes a socket to the kernel's ciphers", opens_algorithm,
     "a kernel may be without AF_ALG"},
    {"socketpair", 4, "makes sockets", makes_pair},
    {"ifconf", 4, "lists the interfaces of the network by its link", lists_interfaces},
    {"peercred", 4, "learns who the broker is by its link", knows_peer},
    {"reconnect", 4, "connects its link elsewhere", reconnects_link},
    {"setsockopt", 7, "makes the buffers of its link larger", widens_buffer},
    {"oob", 7, "sends out of band on its link", sends_out_of_band},
    {"oob_message", 7, "sends out of band in a message on its link", sends_message_out_of_band},
    {"recvmsg", 7, "receives descriptors on its link", receives},
    {"scm", 12, "sends descriptors to the broker", sends_descriptors},
};

}  // namespace

std::span<const attack> network_attacks() {
  return table;
}

}  // namespace hostile
