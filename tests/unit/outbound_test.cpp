// SPDX-License-Identifier: Apache-2.0
//
// Connections that the broker makes for plugins: the capability over a pipe in memory, and the
// connecting over a real socket of the machine.
#include "broker/outbound.hpp"

#include <unistd.h>

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

  outbound instance() { return {tb.services(), {address, "unix:/nonexistent/socket"}}; }
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
  std::vector<kj::Own<kj::PromiseFulfiller<kj::Own<kj::NetworkAddress>>>> asked;
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
  outbound mine(tb.services(), {address}, network);
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
  outbound mine(tb.services(), {address, "unix:" + link});
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

TEST_CASE_METHOD(connecting, "an instance is granted what mount, release and broker say") {
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
  sdk::paths<reaching> api;
  api.at("{path*}", "A socket.").read("What it says.", &reaching::read);
  tb.plugin("p", sdk::plugin("reaching", "1.0.0").serves(api));
  mount([this](mount_spec& spec) { spec.confinement.grants = {"net:" + address}; });
  auto answer = tb.start("(operation = read, path = \"m" + path + "\")");
  auto there = accept();
  tb.wait(there->write("well", 4));
  there = nullptr;
  CHECK(tb.finish(kj::mv(answer)).find("well") != std::string::npos);
}
