// SPDX-License-Identifier: Apache-2.0
//
// serve() in real processes: the descriptor, signals, log lines, and the ways to end. Times are
// bounds on what is at once: the SDK promises end of file to exit within 100 ms on an idle machine;
// ten times that still tells "at once" from "after some grace".
#include "plugins/sdk/convert.hpp"
#include "plugins/sdk/plugin.hpp"
#include "schema/wire/connection.hpp"
#include "tests/unit/child_process.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using test::ended;

namespace {

constexpr int at_once_ms = 1000;
const std::string probe_program = SDK_PROBE_PLUGIN;

struct null_host final : schema::Host::Server {};

/// A process and a connection to it.
struct session {
  explicit session(const std::string& program = probe_program) : process(program) {
    link = kj::heap<wire::connection>(
        io.lowLevelProvider->wrapUnixSocketFd(process.take_link(),
                                              kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP),
        wire::connection::side::CLIENT, nullptr);
    plugin = link->bootstrap().castAs<schema::Plugin>();
    auto hello = plugin.helloRequest();
    hello.initBroker().setProtocolMin(1);
    hello.getBroker().setProtocolMax(1);
    hello.send().wait(io.waitScope);
    auto mount = plugin.mountRequest();
    mount.initMount().setUuid("u");
    mount.setHost(kj::heap<null_host>());
    backend = mount.send().wait(io.waitScope).getBackend();
  }

  kj::Promise<sdk::fields> read(const char* path) {
    auto call = backend.handleRequest();
    call.initRequest().setPath(path);
    return call.send().then(
        [](auto&& done) { return sdk::read_fields(done.getResponse().getFields()); });
  }

  kj::AsyncIoContext io = kj::setupAsyncIo();
  test::child_process process;
  kj::Own<wire::connection> link;
  schema::Plugin::Client plugin = nullptr;
  schema::Backend::Client backend = nullptr;
};

}  // namespace

TEST_CASE("a plugin run by hand says what it is and exits with 64") {
  test::child_process process(probe_program, false);
  CHECK(process.wait() == ended{false, sdk::exit_run_by_hand});
  auto text = process.log();
  CHECK(text.find("this is a Bulkhead plugin") != std::string::npos);
  CHECK(text.find("bulkhead mount PATH probe") != std::string::npos);
}

TEST_CASE("end of file on the link ends the process at once, before the first call and after") {
  test::child_process process(probe_program);
  process.close_link();
  CHECK(process.wait(at_once_ms) == ended{false, 0});
  session live;
  live.read("ok").wait(live.io.waitScope);
  live.link = nullptr;
  CHECK(live.process.wait(at_once_ms) == ended{false, 0});
}

TEST_CASE("end of file ends a process whose handler never returns") {
  session live;
  auto call = live.read("busy");
  call.poll(live.io.waitScope);
  CHECK(live.process.log_line() == "busy");
  live.link = nullptr;
  CHECK(live.process.wait(at_once_ms) == ended{false, 0});
}

TEST_CASE("SIGTERM ends an idle process at once, with status 0") {
  session live;
  live.process.signal(SIGTERM);
  CHECK(live.process.wait(at_once_ms) == ended{false, 0});
}

TEST_CASE("shutdown lets a call under way finish, and its answer arrives") {
  session live;
  auto slow = live.read("slow");
  slow.poll(live.io.waitScope);
  CHECK(live.process.log_line() == "slow");
  auto end = live.plugin.shutdownRequest();
  end.setGraceMs(60'000);
  end.send().wait(live.io.waitScope);
  CHECK(slow.wait(live.io.waitScope).has("done"));
  CHECK(live.process.wait() == ended{false, 0});
}

TEST_CASE("shutdown without grace ends the process though a call is under way") {
  session live;
  auto never = live.read("never");
  never.poll(live.io.waitScope);
  CHECK(live.process.log_line() == "never");
  live.plugin.shutdownRequest().send().detach([](kj::Exception&&) {});
  live.link->on_disconnect().wait(live.io.waitScope);
  CHECK(live.process.wait(at_once_ms) == ended{false, 0});
}

TEST_CASE("SIGTERM shortens a longer grace that has begun, and nothing lengthens it") {
  session live;
  auto never = live.read("never");
  never.poll(live.io.waitScope);
  CHECK(live.process.log_line() == "never");
  auto end = live.plugin.shutdownRequest();
  end.setGraceMs(60'000);
  end.send().wait(live.io.waitScope);
  live.process.signal(SIGTERM);
  CHECK(live.process.wait(sdk::sigterm_grace_ms + at_once_ms) == ended{false, 0});
}

TEST_CASE("a stray printf is a log line and breaks nothing") {
  session live;
  CHECK(live.read("print").wait(live.io.waitScope).has("ok"));
  CHECK(live.process.log_line() == "a stray printf");
  CHECK(live.read("ok").wait(live.io.waitScope).has("ok"));
}

TEST_CASE("a process outlives a reader of its log") {
  session live;
  live.process.close_log();
  CHECK(live.read("print").wait(live.io.waitScope).has("ok"));
  CHECK(live.read("print").wait(live.io.waitScope).has("ok"));
}
