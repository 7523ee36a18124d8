// SPDX-License-Identifier: Apache-2.0
//
// Whole connections: calls over them, and above all how they end.
#include <catch2/catch.hpp>

#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;

namespace {

using side = connection::side;

struct pair_of_connections {
  explicit pair_of_connections(loop& on, connection_options options = {}) {
    socket_pair sockets(on);
    server = kj::heap<connection>(kj::mv(sockets.left), side::SERVER,
                                  capnp::Capability::Client(kj::heap<echo_plugin>()), options);
    client = kj::heap<connection>(kj::mv(sockets.right), side::CLIENT, nullptr, options);
  }
  kj::Own<connection> server;
  kj::Own<connection> client;

  schema::Plugin::Client plugin() { return client->bootstrap().castAs<schema::Plugin>(); }
  schema::Backend::Client backend() { return plugin().mountRequest().send().getBackend(); }
};

}  // namespace

TEST_CASE("a call and its answer travel over two connections on a socket") {
  loop on;
  pair_of_connections both(on);
  for (std::size_t bytes : {0, 1, 64, 4096, 65536, 1 << 20}) {
    CHECK(echoed_bytes(echo(both.backend(), "x", bytes).wait(on.io.waitScope)) == bytes);
  }
}

TEST_CASE("a call and its answer travel over an in-process pipe") {
  loop on;
  auto pipe = kj::newCapabilityPipe();
  connection server(kj::mv(pipe.ends[0]), side::SERVER,
                    capnp::Capability::Client(kj::heap<echo_plugin>()));
  connection client(kj::mv(pipe.ends[1]), side::CLIENT, nullptr);
  auto plugin = client.bootstrap().castAs<schema::Plugin>();
  auto backend = plugin.mountRequest().send().getBackend();
  for (std::size_t bytes : {0, 64, 65536}) {
    CHECK(echoed_bytes(echo(backend, "x", bytes).wait(on.io.waitScope)) == bytes);
  }
}

TEST_CASE("everything on a lost connection fails with the text that the owner answers") {
  loop on;
  pair_of_connections both(on);
  auto asked = kj::newPromiseAndFulfiller<kj::Exception>();
  int times_asked = 0;
  both.client->on_close([&](kj::Exception) {
    ++times_asked;
    return kj::mv(asked.promise);
  });
  auto derived = both.backend();
  echo(derived, "x").wait(on.io.waitScope);
  auto in_flight = echo(derived, "hang");
  auto slow = both.plugin().mountRequest();
  slow.initMount().setPath("slow/");
  auto pipelined = echo(slow.send().getBackend(), "x");
  on.settle();
  both.server = nullptr;
  on.settle();
  REQUIRE(times_asked == 1);
  CHECK_FALSE(in_flight.poll(on.io.waitScope));
  auto late = echo(derived, "x");
  on.settle();
  CHECK_FALSE(late.poll(on.io.waitScope));
  asked.fulfiller->fulfill(KJ_EXCEPTION(FAILED, "the crash report"));
  CHECK(failure_of(kj::mv(in_flight), on) == "the crash report");
  CHECK(failure_of(kj::mv(pipelined), on) == "the crash report");
  CHECK(failure_of(kj::mv(late), on) == "the crash report");
  CHECK(failure_of(echo(derived, "x"), on) == "the crash report");
  CHECK(failure_of(both.plugin().pingRequest().send(), on) == "the crash report");
  both.client->on_disconnect().wait(on.io.waitScope);
  CHECK(times_asked == 1);
}
