// SPDX-License-Identifier: Apache-2.0
//
// The broker's end of a plugin's link at work: deadlines by a clock that the test turns, what a
// breach ends and what its owner hears, calls to a plugin that does not answer, errors of a plugin,
// and memory for frames that are only claimed.
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "schema/wire/error_frame.hpp"
#include "schema/wire/error_text.hpp"
#include "schema/wire/wire_fault.hpp"
#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;
namespace rpc = capnp::rpc;

namespace {

constexpr budget_limits small{.calls_open = 3, .calls_unanswered = 3};

}  // namespace

// -- on a stream ---------------------------------------------------------------------------------

namespace {

/// A stream that a raw peer writes to, and a clock.
struct watched {
  explicit watched(stream_limits limits)
      : timer(kj::origin<kj::TimePoint>()), sockets(on), stream(*sockets.right, limits, timer) {
    stream.on_close([](kj::Exception cause) { return reason_at_once(kj::mv(cause)); });
    reading = stream.receive({}).then([](auto&&) {}).eagerlyEvaluate([this](kj::Exception&& e) {
      why = e.getDescription().cStr();
    });
  }
  void turn_to(kj::Duration since) {
    timer.advanceTo(kj::origin<kj::TimePoint>() + since);
    on.settle();
  }

  loop on;
  kj::TimerImpl timer;
  socket_pair sockets;
  link_stream stream;
  std::string why;
  kj::Promise<void> reading = nullptr;
};

stream_limits with_deadlines() {
  stream_limits limits;
  limits.frame_ms = 100;
  limits.write_ms = 100;
  return limits;
}

}  // namespace

TEST_CASE("a frame that has begun must be complete at its deadline, however it drips") {
  for (std::uint32_t words : {4U, 100'000U}) {
    watched link(with_deadlines());
    link.turn_to(60 * kj::SECONDS);
    CHECK(link.why.empty());  // a link that says nothing has no deadline
    const std::uint32_t header[] = {0, words};
    link.sockets.left->write(header, sizeof header).wait(link.on.io.waitScope);
    link.on.settle();
    for (int ms = 20; ms < 100; ms += 20) {
      link.sockets.left->write("x", 1).wait(link.on.io.waitScope);
      link.turn_to(60 * kj::SECONDS + ms * kj::MILLISECONDS);
    }
    link.turn_to(60 * kj::SECONDS + 99 * kj::MILLISECONDS);
    CHECK(link.why.empty());
    link.turn_to(60 * kj::SECONDS + 100 * kj::MILLISECONDS);
    CHECK(link.why.find("plugin_frame_ms_max") != std::string::npos);
  }
}

TEST_CASE("a frame that is complete in time stops the clock") {
  watched link(with_deadlines());
  capnp::MallocMessageBuilder message;
  message.initRoot<rpc::Message>().initRelease().setId(1);
  auto words = capnp::messageToFlatArray(message);
  link.sockets.left->write(words.asBytes().begin(), 8).wait(link.on.io.waitScope);
  link.turn_to(99 * kj::MILLISECONDS);
  const auto rest = words.asBytes().slice(8, words.asBytes().size());
  link.sockets.left->write(rest.begin(), rest.size()).wait(link.on.io.waitScope);
  link.on.settle();
  link.turn_to(10 * kj::SECONDS);
  CHECK(link.why.empty());
  CHECK(link.stream.meter().frames_in == 1);
}

TEST_CASE("what a full socket does not take in time ends the connection, below the queue's limit") {
  watched link(with_deadlines());
  capnp::MallocMessageBuilder message;
  message.getRoot<capnp::AnyPointer>().initAs<capnp::Data>(4U << 20U);
  link.stream.send(nullptr, message.getSegmentsForOutput());
  link.on.settle();
  REQUIRE(link.stream.meter().bytes_queued > 0);
  link.turn_to(99 * kj::MILLISECONDS);
  CHECK(link.why.empty());
  link.turn_to(100 * kj::MILLISECONDS);
  CHECK(link.why.find("plugin_write_ms_max") != std::string::npos);
}

TEST_CASE("a frame is read so many times over and not without end") {
  stream_limits limits;
  limits.reads_per_byte = 2;
  loop on;
  socket_pair sockets(on);
  link_stream stream(*sockets.right, limits);
  capnp::MallocMessageBuilder message(4096);
  message.getRoot<capnp::AnyPointer>().initAs<capnp::Data>(10'000);
  auto words = capnp::messageToFlatArray(message);
  sockets.left->write(words.asBytes().begin(), words.asBytes().size()).wait(on.io.waitScope);
  auto frame = stream.receive({}).wait(on.io.waitScope);
  auto& reader = *KJ_ASSERT_NONNULL(frame).reader;
  const auto visit = [&] { reader.getRoot<capnp::AnyPointer>().getAs<capnp::Data>(); };
  visit();
  visit();
  CHECK_THROWS_AS(visit(), kj::Exception);
}

TEST_CASE("a peer that is over its budget loses its connection, and its owner hears why") {
  loop on;
  socket_pair sockets(on);
  connection_options options;
  options.budget = small;
  connection host(kj::mv(sockets.left), connection::side::SERVER,
                  capnp::Capability::Client(kj::heap<echo_plugin>()), options);
  std::string why;
  host.on_close([&](kj::Exception cause) {
    why = cause.getDescription().cStr();
    return reason_at_once(kj::mv(cause));
  });
  connection client(kj::mv(sockets.right), connection::side::CLIENT, nullptr);
  auto backend = client.bootstrap().castAs<schema::Plugin>().mountRequest().send().getBackend();
  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> calls;
  calls.reserve(4);
  for (int i = 0; i < 4; ++i) calls.push_back(echo(backend, "hang"));
  on.settle();
  CHECK(why.find("plugin_calls_open_max: 4 calls, 3 allowed") != std::string::npos);
  CHECK(why.find("kind=protocol_violation") != std::string::npos);
}

TEST_CASE("the reason of a breach says which limit it was, in words and for programs") {
  const auto said = parse_error(budget_fault({"plugin_calls_open_max", "calls", 4097, 4096}));
  CHECK(said.kind == schema::ErrorKind::PROTOCOL_VIOLATION);
  CHECK(said.why == "plugin_calls_open_max: 4097 calls, 4096 allowed");
  const auto breach = breach_in(said);
  REQUIRE(breach);
  CHECK(breach->limit == "plugin_calls_open_max");
  CHECK(breach->unit == "calls");
  CHECK(breach->count == 4097);
  CHECK(breach->allowed == 4096);
  CHECK(breach_in(parse_error(queue_fault(11, 10)))->limit == "stream_queue_bytes_max");
  CHECK(breach_in(parse_error(frame_late(5)))->limit == "plugin_frame_ms_max");
  CHECK(breach_in(parse_error(write_late(5)))->limit == "plugin_write_ms_max");
  CHECK_FALSE(breach_in(parse_error(peer_closed(true))));
  CHECK_FALSE(breach_in(parse_error(calls_fault(7))));
}

TEST_CASE("a peer whose message makes no sense to the RPC system is reported to the owner") {
  loop on;
  socket_pair sockets(on);
  connection host(kj::mv(sockets.left), connection::side::SERVER,
                  capnp::Capability::Client(kj::heap<echo_plugin>()), {});
  std::string why;
  host.on_close([&](kj::Exception cause) {
    why = cause.getDescription().cStr();
    return reason_at_once(kj::mv(cause));
  });
  message sent;
  sent.root.initFinish().setQuestionId(77);
  auto words = capnp::messageToFlatArray(sent.builder);
  sockets.right->write(words.asBytes().begin(), words.asBytes().size()).wait(on.io.waitScope);
  on.settle();
  CHECK(why.find("fault=no_message") != std::string::npos);
}

// -- calls to a peer that does not answer ---------------------------------------------------------

namespace {

/// A broker's end with a budget, and an honest plugin at the other.
struct called_plugin {
  explicit called_plugin(const budget_limits& budget = small) {
    socket_pair sockets(on);
    connection_options options;
    options.budget = budget;
    plugin = kj::heap<connection>(kj::mv(sockets.left), connection::side::SERVER,
                                  capnp::Capability::Client(kj::heap<echo_plugin>()));
    broker =
        kj::heap<connection>(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
    backend = mount().getBackend();
    on.settle();
  }
  capnp::RemotePromise<schema::Plugin::MountResults> mount(kj::StringPtr path = "x/") {
    auto request = broker->bootstrap().castAs<schema::Plugin>().mountRequest();
    request.initMount().setPath(path);
    return request.send();
  }
  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> hang(int times) {
    std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> calls;
    calls.reserve(static_cast<std::size_t>(times));
    for (int i = 0; i < times; ++i) calls.push_back(echo(*backend, "hang"));
    on.settle();
    return calls;
  }

  loop on;
  kj::Own<connection> plugin;
  kj::Own<connection> broker;
  std::optional<schema::Backend::Client> backend;
};

}  // namespace

TEST_CASE("a call above what a plugin may leave unanswered fails as overloaded, the link lives") {
  called_plugin link;
  auto hanging = link.hang(3);
  const auto said = parse_error(failure_of(echo(*link.backend, "x"), link.on).c_str(),
                                kj::Exception::Type::OVERLOADED, plugin_hops_at_broker);
  CHECK(said.kind == schema::ErrorKind::OVERLOADED);
  CHECK_FALSE(said.from_plugin());
  CHECK(*said.find("limit") == "plugin_calls_unanswered_max");
  CHECK(said.why == "3 are unanswered (plugin_calls_unanswered_max)");
  link.on.settle();
  CHECK(link.broker->close_reason() == nullptr);
}

TEST_CASE("a call that builds on one that was not sent fails like it, and the link lives") {
  called_plugin link({.calls_unanswered = 4});
  auto hanging = link.hang(4);
  // Both in one turn: what the first fails with is not known when the second is made.
  auto unsent = link.mount("y/");
  auto built_on_it = echo(unsent.getBackend(), "x");
  CHECK_FALSE(failure_of(kj::mv(built_on_it), link.on).empty());
  CHECK_FALSE(failure_of(kj::mv(unsent), link.on).empty());
  link.on.settle();
  CHECK(link.broker->close_reason() == nullptr);
  CHECK(link.plugin->close_reason() == nullptr);
}

TEST_CASE("a call that builds on one that was too large fails like it, and the link lives") {
  loop on;
  socket_pair sockets(on);
  connection_options options;
  options.limits.frame_bytes = 4096;
  connection plugin(kj::mv(sockets.left), connection::side::SERVER,
                    capnp::Capability::Client(kj::heap<echo_plugin>()));
  connection broker(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
  auto request = broker.bootstrap().castAs<schema::Plugin>().mountRequest();
  request.initMount().setPath(kj::str(kj::repeat('y', 8000)));
  auto unsent = request.send();
  CHECK_FALSE(failure_of(echo(unsent.getBackend(), "x"), on).empty());
  {
    auto over = kj::mv(unsent);  // and its number is free
  }
  on.settle();
  auto again = broker.bootstrap().castAs<schema::Plugin>().mountRequest().send();
  CHECK(failure_of(echo(again.getBackend(), "x"), on).empty());
  CHECK(broker.close_reason() == nullptr);
  CHECK(plugin.close_reason() == nullptr);
}

// Who calls a plugin must not be able to end it: what it does not read in time is theirs.
TEST_CASE("calls that would fill a plugin's queue fail as overloaded, and leave room for answers") {
  loop on;
  socket_pair sockets(on);
  connection_options options;
  options.limits.frame_bytes = 256U << 10U;
  options.limits.queue_bytes = 1U << 20U;
  options.budget = budget_limits{};
  connection broker(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
  auto backend = broker.bootstrap().castAs<schema::Plugin>().mountRequest().send().getBackend();
  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> calls;
  calls.reserve(40);
  for (int i = 0; i < 40; ++i) calls.push_back(echo(backend, "x", 200U << 10U));
  on.settle();
  CHECK(broker.close_reason() == nullptr);
  CHECK(broker.meter().bytes_queued > 200U << 10U);
  CHECK(broker.meter().bytes_queued <= options.limits.queue_bytes / 2);
  const auto said = parse_error(failure_of(kj::mv(calls.back()), on).c_str(),
                                kj::Exception::Type::OVERLOADED, plugin_hops_at_broker);
  CHECK(said.kind == schema::ErrorKind::OVERLOADED);
  CHECK(*said.find("limit") == "stream_queue_bytes_max");
  CHECK_FALSE(breach_in(said));
}

TEST_CASE("a call whose capabilities a plugin may not have all fails, and the plugin lives") {
  called_plugin link({.capabilities_given = 8});
  const auto with_capabilities = [&](unsigned count) {
    auto call =
        link.broker->bootstrap().typelessRequest(capnp::typeId<schema::Plugin>(), 1, nullptr);
    auto list = call.initAs<capnp::List<schema::Backend>>(count);
    for (unsigned i = 0; i < count; ++i) list.set(i, kj::heap<echo_backend>());
    return parse_error(failure_of(call.send(), link.on).c_str(), kj::Exception::Type::FAILED,
                       plugin_hops_at_broker);
  };
  const auto refused = with_capabilities(5);
  CHECK(refused.kind == schema::ErrorKind::OVERLOADED);
  CHECK_FALSE(refused.from_plugin());
  REQUIRE(refused.find("limit") != nullptr);
  CHECK(*refused.find("limit") == "plugin_capabilities_given_max");
  link.on.settle();
  CHECK(link.broker->close_reason() == nullptr);
  CHECK(KJ_ASSERT_NONNULL(link.broker->budget()).capabilities_given() == 0);
  CHECK(with_capabilities(4).kind != schema::ErrorKind::OVERLOADED);  // it does not know this list
  link.on.settle();
  CHECK(link.broker->close_reason() == nullptr);
}

TEST_CASE("a call as large as a frame may be goes to a plugin for which nothing waits") {
  loop on;
  socket_pair sockets(on);
  connection_options options;
  options.limits.frame_bytes = 1U << 20U;
  options.limits.queue_bytes = 1U << 20U;
  options.budget = budget_limits{};
  connection broker(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
  auto backend = broker.bootstrap().castAs<schema::Plugin>().mountRequest().send().getBackend();
  on.settle();
  auto call = echo(backend, "x", (1U << 20U) - 4096);
  on.settle();
  CHECK(broker.close_reason() == nullptr);
  CHECK(broker.meter().bytes_queued > options.limits.queue_bytes / 2);
}

// -- errors of a peer -----------------------------------------------------------------------------

TEST_CASE("an error on a capability that a plugin handed out is escaped and cut") {
  called_plugin link;
  const auto text = failure_of(echo(*link.backend, "shout", 1U << 20U), link.on);
  CHECK(text.size() <= error_text_bytes_max + 64);
  CHECK(text.find('\x1b') == std::string::npos);
  const auto said = parse_error(text.c_str(), kj::Exception::Type::FAILED, plugin_hops_at_broker);
  CHECK(said.kind == schema::ErrorKind::PLUGIN_ERROR);
  CHECK(said.from_plugin());
  CHECK(said.what.find("\\x1b[2J") == 0);
}

TEST_CASE("an error of the usual length keeps what it says, its kind and its details") {
  called_plugin link;
  const auto text = failure_of(echo(*link.backend, "refuse"), link.on);
  const auto said = parse_error(text.c_str(), kj::Exception::Type::FAILED, plugin_hops_at_broker);
  CHECK(said.kind == schema::ErrorKind::NOT_FOUND);
  CHECK(said.what == "no such thing");
  CHECK(said.why == "nobody made it");
  CHECK(*said.find("thing") == "7");
}

TEST_CASE("a promise of a plugin that resolves to an error is cleaned, other messages are not") {
  message sent;
  auto outcome = sent.root.initResolve();
  outcome.setPromiseId(9);
  outcome.initException().setReason("\x1b[2J");
  auto words = with_clean_error(sent);
  capnp::FlatArrayMessageReader clean(KJ_ASSERT_NONNULL(words));
  const auto read = clean.getRoot<rpc::Message>().getResolve();
  CHECK(read.getPromiseId() == 9);
  CHECK(std::string(read.getException().getReason().cStr()).find("\\x1b[2J\ndetail: kind=") == 0);
  message answer;
  answer.root.initReturn().initResults();
  CHECK(with_clean_error(answer) == nullptr);
}

// A client, the broker between, the plugin: what the client calls was handed out by the plugin, and
// only libcapnp forwards it.
TEST_CASE("over a broker, a capability of a plugin is cleaned and bounded like the plugin itself") {
  called_plugin link;
  socket_pair sockets(link.on);
  connection server(kj::mv(sockets.left), connection::side::SERVER, link.broker->bootstrap());
  connection client(kj::mv(sockets.right), connection::side::CLIENT, nullptr);
  auto backend = client.bootstrap().castAs<schema::Plugin>().mountRequest().send().getBackend();

  const auto shouted = parse_error(failure_of(echo(backend, "shout", 1U << 20U), link.on).c_str(),
                                   kj::Exception::Type::FAILED);
  CHECK(shouted.from_plugin());
  CHECK(shouted.kind == schema::ErrorKind::PLUGIN_ERROR);
  CHECK(shouted.what.size() <= error_text_bytes_max);
  CHECK(shouted.what.find("\\x1b[2J") == 0);

  std::vector<capnp::RemotePromise<schema::Backend::HandleResults>> hanging;
  hanging.reserve(3);
  for (int i = 0; i < 3; ++i) hanging.push_back(echo(backend, "hang"));
  const auto refused =
      parse_error(failure_of(echo(backend, "x"), link.on).c_str(), kj::Exception::Type::OVERLOADED);
  CHECK(refused.kind == schema::ErrorKind::OVERLOADED);
  CHECK_FALSE(refused.from_plugin());
  CHECK(link.broker->close_reason() == nullptr);
  CHECK(server.close_reason() == nullptr);
}

// -- claims ---------------------------------------------------------------------------------------

TEST_CASE("memory for a frame is taken as it comes, not as it is claimed") {
  watched link({});
  constexpr std::uint32_t claimed_words = 30U << 17U;  // 30 MiB
  const std::uint32_t header[] = {0, claimed_words};
  const auto before = allocated_bytes();
  link.sockets.left->write(header, sizeof header).wait(link.on.io.waitScope);
  link.on.settle();
  CHECK(allocated_bytes() - before < link_stream::reserve_bytes + (64U << 10U));
  const auto piece = kj::heapArray<kj::byte>(64U << 10U);
  for (std::size_t sent = 0; sent < 5 * link_stream::reserve_bytes; sent += piece.size()) {
    link.sockets.left->write(piece.begin(), piece.size()).wait(link.on.io.waitScope);
    link.on.settle();
    REQUIRE(allocated_bytes() - before <
            std::max(link_stream::reserve_bytes, 2 * sent) + 4 * piece.size());
  }
  CHECK(link.why.empty());
}
