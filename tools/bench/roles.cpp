// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/roles.hpp"

#include <capnp/rpc-twoparty.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "schema/wire/connection.hpp"
#include "tools/bench/echo.capnp.h"

namespace bulkhead::bench {

namespace {

constexpr int client_fd = 3;
constexpr int server_fd = 4;
constexpr std::size_t relay_bytes = 64 * 1024;

bool write_all(int fd, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t sent = ::write(fd, data, bytes);
    if (sent <= 0) return false;
    data += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

int raw_echo() {
  std::vector<char> buffer(relay_bytes);
  for (;;) {
    const ssize_t got = ::read(client_fd, buffer.data(), buffer.size());
    if (got <= 0) return 0;
    if (!write_all(client_fd, buffer.data(), static_cast<std::size_t>(got))) return 0;
  }
}

// One direction of the relay: what was read and is not yet written.
struct direction {
  int from;
  int to;
  std::vector<char> buffer = std::vector<char>(relay_bytes);
  std::size_t begin = 0;
  std::size_t end = 0;

  bool empty() const { return begin == end; }

  // False at the end of the stream.
  bool read_some() {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    begin = 0;
    end = got < 0 ? 0 : static_cast<std::size_t>(got);
    return true;
  }

  bool write_some() {
    const ssize_t sent = ::write(to, buffer.data() + begin, end - begin);
    if (sent < 0) return errno == EAGAIN;
    begin += static_cast<std::size_t>(sent);
    return true;
  }
};

int relay() {
  for (int fd : {client_fd, server_fd}) {
    KJ_SYSCALL(::fcntl(fd, F_SETFL, O_NONBLOCK));
  }
  direction ways[] = {{client_fd, server_fd}, {server_fd, client_fd}};
  for (;;) {
    pollfd waits[] = {{client_fd, 0, 0}, {server_fd, 0, 0}};
    for (int i = 0; i < 2; ++i) {
      if (ways[i].empty()) waits[i].events |= POLLIN;
      if (!ways[1 - i].empty()) waits[i].events |= POLLOUT;
    }
    if (::poll(waits, 2, -1) < 0) return 1;
    for (int i = 0; i < 2; ++i) {
      auto& way = ways[i];
      if (way.empty() && waits[i].revents != 0 && !way.read_some()) return 0;
      if (!way.empty() && !way.write_some()) return 0;
    }
  }
}

class echo_server final : public Echo::Server {
 protected:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setData(context.getParams().getData());
    return kj::READY_NOW;
  }
};

kj::Own<kj::AsyncIoStream> wrap(kj::AsyncIoContext& io, int fd) {
  return io.lowLevelProvider->wrapSocketFd(fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
}

int rpc_echo() {
  auto io = kj::setupAsyncIo();
  auto stream = wrap(io, client_fd);
  capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
  auto rpc = capnp::makeRpcServer(network, kj::heap<echo_server>());
  network.onDisconnect().wait(io.waitScope);
  return 0;
}

int rpc_proxy() {
  auto io = kj::setupAsyncIo();
  auto below = wrap(io, server_fd);
  capnp::TwoPartyVatNetwork below_network(*below, capnp::rpc::twoparty::Side::CLIENT);
  auto below_rpc = capnp::makeRpcClient(below_network);
  capnp::MallocMessageBuilder message(4);
  auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  auto above = wrap(io, client_fd);
  capnp::TwoPartyVatNetwork above_network(*above, capnp::rpc::twoparty::Side::SERVER);
  auto above_rpc = capnp::makeRpcServer(above_network, below_rpc.bootstrap(vat));
  above_network.onDisconnect().wait(io.waitScope);
  return 0;
}

kj::Own<wire::connection> link(kj::AsyncIoContext& io, int fd, wire::connection::side side,
                               kj::Maybe<capnp::Capability::Client> bootstrap) {
  wire::connection_options options;
  options.timer = io.provider->getTimer();
  auto stream =
      io.lowLevelProvider->wrapUnixSocketFd(fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
  return kj::heap<wire::connection>(kj::mv(stream), side, kj::mv(bootstrap), options);
}

int link_echo() {
  auto io = kj::setupAsyncIo();
  auto served = link(io, client_fd, wire::connection::side::SERVER,
                     capnp::Capability::Client(kj::heap<echo_server>()));
  served->on_disconnect().wait(io.waitScope);
  return 0;
}

int link_proxy() {
  auto io = kj::setupAsyncIo();
  auto below = link(io, server_fd, wire::connection::side::CLIENT, nullptr);
  auto above = link(io, client_fd, wire::connection::side::SERVER, below->bootstrap());
  above->on_disconnect().wait(io.waitScope);
  return 0;
}

}  // namespace

int run_role(const std::string& role) {
  if (role == "raw-echo") return raw_echo();
  if (role == "relay") return relay();
  if (role == "rpc-echo") return rpc_echo();
  if (role == "rpc-proxy") return rpc_proxy();
  if (role == "link-echo") return link_echo();
  if (role == "link-proxy") return link_proxy();
  std::fprintf(stderr, "bulkhead-bench: no role '%s'\n", role.c_str());
  return 2;
}

}  // namespace bulkhead::bench
