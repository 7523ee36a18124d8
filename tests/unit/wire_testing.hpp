// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the wire layer share: an event loop that never sleeps, a servant built on the
// project's own `Backend` and `Plugin` interfaces, and pairs of sockets and pipes.
//
// `Backend.handle` is the echo: it answers the request's fields. A path says what else happens:
// "hang" never answers, "fail" fails, "shout" fails with a text as long as its data and with escape
// codes, "refuse" with an error of the project's shape, "grow" answers a hundred times as much.
// `Plugin.mount` hands out a backend (a derived capability); for the path "slow/" it never answers.
#pragma once

#include <capnp/rpc.capnp.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <malloc.h>
#include <sys/socket.h>

#include <string>

#include "schema/plugin.capnp.h"
#include "schema/wire/connection.hpp"
#include "schema/wire/error_text.hpp"

#ifdef __SANITIZE_ADDRESS__
// Of the sanitizer's run-time library; gcc ships no header for it.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace bulkhead::wire::testing {

/// What is allocated at this moment.
inline std::size_t allocated_bytes() {
#ifdef __SANITIZE_ADDRESS__
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
#endif
}

/// One loop per test. `settle` turns it until nothing is left to do; nothing ever sleeps.
struct loop {
  kj::AsyncIoContext io = kj::setupAsyncIo();

  void settle() {
    for (int i = 0; i < 100; ++i) io.waitScope.poll();
  }
};

class echo_backend final : public schema::Backend::Server {
 public:
  explicit echo_backend(int* alive = nullptr) : alive_(alive) {
    if (alive_ != nullptr) ++*alive_;
  }
  ~echo_backend() noexcept(false) {
    if (alive_ != nullptr) --*alive_;
  }
  KJ_DISALLOW_COPY(echo_backend);

 protected:
  kj::Promise<void> handle(HandleContext context) override {
    const auto request = context.getParams().getRequest();
    if (request.getPath() == "hang") return kj::NEVER_DONE;
    if (request.getPath() == "fail") return KJ_EXCEPTION(FAILED, "as asked");
    if (request.getPath() == "shout") {
      const auto bytes = request.getFields()[0].getValue().getData().size();
      return KJ_EXCEPTION(FAILED, kj::str("\x1b[2J", kj::repeat('x', bytes)));
    }
    if (request.getPath() == "refuse") {
      return make_exception(
          {schema::ErrorKind::NOT_FOUND, "no such thing", "nobody made it", {}, {{"thing", "7"}}});
    }
    if (request.getPath() == "grow") {
      const auto bytes = request.getFields()[0].getValue().getData().size() * 100;
      context.getResults().initResponse().initFields(1)[0].initValue().initData(bytes);
      return kj::READY_NOW;
    }
    context.getResults().initResponse().setFields(request.getFields());
    return kj::READY_NOW;
  }

 private:
  int* alive_;
};

class echo_plugin final : public schema::Plugin::Server {
 protected:
  kj::Promise<void> mount(MountContext context) override {
    if (context.getParams().getMount().getPath() == "slow/") return kj::NEVER_DONE;
    context.getResults().setBackend(kj::heap<echo_backend>());
    return kj::READY_NOW;
  }
  kj::Promise<void> ping(PingContext) override { return kj::READY_NOW; }
};

inline capnp::RemotePromise<schema::Backend::HandleResults> echo(schema::Backend::Client backend,
                                                                 kj::StringPtr path,
                                                                 std::size_t bytes = 16) {
  auto call = backend.handleRequest();
  auto request = call.initRequest();
  request.setPath(path);
  auto data = request.initFields(1)[0].initValue().initData(static_cast<capnp::uint>(bytes));
  for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<kj::byte>(i * 7);
  return call.send();
}

inline std::size_t echoed_bytes(schema::Backend::HandleResults::Reader results) {
  const auto data = results.getResponse().getFields()[0].getValue().getData();
  for (std::size_t i = 0; i < data.size(); ++i) {
    KJ_REQUIRE(data[i] == static_cast<kj::byte>(i * 7), "a byte has changed", i);
  }
  return data.size();
}

/// Two ends of a unix socket, as kj streams.
struct socket_pair {
  explicit socket_pair(loop& on) {
    int fds[2];
    KJ_SYSCALL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
    constexpr auto flags = kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                           kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                           kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK;
    left = on.io.lowLevelProvider->wrapUnixSocketFd(fds[0], flags);
    right = on.io.lowLevelProvider->wrapUnixSocketFd(fds[1], flags);
  }
  kj::Own<kj::AsyncCapabilityStream> left;
  kj::Own<kj::AsyncCapabilityStream> right;
};

/// The text that a promise fails with; empty when it does not.
template <typename Promise>
std::string failure_of(Promise&& promise, loop& on) {
  std::string text;
  promise.then([](auto&&...) {}, [&](kj::Exception&& e) { text = e.getDescription().cStr(); })
      .wait(on.io.waitScope);
  return text;
}

/// An RPC message made by hand.
struct message {
  capnp::MallocMessageBuilder builder;
  capnp::rpc::Message::Builder root = builder.initRoot<capnp::rpc::Message>();
  operator capnp::rpc::Message::Reader() {
    return root.asReader();
  }  // NOLINT(google-explicit-constructor)
};

}  // namespace bulkhead::wire::testing
