// SPDX-License-Identifier: Apache-2.0
//
// Whole connections: calls over them, and above all how they end.
#include <catch2/catch.hpp>
#include <vector>

#include "schema/wire/error_text.hpp"
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

TEST_CASE("what the owner answers reaches calls in flight also when the peer says farewell") {
  loop on;
  pair_of_connections both(on);
  std::string cause;
  both.client->on_close([&](kj::Exception raw) {
    cause = raw.getDescription().cStr();
    return reason_at_once(KJ_EXCEPTION(FAILED, "chosen"));
  });
  auto in_flight = echo(both.backend(), "hang");
  on.settle();
  both.server->close(KJ_EXCEPTION(FAILED, "I am leaving"));
  CHECK(failure_of(kj::mv(in_flight), on) == "chosen");
  CHECK(cause == "I am leaving");
}

TEST_CASE("a lost connection fails calls as disconnected, whatever the type of the reason") {
  loop on;
  pair_of_connections both(on);
  auto in_flight = echo(both.backend(), "hang");
  on.settle();
  both.client->close(KJ_EXCEPTION(FAILED, "over"));
  in_flight
      .then([](auto&&) { FAIL("answered"); },
            [](kj::Exception&& e) {
              CHECK(e.getType() == kj::Exception::Type::DISCONNECTED);
              CHECK(e.getDescription() == "over");
            })
      .wait(on.io.waitScope);
  both.client->on_disconnect().wait(on.io.waitScope);
  both.server->on_disconnect().wait(on.io.waitScope);
}

TEST_CASE("without an owner's word a lost connection says that the other side closed it") {
  loop on;
  for (bool in_frame : {false, true}) {
    socket_pair sockets(on);
    connection client(kj::mv(sockets.right), side::CLIENT, nullptr);
    auto ping = client.bootstrap().castAs<schema::Plugin>().pingRequest().send();
    on.settle();
    kj::byte sink[4096];
    sockets.left->tryRead(sink, 1, sizeof sink).wait(on.io.waitScope);
    const kj::byte part[] = {0, 0, 0};
    if (in_frame) sockets.left->write(part, sizeof part).wait(on.io.waitScope);
    sockets.left = nullptr;
    // A clean end is the RPC system's to word, as on libcapnp's own streams.
    CHECK(failure_of(kj::mv(ping), on) ==
          (in_frame ? "the other side closed the connection in the middle of a frame"
                    : "Peer disconnected."));
    REQUIRE(client.close_reason() != nullptr);
  }
}

TEST_CASE("a peer that goes with bytes unread is named as such") {
  loop on;
  socket_pair sockets(on);
  connection client(kj::mv(sockets.right), side::CLIENT, nullptr);
  auto ping = client.bootstrap().castAs<schema::Plugin>().pingRequest().send();
  on.settle();
  sockets.left = nullptr;
  CHECK(failure_of(kj::mv(ping), on) ==
        "the other side closed the connection without reading all that it was sent");
}

TEST_CASE("bootstrap after the end answers a capability that fails with the reason") {
  loop on;
  pair_of_connections both(on);
  CHECK(failure_of(both.plugin().pingRequest().send(), on).empty());
  both.client->close(KJ_EXCEPTION(FAILED, "over"));
  CHECK(failure_of(both.plugin().pingRequest().send(), on) == "over");
  both.client->on_disconnect().wait(on.io.waitScope);
  CHECK(failure_of(both.plugin().pingRequest().send(), on) == "over");
}

TEST_CASE("a connection may go before or after what came from it") {
  loop on;
  for (int order = 0; order < 4; ++order) {
    pair_of_connections both(on);
    auto plugin = kj::heap<schema::Plugin::Client>(both.plugin());
    auto backend = kj::heap<schema::Backend::Client>(both.backend());
    auto call = kj::heap(echo(*backend, "hang"));
    if (order % 2 == 0) on.settle();
    if (order < 2) {
      both.client = nullptr;
      CHECK_FALSE(failure_of(echo(*backend, "x"), on).empty());
      call = nullptr;
    } else {
      call = nullptr;
      backend = nullptr;
      both.server = nullptr;
      on.settle();
      both.client = nullptr;
    }
    plugin = nullptr;
    on.settle();
  }
}

TEST_CASE("calls that a lost client had open are cancelled and its capabilities dropped") {
  loop on;
  int alive = 0;
  socket_pair sockets(on);
  connection server(kj::mv(sockets.left), side::SERVER,
                    capnp::Capability::Client(kj::heap<echo_backend>(&alive)));
  {
    connection client(kj::mv(sockets.right), side::CLIENT, nullptr);
    auto hanging = echo(client.bootstrap().castAs<schema::Backend>(), "hang");
    on.settle();
    CHECK(alive == 1);
  }
  server.on_disconnect().wait(on.io.waitScope);
  CHECK(alive == 1);  // the bootstrap capability is the server's own
}

TEST_CASE("a call that is too large fails alone, and so does an answer") {
  loop on;
  connection_options options;
  options.limits.frame_bytes = 64 * 1024;
  pair_of_connections both(on, options);
  auto backend = both.backend();
  CHECK(echoed_bytes(echo(backend, "x", 60000).wait(on.io.waitScope)) == 60000);
  const auto too_large = failure_of(echo(backend, "x", 70000), on);
  const auto call = parse_error(too_large.c_str(), kj::Exception::Type::FAILED);
  CHECK(call.kind == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(call.what == "the call is too large");
  CHECK(call.hops == 0);
  const auto grown = failure_of(echo(backend, "grow", 1000), on);
  const auto answer = parse_error(grown.c_str(), kj::Exception::Type::FAILED);
  CHECK(answer.kind == schema::ErrorKind::PLUGIN_ERROR);
  CHECK(answer.what == "the answer is too large");
  CHECK(answer.hops == 1);
  CHECK(echoed_bytes(echo(backend, "x", 60000).wait(on.io.waitScope)) == 60000);
}

TEST_CASE("a message exactly as large as the limit passes, one word more does not") {
  loop on;
  connection_options options;
  pair_of_connections probe(on, options);
  auto probed = probe.backend();
  echo(probed, "x", 10000).wait(on.io.waitScope);
  const auto largest = probe.client->meter().frame_bytes_largest;
  for (std::int64_t spare : {-8, 0, 8}) {
    options.limits.frame_bytes =
        static_cast<std::uint64_t>(static_cast<std::int64_t>(largest) + spare);
    pair_of_connections both(on, options);
    auto backend = both.backend();
    CHECK(failure_of(echo(backend, "x", 10000), on).empty() == (spare >= 0));
    CHECK(failure_of(echo(backend, "x", 100), on).empty());
  }
}

TEST_CASE("a failure keeps its text over a hop, with one prefix") {
  loop on;
  pair_of_connections both(on);
  CHECK(failure_of(echo(both.backend(), "fail"), on) == "remote exception: as asked");
}

TEST_CASE("a slow peer's queue is bounded and its calls fail with the reason") {
  loop on;
  connection_options options;
  options.limits.queue_bytes = 4 << 20;
  socket_pair sockets(on);
  connection client(kj::mv(sockets.right), side::CLIENT, nullptr, options);
  auto backend = client.bootstrap().castAs<schema::Backend>();
  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> calls;
  for (int i = 0; i < 200 && client.close_reason() == nullptr; ++i) {
    calls.push_back(echo(backend, "x", 64 * 1024));
    on.io.waitScope.poll();
  }
  CHECK(calls.size() > 64);
  CHECK(calls.size() < 200);
  CHECK(client.meter().bytes_queued_peak <= options.limits.queue_bytes);
  for (auto& call : calls) {
    CHECK(failure_of(kj::mv(call), on).find("limit=stream_queue_bytes_max") != std::string::npos);
  }
}

TEST_CASE("many calls at once travel in few writes, with held-back Finishes among them") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  connection_options options;
  options.timer = timer;
  options.limits.hold_back_us = 1000;
  pair_of_connections both(on, options);
  auto backend = both.backend();
  echo(backend, "x").wait(on.io.waitScope);
  const auto before = both.client->meter().writes;
  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> calls;
  calls.reserve(64);
  for (int i = 0; i < 64; ++i) calls.push_back(echo(backend, "x", 64));
  for (auto& call : calls) CHECK(echoed_bytes(call.wait(on.io.waitScope)) == 64);
  CHECK(both.client->meter().writes - before <= 3);
}
