// SPDX-License-Identifier: Apache-2.0
//
// bad_plugin does what its names say: otherwise the tests that rely on it would pass for the wrong
// reason. What a broker makes of each mode is the broker's tests.
#include <unistd.h>

#include <array>
#include <cstring>

#include "schema/plugin.capnp.h"
#include "schema/wire/connection.hpp"
#include "tests/unit/child_process.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using test::child_process;
using test::ended;

namespace {

constexpr int at_once_ms = 5000;

std::string program(const std::string& mode) {
  return std::string(BAD_PLUGIN_DIR "/bad_plugin-") + mode;
}

/// The first bytes that a process writes to its link; empty at end of file or when none come.
std::string first_bytes(int link, std::size_t count) {
  std::string text(count, '\0');
  std::size_t got = 0;
  pollfd what{link, POLLIN, 0};
  while (got < count && ::poll(&what, 1, at_once_ms) == 1) {
    auto more = ::read(link, text.data() + got, count - got);
    if (more <= 0) break;
    got += static_cast<std::size_t>(more);
  }
  text.resize(got);
  return text;
}

struct null_host final : schema::Host::Server {};

struct session {
  explicit session(const std::string& mode) : process(program(mode)) {
    link = kj::heap<wire::connection>(
        io.lowLevelProvider->wrapUnixSocketFd(process.take_link(),
                                              kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP),
        wire::connection::side::CLIENT, nullptr);
    plugin = link->bootstrap().castAs<schema::Plugin>();
  }
  auto hello() { return plugin.helloRequest().send(); }
  schema::Backend::Client mount() {
    hello().wait(io.waitScope);
    auto call = plugin.mountRequest();
    call.initMount().setUuid("u");
    call.setHost(kj::heap<null_host>());
    return call.send().wait(io.waitScope).getBackend();
  }
  auto read(schema::Backend::Client backend) {
    auto call = backend.handleRequest();
    call.initRequest().setPath("x");
    return call.send();
  }
  /// True when `run` fails with the exception type.
  template <class F>
  bool fails(kj::Exception::Type type, F run) {
    auto problem = kj::runCatchingExceptions([&] { run(); });
    KJ_IF_MAYBE (found, problem) {
      return found->getType() == type;
    }
    return false;
  }

  kj::AsyncIoContext io = kj::setupAsyncIo();
  child_process process;
  kj::Own<wire::connection> link;
  schema::Plugin::Client plugin = nullptr;
};

}  // namespace

TEST_CASE("modes that end at once end with their status") {
  CHECK(child_process(program("exit-0")).wait() == ended{false, 0});
  child_process seven(program("exit-7"));
  CHECK(seven.wait() == ended{false, 7});
  CHECK(seven.log() == "bad_plugin: exiting with 7\n");
}

TEST_CASE("modes that write to the link at once write what they say, and live on") {
  child_process evil(program("evil-frame"));
  CHECK(first_bytes(evil.take_link(), 8) == std::string("\xff\xff\xff\xff\0\0\0\0", 8));
  CHECK_FALSE(evil.wait(0));
  child_process half(program("truncated-frame"));
  CHECK(first_bytes(half.take_link(), 16).size() == 16);
  CHECK_FALSE(half.wait(0));
  child_process huge(program("huge-frame"));
  CHECK(first_bytes(huge.take_link(), 8) == std::string("\0\0\0\0\xff\xff\xff\x1f", 8));
  child_process noise(program("garbage"));
  CHECK(first_bytes(noise.take_link(), 65536).size() == 65536);
  CHECK_FALSE(noise.wait(0));
}

TEST_CASE("closes-fd3 closes the link and lives on; never-hello keeps it and is silent") {
  child_process closed(program("closes-fd3"));
  int link = closed.take_link();
  pollfd what{link, POLLIN, 0};
  CHECK(::poll(&what, 1, at_once_ms) == 1);
  CHECK(first_bytes(link, 1).empty());
  CHECK_FALSE(closed.wait(0));
  child_process silent(program("never-hello"));
  CHECK_FALSE(silent.wait(0));
}

TEST_CASE("modes of hello") {
  {
    session crash("crash-in-hello");
    CHECK(crash.fails(kj::Exception::Type::DISCONNECTED,
                      [&] { crash.hello().wait(crash.io.waitScope); }));
    CHECK(crash.process.wait() == ended{true, SIGSEGV});
  }
  {
    session wrong("wrong-protocol");
    CHECK(wrong.fails(kj::Exception::Type::UNIMPLEMENTED,
                      [&] { wrong.hello().wait(wrong.io.waitScope); }));
  }
  {
    session liar("lies-about-protocol");
    CHECK(liar.hello().wait(liar.io.waitScope).getPlugin().getProtocol() == 900);
  }
  session name("bad-name");
  CHECK(name.hello().wait(name.io.waitScope).getPlugin().getName().startsWith("../"));
}

TEST_CASE("modes of mount") {
  {
    session abort("abort-in-mount");
    CHECK(abort.fails(kj::Exception::Type::DISCONNECTED, [&] { abort.mount(); }));
    CHECK(abort.process.wait() == ended{true, SIGABRT});
  }
  {
    session fails("fails-mount");
    CHECK(fails.fails(kj::Exception::Type::FAILED, [&] { fails.mount(); }));
  }
  session flood("floods-stdout");
  flood.mount();
  CHECK(flood.process.log_line() == std::string(63, 'x'));
}

TEST_CASE("modes of a call end the process as they say") {
  struct row {
    const char* mode;
    ended how;
  };
  for (auto row : std::array<row, 4>{{{"segv-on-call", {true, SIGSEGV}},
                                      {"abort-on-call", {true, SIGABRT}},
                                      {"exit-on-call", {false, 0}},
                                      {"exit-7-on-call", {false, 7}}}}) {
    CAPTURE(row.mode);
    session bad(row.mode);
    auto backend = bad.mount();
    CHECK(bad.fails(kj::Exception::Type::DISCONNECTED,
                    [&] { bad.read(backend).wait(bad.io.waitScope); }));
    CHECK(bad.process.wait() == row.how);
  }
}

TEST_CASE("echo behaves, and ends at end of file") {
  session good("echo");
  auto backend = good.mount();
  CHECK(good.read(backend).wait(good.io.waitScope).getResponse().getFields().size() == 1);
  good.link = nullptr;
  CHECK(good.process.wait() == ended{false, 0});
}

TEST_CASE("error-on-call and big-reply fail the call alone") {
  for (const char* mode : {"error-on-call", "big-reply"}) {
    CAPTURE(mode);
    session bad(mode);
    auto backend = bad.mount();
    CHECK(
        bad.fails(kj::Exception::Type::FAILED, [&] { bad.read(backend).wait(bad.io.waitScope); }));
    CHECK_FALSE(bad.process.wait(0));
  }
}

TEST_CASE("ignores-sigterm outlives SIGTERM and end of file") {
  session deaf("ignores-sigterm");
  auto backend = deaf.mount();
  deaf.process.signal(SIGTERM);
  CHECK(deaf.read(backend).wait(deaf.io.waitScope).getResponse().getFields().size() == 1);
  deaf.link = nullptr;
  constexpr int long_enough_ms = 200;
  CHECK_FALSE(deaf.process.wait(long_enough_ms));
}
