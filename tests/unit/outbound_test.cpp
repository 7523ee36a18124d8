// SPDX-License-Identifier: Apache-2.0
//
// Connections that the broker makes for plugins: the capability over a pipe in memory, and the
// connecting over a real socket of the machine.
#include "broker/outbound.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "plugins/sdk/outbound.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

template <class T>
error failure_of(kj::Promise<T> what, kj::WaitScope& scope) {
  auto problem = kj::runCatchingExceptions([&] { what.wait(scope); });
  return to_error(KJ_REQUIRE_NONNULL(problem));
}

/// A connection and its other side, in memory: what is written waits until it is read.
struct pair {
  pair() : pipe(kj::newTwoWayPipe()), lent(lend_connection(kj::mv(pipe.ends[0]))) {}

  kj::Promise<std::string> read(std::uint32_t most = 0) {
    auto call = lent.readRequest();
    call.setBytesMax(most);
    return call.send().then([](auto&& answer) {
      const auto bytes = answer.getBytes();
      return std::string(bytes.asChars().begin(), bytes.size());
    });
  }
  kj::Promise<void> write(const std::string& what) {
    auto call = lent.writeRequest();
    call.setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(what.data()), what.size()));
    return call.send().ignoreResult();
  }
  kj::Promise<void> end() { return lent.endRequest().send().ignoreResult(); }

  kj::AsyncIoStream& other() { return *pipe.ends[1]; }
  /// What the other side gets next, of so many bytes.
  std::string arrives(std::size_t size) {
    std::string text(size, ' ');
    text.resize(other().tryRead(text.data(), size, size).wait(scope));
    return text;
  }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  kj::TwoWayPipe pipe;
  schema::Connection::Client lent;
};

/// A server on a socket of the file system, and an instance that was granted it.
struct connecting : mount_fixture {
  connecting() {
    auto& network = tb.services().reactor.network();
    server = network.parseAddress(address.c_str()).wait(tb.wait_scope())->listen();
  }
  ~connecting() { ::unlink(path.c_str()); }

  outbound instance(const std::string& mount = "m") {
    return {tb.services(), mount, {address, "unix:/nonexistent/socket"}};
  }
  /// The refusal; that there is one is part of the test.
  error refusal(outbound& of, const std::string& where) {
    return failure_of(kj::evalNow([&] { return of.connect(where); }), tb.wait_scope());
  }
  kj::Own<kj::AsyncIoStream> accept() { return server->accept().wait(tb.wait_scope()); }

  std::string path = fmt::format("/tmp/bulkhead-outbound-{}", ::getpid());
  std::string address = "unix:" + path;
  kj::Own<kj::ConnectionReceiver> server;
};

/// Of a connection that the other side has reset.
struct reset_stream final : kj::AsyncIoStream {
  kj::Promise<std::size_t> tryRead(void*, std::size_t, std::size_t) override {
    return KJ_EXCEPTION(DISCONNECTED, "");
  }
  kj::Promise<void> write(const void*, std::size_t) override { return kj::READY_NOW; }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>) override {
    return kj::READY_NOW;
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override {
    kj::throwFatalException(
        KJ_EXCEPTION(FAILED, "shutdown(fd, SHUT_WR): Transport endpoint is not connected; fd = 7"));
  }
};

/// Connected to whom `say` says, as the kernel would.
struct peer_stream final : kj::AsyncIoStream {
  using peer = std::function<void(sockaddr_un&)>;
  explicit peer_stream(peer say) : say(std::move(say)) {}

  kj::Promise<std::size_t> tryRead(void*, std::size_t, std::size_t) override {
    return kj::NEVER_DONE;
  }
  kj::Promise<void> write(const void*, std::size_t) override { return kj::READY_NOW; }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>) override {
    return kj::READY_NOW;
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override {}
  void getpeername(sockaddr* to, kj::uint* size) override {
    sockaddr_un found{};
    say(found);
    std::memcpy(to, &found, std::min<std::size_t>(*size, sizeof found));
    *size = sizeof found;
  }

  peer say;
};

/// Counts who connects, and connects them to `say`.
struct counted_address final : kj::NetworkAddress {
  counted_address(int& count, peer_stream::peer say) : count(count), say(std::move(say)) {}

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect() override {
    ++count;
    return kj::Own<kj::AsyncIoStream>(kj::heap<peer_stream>(say));
  }
  kj::Own<kj::ConnectionReceiver> listen() override { KJ_UNIMPLEMENTED("no test listens"); }
  kj::Own<kj::NetworkAddress> clone() override { return kj::heap<counted_address>(count, say); }
  kj::String toString() override { return kj::str("counted"); }

  int& count;
  peer_stream::peer say;
};

/// Look-ups end when the test lets them.
struct slow_network final : kj::Network {
  kj::Promise<kj::Own<kj::NetworkAddress>> parseAddress(kj::StringPtr, kj::uint) override {
    auto answer = kj::newPromiseAndFulfiller<kj::Own<kj::NetworkAddress>>();
    asked.push_back(kj::mv(answer.fulfiller));
    return kj::mv(answer.promise);
  }
  kj::Own<kj::NetworkAddress> getSockaddr(const void*, kj::uint) override {
    KJ_UNIMPLEMENTED("a test has no use for it");
  }
  kj::Own<kj::Network> restrictPeers(kj::ArrayPtr<const kj::StringPtr>,
                                     kj::ArrayPtr<const kj::StringPtr>) override {
    KJ_UNIMPLEMENTED("a test has no use for it");
  }
  /// The first that was asked for stands for this.
  void answer(peer_stream::peer say = [](sockaddr_un&) {}) {
    asked.front()->fulfill(kj::heap<counted_address>(connected, std::move(say)));
    asked.erase(asked.begin());
  }

  std::vector<kj::Own<kj::PromiseFulfiller<kj::Own<kj::NetworkAddress>>>> asked;
  int connected = 0;
};

}  // namespace

TEST_CASE_METHOD(pair, "what the other side writes is read, and its end is empty") {
  auto first = read();
  other().write("hello", 5).wait(scope);
  CHECK(first.wait(scope) == "hello");
  auto sent = other().write("abcdef", 6).eagerlyEvaluate(nullptr);
  CHECK(read(4).wait(scope) == "abcd");
  CHECK(read(connection_bytes_max + 1).wait(scope) == "ef");
  other().shutdownWrite();
  CHECK(read().wait(scope).empty());
  CHECK(read().wait(scope).empty());
}

TEST_CASE_METHOD(pair, "a read answers connection_bytes_max bytes at most") {
  const std::string much(connection_bytes_max + 1, 'x');
  auto sent = other().write(much.data(), much.size()).eagerlyEvaluate(nullptr);
  CHECK(read().wait(scope).size() == connection_bytes_max);
  CHECK(read(0xffffffff).wait(scope).size() == 1);
}

TEST_CASE_METHOD(pair, "one read at a time, and one that is given up makes room") {
  auto first = read();
  CHECK(failure_of(read(), scope).kind() == error_kind::failed_precondition);
  first = nullptr;
  kj::evalLater([] {}).wait(scope);
  auto second = read();
  other().write("x", 1).wait(scope);
  CHECK(second.wait(scope) == "x");
}

TEST_CASE_METHOD(pair, "writes arrive in the order of their calls, and then the end") {
  auto a = write("one ").eagerlyEvaluate(nullptr);
  auto b = write("two").eagerlyEvaluate(nullptr);
  auto done = end().eagerlyEvaluate(nullptr);
  CHECK(arrives(100) == "one two");
  done.wait(scope);
  CHECK(failure_of(write("more"), scope).kind() == error_kind::failed_precondition);
  CHECK(failure_of(end(), scope).kind() == error_kind::failed_precondition);
  auto answer = read();  // the other direction stays
  other().write("x", 1).wait(scope);
  CHECK(answer.wait(scope) == "x");
}

TEST_CASE_METHOD(pair, "connection_writes_max writes wait, one more is refused") {
  std::vector<kj::Promise<void>> waiting;
  for (std::size_t i = 0; i < connection_writes_max; ++i)
    waiting.push_back(write("x").eagerlyEvaluate(nullptr));
  CHECK(failure_of(write("y"), scope).kind() == error_kind::overloaded);
  CHECK(arrives(connection_writes_max) == std::string(connection_writes_max, 'x'));
  for (auto& each : waiting) each.wait(scope);
  auto again = write("y").eagerlyEvaluate(nullptr);
  CHECK(arrives(1) == "y");
}

TEST_CASE_METHOD(pair, "a write has connection_bytes_max bytes at most") {
  auto most = write(std::string(connection_bytes_max, 'x')).eagerlyEvaluate(nullptr);
  CHECK(arrives(connection_bytes_max).size() == connection_bytes_max);
  most.wait(scope);
  const auto problem = failure_of(write(std::string(connection_bytes_max + 1, 'x')), scope);
  CHECK(problem.kind() == error_kind::invalid_argument);
}

TEST_CASE_METHOD(pair, "a write that is given up in its middle fails the connection") {
  auto half = write("abcdef").eagerlyEvaluate(nullptr);
  CHECK(arrives(3) == "abc");
  half = nullptr;
  kj::evalLater([] {}).wait(scope);
  CHECK(failure_of(write("g"), scope).kind() == error_kind::failed_precondition);
  CHECK(failure_of(read(), scope).kind() == error_kind::failed_precondition);
}

TEST_CASE_METHOD(pair, "through the SDK it is a stream, whatever the sizes") {
  auto stream = sdk::make_stream(lent);
  const std::string much(3 * connection_bytes_max + 7, 'm');
  auto sent = stream->write(much.data(), much.size()).eagerlyEvaluate(nullptr);
  CHECK(arrives(much.size()) == much);
  sent.wait(scope);
  auto back = other().write(much.data(), much.size()).eagerlyEvaluate(nullptr);
  std::string got(much.size(), ' ');
  CHECK(stream->tryRead(got.data(), got.size(), got.size()).wait(scope) == much.size());
  CHECK(got == much);
  const kj::ArrayPtr<const kj::byte> pieces[] = {kj::StringPtr("ab").asBytes(),
                                                 kj::StringPtr("c").asBytes()};
  auto gathered = stream->write(pieces).eagerlyEvaluate(nullptr);
  CHECK(arrives(3) == "abc");
  stream->shutdownWrite();
  CHECK(arrives(1).empty());
}

TEST_CASE_METHOD(pair, "a connection that was reset fails by its reason, and stays so") {
  auto reset = lend_connection(kj::heap<reset_stream>());
  SECTION("when it is ended") {
    const auto problem = failure_of(reset.endRequest().send().ignoreResult(), scope);
    CHECK(problem.kind() == error_kind::failed_precondition);
    CHECK(problem.why() == "Transport endpoint is not connected");
  }
  SECTION("when it is read, also without a reason") {
    const auto problem = failure_of(reset.readRequest().send().ignoreResult(), scope);
    CHECK(problem.kind() == error_kind::failed_precondition);
  }
  const auto again = failure_of(reset.writeRequest().send().ignoreResult(), scope);
  CHECK(again.kind() == error_kind::failed_precondition);
}

TEST_CASE("what the network says comes without what it is of") {
  CHECK(network_reason("connect(sockfd, addr): Connection refused; fd = 9") ==
        "Connection refused");
  CHECK(network_reason("DNS lookup failed.; host = a") == "DNS lookup failed.");
  CHECK(network_reason("").empty());
}

TEST_CASE_METHOD(connecting, "an instance reaches what it was granted, and nothing else") {
  auto mine = instance();
  auto lent = tb.wait(mine.connect(address));
  auto there = accept();
  auto written = there->write("hi", 2);
  auto answer = tb.wait(lent.readRequest().send());
  CHECK(std::string(answer.getBytes().asChars().begin(), answer.getBytes().size()) == "hi");
  for (const auto& other :
       std::vector<std::string>{path, "unix:/tmp", address + "x", address + "\n", std::string()}) {
    const auto problem =
        failure_of(kj::evalNow([&] { return mine.connect(other); }), tb.wait_scope());
    CHECK(problem.kind() == error_kind::permission_denied);
    CHECK(std::string(problem.what()).find('\n') == std::string::npos);
  }
}

TEST_CASE_METHOD(connecting, "where nobody listens, the reason is the system's") {
  auto mine = instance();
  const auto problem = failure_of(mine.connect("unix:/nonexistent/socket"), tb.wait_scope());
  CHECK(problem.kind() == error_kind::failed_precondition);
  CHECK(problem.why() == "No such file or directory");
}

TEST_CASE_METHOD(connecting, "connections_max are of one instance, and a closed one makes room") {
  tb.services().limits.connections_max = 2;
  auto mine = instance();
  auto first = tb.wait(mine.connect(address));
  auto second = tb.wait(mine.connect(address));
  const auto one_more = [&] { return kj::evalNow([&] { return mine.connect(address); }); };
  CHECK(failure_of(one_more(), tb.wait_scope()).kind() == error_kind::overloaded);
  auto neighbour = instance();
  CHECK_NOTHROW(tb.wait(neighbour.connect(address)));
  auto there = accept();
  { const auto closed = kj::mv(first); }
  char byte = 0;
  CHECK(tb.wait(there->tryRead(&byte, 1, 1)) == 0);
  CHECK_NOTHROW(tb.wait(one_more()));
}

TEST_CASE_METHOD(connecting, "who gives up waiting keeps its place until the answer is there") {
  tb.services().limits.connections_max = 1;
  auto mine = instance();
  { const auto given_up = mine.connect(address); }
  const auto again = [&] { return kj::evalNow([&] { return mine.connect(address); }); };
  CHECK(failure_of(again(), tb.wait_scope()).kind() == error_kind::overloaded);
  tb.settle();
  CHECK_NOTHROW(tb.wait(again()));
}

TEST_CASE_METHOD(connecting, "a read of a connection that has failed is not told of an end") {
  auto mine = instance();
  auto lent = tb.wait(mine.connect(address));
  auto there = accept();
  auto reading = lent.readRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  const std::string much(connection_bytes_max, 'x');
  {
    std::vector<kj::Promise<void>> more_than_the_kernel_takes;
    for (std::size_t i = 0; i < connection_writes_max; ++i) {
      auto call = lent.writeRequest();
      call.setBytes(kj::StringPtr(much.c_str(), much.size()).asBytes());
      more_than_the_kernel_takes.push_back(call.send().ignoreResult().eagerlyEvaluate(nullptr));
    }
    tb.settle();
  }
  CHECK(failure_of(kj::mv(reading), tb.wait_scope()).kind() == error_kind::failed_precondition);
}

TEST_CASE_METHOD(connecting, "a look-up that is late keeps its place until it ends") {
  tb.services().limits.connections_max = 1;
  slow_network network;
  outbound mine(tb.services(), "m", {address}, network);
  const auto again = [&] { return kj::evalNow([&] { return mine.connect(address); }); };
  auto late = again();
  tb.settle();
  tb.advance(tb.services().limits.connect_ms_max);
  CHECK(failure_of(kj::mv(late), tb.wait_scope()).kind() == error_kind::deadline_exceeded);
  CHECK(failure_of(again(), tb.wait_scope()).kind() == error_kind::overloaded);
  network.asked.front()->reject(KJ_EXCEPTION(FAILED, "DNS lookup failed."));
  tb.settle();
  auto next = again();
  tb.settle();
  CHECK(network.asked.size() == 2);
}

TEST_CASE_METHOD(connecting, "the broker's own socket is nobody's to reach, by any name") {
  const auto link = path + "-link";
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  outbound mine(tb.services(), "m", {address, "unix:" + link});
  CHECK_NOTHROW(tb.wait(mine.connect("unix:" + link)));
  tb.services().config.socket_path = path;
  for (const auto& name : {address, "unix:" + link}) {
    const auto problem = failure_of(mine.connect(name), tb.wait_scope());
    CHECK(problem.kind() == error_kind::permission_denied);
    CHECK(problem.why() == "that is the broker's own socket");
  }
  ::unlink(link.c_str());
}

TEST_CASE_METHOD(connecting, "a connection ends with its instance, whoever holds it by then") {
  auto mine = instance();
  auto lent = tb.wait(mine.connect(address));
  auto there = accept();
  auto reading = lent.readRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  auto under_way = mine.connect(address);
  mine.end();
  CHECK(failure_of(kj::mv(reading), tb.wait_scope()).kind() == error_kind::failed_precondition);
  char byte = 0;
  CHECK(tb.wait(there->tryRead(&byte, 1, 1)) == 0);
  CHECK(failure_of(kj::mv(under_way), tb.wait_scope()).kind() == error_kind::plugin_unavailable);
  const auto late = failure_of(kj::evalNow([&] { return mine.connect(address); }), tb.wait_scope());
  CHECK(late.kind() == error_kind::plugin_unavailable);
}

TEST_CASE_METHOD(connecting, "whose peer cannot be told is not connected, and fails as others do") {
  slow_network network;
  outbound mine(tb.services(), "m", {"db.example:1"}, network);
  auto asked = mine.connect("db.example:1");
  tb.settle();
  network.answer([](sockaddr_un&) {
    kj::throwFatalException(KJ_EXCEPTION(
        FAILED, "getpeername(fd, addr, &len): Transport endpoint is not connected; fd = 7"));
  });
  const auto problem = failure_of(kj::mv(asked), tb.wait_scope());
  CHECK(problem.kind() == error_kind::failed_precondition);
  CHECK(std::string(problem.what()) == "cannot connect to 'db.example:1'");
  CHECK(problem.why() == "Transport endpoint is not connected");
  CHECK(tb.services().outside.connections.taken() == 0);
}

TEST_CASE_METHOD(connecting,
                 "a peer's path that fills its field is read to its end and no further") {
  slow_network network;
  outbound mine(tb.services(), "m", {"db.example:1"}, network);
  const auto full = [](sockaddr_un& peer) {
    peer.sun_family = AF_UNIX;
    std::memset(peer.sun_path, 'x', sizeof peer.sun_path);
  };
  const auto ask = [&] {
    auto asked = mine.connect("db.example:1");
    tb.settle();
    network.answer(full);
    return asked;
  };
  tb.services().config.socket_path = std::string(sizeof(sockaddr_un::sun_path), 'x');
  CHECK(failure_of(ask(), tb.wait_scope()).kind() == error_kind::permission_denied);
  tb.services().config.socket_path.pop_back();
  CHECK_NOTHROW(tb.wait(ask()));
}

// -- grants that change --------------------------------------------------------------------------

TEST_CASE_METHOD(connecting, "a grant that is taken away ends what is open, and nothing else") {
  const auto other = address + "-other";
  auto& network = tb.services().reactor.network();
  auto other_server = network.parseAddress(other.c_str()).wait(tb.wait_scope())->listen();
  outbound mine(tb.services(), "m", {address, other});
  auto lent = tb.wait(mine.connect(address));
  auto kept = tb.wait(mine.connect(other));
  auto there = accept();
  auto other_there = other_server->accept().wait(tb.wait_scope());
  auto reading = lent.readRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  const auto change = mine.use({other});
  CHECK(change.added == 0);
  CHECK(change.revoked == 1);
  CHECK(change.ended == 1);
  CHECK(refusal(mine, address).kind() == error_kind::permission_denied);
  char byte = 0;
  CHECK(tb.wait(there->tryRead(&byte, 1, 1)) == 0);
  const auto ended = failure_of(kj::mv(reading), tb.wait_scope());
  CHECK(ended.kind() == error_kind::failed_precondition);
  const auto after = failure_of(lent.writeRequest().send().ignoreResult(), tb.wait_scope());
  CHECK(after.kind() == error_kind::failed_precondition);
  CHECK(after.why() == "its grant was taken away");
  auto written = other_there->write("hi", 2);
  CHECK(tb.wait(kept.readRequest().send()).getBytes().size() == 2);
  CHECK(mine.granted() == std::vector<std::string>{other});
  CHECK(tb.services().outside.connections.taken() == 1);
  CHECK(tb.services().outside.revoked == 1);
  ::unlink((path + "-other").c_str());
}

TEST_CASE_METHOD(connecting, "what is looked up when its grant is taken away is never connected") {
  slow_network network;
  outbound mine(tb.services(), "m", {"db.example:1"}, network);
  auto asked = mine.connect("db.example:1");
  tb.settle();
  CHECK(mine.use({}).ended == 0);
  const auto told = failure_of(kj::mv(asked), tb.wait_scope());
  CHECK(told.kind() == error_kind::permission_denied);
  CHECK(told.why() == "its grant was taken away meanwhile");
  mine.use({"db.example:1"});  // the same name is another grant
  network.answer();
  tb.settle();
  CHECK(network.connected == 0);
  CHECK(tb.services().outside.connections.taken() == 0);
}

TEST_CASE_METHOD(connecting, "an address that is granted while the instance runs counts at once") {
  outbound mine(tb.services(), "m", {});
  CHECK(refusal(mine, address).kind() == error_kind::permission_denied);
  CHECK(mine.use({address, address}).added == 1);
  CHECK_NOTHROW(tb.wait(mine.connect(address)));
  CHECK(mine.use({address}).added == 0);
  mine.end();
  CHECK(mine.use({address, "unix:/x"}).added == 0);
  CHECK(refusal(mine, address).kind() == error_kind::plugin_unavailable);
}

// -- limits of the whole broker ------------------------------------------------------------------

TEST_CASE_METHOD(connecting,
                 "broker_connections_max are of all mounts, and none can have them all") {
  tb.services().limits.broker_connections_max = 4;
  auto greedy = instance("greedy");
  auto twin = instance("greedy");  // of the same mount
  auto modest = instance("modest");
  auto first = tb.wait(greedy.connect(address));
  auto second = tb.wait(twin.connect(address));
  for (auto* each : {&greedy, &twin}) {
    const auto problem = refusal(*each, address);
    CHECK(problem.kind() == error_kind::overloaded);
    CHECK(problem.why().find("the limit is 4 of all mounts (broker_connections_max)") !=
          std::string::npos);
  }
  auto third = tb.wait(modest.connect(address));
  CHECK(refusal(modest, address).kind() == error_kind::overloaded);
  auto fourth = tb.wait(instance("third").connect(address));
  CHECK(refusal(greedy, "unix:/nonexistent/socket").kind() == error_kind::overloaded);
  auto late = instance("late");
  CHECK(refusal(late, address).kind() == error_kind::overloaded);
  CHECK(tb.services().outside.refused == 5);
  { const auto closed = kj::mv(first); }
  tb.settle();
  CHECK_NOTHROW(tb.wait(late.connect(address)));
}

TEST_CASE_METHOD(connecting, "broker_lookups_max are of all mounts, and outlive who asked") {
  tb.services().limits.broker_lookups_max = 2;
  slow_network network;
  const std::vector<std::string> granted{"db.example:1", "10.0.0.1:1"};
  const auto make = [&](const char* mount) {
    return outbound(tb.services(), mount, granted, network);
  };
  auto before = make("a");
  { const auto given_up = before.connect("db.example:1"); }
  before.end();
  auto after = make("a");  // it was started again, and the thread still waits
  const auto problem = refusal(after, "db.example:1");
  CHECK(problem.kind() == error_kind::overloaded);
  CHECK(problem.why().find("the limit is 2 of all mounts (broker_lookups_max)") !=
        std::string::npos);
  auto neighbour = make("b");
  auto asked = neighbour.connect("db.example:1");
  auto late = make("c");
  CHECK(refusal(late, "db.example:1").kind() == error_kind::overloaded);
  CHECK(tb.services().outside.lookups.taken() == 2);
  auto number = late.connect("10.0.0.1:1");  // needs none
  tb.settle();
  REQUIRE(network.asked.size() == 3);
  network.answer();
  tb.settle();
  CHECK(tb.services().outside.lookups.taken() == 1);
  CHECK_NOTHROW(late.connect("db.example:1"));
}

TEST_CASE("only what is a name is looked up") {
  for (const char* each : {"unix:/run/x:1", "[::1]:80", "10.0.0.1:80", "127.0.0.1:1"})
    CHECK_FALSE(needs_lookup(each));
  for (const char* each : {"db.example:80", "localhost:1", "10.0.0.1.example:80", "10.1:80"})
    CHECK(needs_lookup(each));
}

// -- in a broker ---------------------------------------------------------------------------------

namespace {

/// Says what it hears from the socket that is asked for, until it ends.
struct reaching {
  explicit reaching(sdk::mount_context mount) : mount_(std::move(mount)) {}
  kj::Promise<sdk::response> read(const sdk::request& what) {
    return mount_.connect("unix:/" + what.capture("path"))
        .then([](kj::Own<kj::AsyncIoStream>&& stream) {
          auto all = stream->readAllText(100);
          return all.attach(kj::mv(stream));
        })
        .then([](kj::String&& said) -> sdk::response {
          return sdk::fields{{"said", said.cStr()}};
        });
  }
  sdk::mount_context mount_;
};

sdk::plugin make_reaching() {
  static const auto api = [] {
    sdk::paths<reaching> paths;
    paths.at("{path*}", "A socket.").read("What it says.", &reaching::read);
    return paths;
  }();
  return sdk::plugin("reaching", "1.0.0").serves(api);
}

struct granting : connecting {
  granting() { tb.plugin("p", make_reaching()); }

  kj::Promise<std::string> ask() {
    return tb.start("(operation = read, path = \"m" + path + "\")");
  }
  void tune(std::vector<std::string> grants) {
    tune_request what;
    what.path = "m";
    what.grants = std::move(grants);
    tb.finish(tb.core().tune(what));
  }
  std::vector<std::string> told() {
    std::vector<std::string> reasons;
    for (const auto& each : tb.events().after(0, 1000))
      if (each.name == "addresses_changed") reasons.push_back(each.reason);
    return reasons;
  }
};

}  // namespace

TEST_CASE_METHOD(granting, "an instance is granted what mount, release and broker say") {
  mount([this](mount_spec& spec) { spec.confinement.grants = {"net:" + address}; });
  auto answer = ask();
  auto there = accept();
  tb.wait(there->write("well", 4));
  there = nullptr;
  CHECK(tb.finish(kj::mv(answer)).find("well") != std::string::npos);
  CHECK(told().empty());
}

TEST_CASE_METHOD(granting,
                 "tune gives and takes addresses of what runs, which is not started anew") {
  mount();
  CHECK(tb.text_of(ask()).find("may not connect to") != std::string::npos);
  tune({"net:" + address});
  auto answer = ask();
  auto there = accept();
  tune({"env:X=1"});
  char byte = 0;
  CHECK(tb.wait(there->tryRead(&byte, 1, 1)) == 0);
  CHECK(tb.text_of(kj::mv(answer)).find("the connection has failed") != std::string::npos);
  CHECK(tb.text_of(ask()).find("may not connect to") != std::string::npos);
  CHECK(tb.starts("p") == 1);
  CHECK(told() == std::vector<std::string>{"addresses: 1 added",
                                           "addresses: 1 taken away (ended 1 connection)"});
  CHECK(tb.status("m").addresses == std::vector<std::string>{});
}

TEST_CASE_METHOD(granting, "one grant in place of others is one event, of all that came of it") {
  mount([](mount_spec& spec) { spec.confinement.grants = {"net:a:1", "net:b:1"}; });
  tune({"net:" + address});
  CHECK(told() ==
        std::vector<std::string>{"addresses: 1 added, 2 taken away (ended 0 connections)"});
}

TEST_CASE_METHOD(granting, "a grant is taken from an instance that finishes its calls, too") {
  mount([this](mount_spec& spec) { spec.confinement.grants = {"net:" + address}; });
  auto answer = ask();
  auto there = accept();
  CHECK(reload().outcome == reload_outcome::replaced);
  tune({});
  char byte = 0;
  CHECK(tb.wait(there->tryRead(&byte, 1, 1)) == 0);
  CHECK(tb.text_of(kj::mv(answer)).find("the connection has failed") != std::string::npos);
  CHECK(told().size() == 2);  // of each instance
}
