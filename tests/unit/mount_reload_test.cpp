// SPDX-License-Identifier: Apache-2.0
//
// The life of a mount's instances, with a whole broker in memory: reload, lazy start, idle stop,
// health, recycling, operators' stop and start. Time stands still unless a test moves it.

#include "tests/unit/test_broker.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using test::program;
using test::test_broker;

namespace {

/// Answers with its version; `hang` never answers; `fail` fails in the plugin's own words.
struct subject {
  explicit subject(std::string version) : version(std::move(version)) {}
  sdk::fields read(const sdk::request& what) {
    if (what.path == "fail") throw std::runtime_error("a bug");
    return {{"version", version}};
  }
  kj::Promise<sdk::response> hang(const sdk::request&) {
    return kj::Promise<sdk::response>(kj::NEVER_DONE);
  }
  std::string version;
};

sdk::plugin make(const std::string& version) {
  static const auto api = [] {
    sdk::paths<subject> paths;
    paths.at("hang", "Never answers.").read("Waits.", &subject::hang);
    paths.at("{rest*}", "Anything.").read("Says its version.", &subject::read);
    return paths;
  }();
  return sdk::plugin("subject", version).serves(api, [version](sdk::mount_context) {
    return std::make_shared<subject>(version);
  });
}

program silent() {
  return {[](kj::Own<kj::AsyncIoStream> link) {
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

program exits_at_once(test_broker& tb) {
  return {[&tb](kj::Own<kj::AsyncIoStream> link) {
    tb.detach(kj::evalLater([&tb] { tb.process("p")->end(exit_status::exited(9)); }));
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

struct fixture {
  fixture() { tb.plugin("p", make("1.0.0")); }

  mount_snapshot mount(std::function<void(mount_spec&)> change = {}, const char* path = "m") {
    mount_spec spec;
    spec.path = path;
    spec.plugin = "p";
    if (change) change(spec);
    return tb.wait(tb.core().mount(std::move(spec)));
  }
  kj::Promise<std::string> start(const std::string& path) {
    return tb.start("(operation = read, path = \"" + path + "\")").eagerlyEvaluate(nullptr);
  }
  std::string read(const std::string& path) { return tb.text_of(start(path)); }
  /// "1.0.0", as the instance that serves says.
  std::string version(const std::string& path = "m/x") {
    const auto answer = read(path);
    const auto at = answer.find("text = \"");
    return at == std::string::npos ? answer : answer.substr(at + 8, 5);
  }
  kj::Promise<std::vector<reload_result>> begin_reload(reload_request how = {}) {
    return tb.core().reload("m", std::move(how)).eagerlyEvaluate(nullptr);
  }
  reload_result reload(reload_request how = {}) {
    return tb.wait(begin_reload(std::move(how))).front();
  }
  mount_status status(const char* path = "m") { return tb.status(path).status; }
  std::vector<std::string> events() {
    std::vector<std::string> names;
    for (const auto& each : tb.events().after(0, 1000)) names.push_back(each.name);
    return names;
  }
  bool happened(const std::string& name) {
    const auto all = events();
    return std::find(all.begin(), all.end(), name) != all.end();
  }

  test_broker tb;
};

}  // namespace

// -- reload -----------------------------------------------------------------------------------

TEST_CASE_METHOD(fixture,
                 "Z01 a good new instance takes over, and the old one finishes its calls") {
  mount();
  auto old_call = start("m/hang");
  auto blue = tb.process("p");
  tb.plugin("p", make("2.0.0"));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::replaced);
  CHECK(result.generation_before == 1);
  CHECK(result.generation_after == 2);
  CHECK(result.version_before == "1.0.0");
  CHECK(result.version_after == "2.0.0");
  CHECK(version() == "2.0.0");
  CHECK(status().generation == 2);
  CHECK(status().restarts == 0);
  CHECK(tb.status("m").restarts_in_window == 0);
  tb.settle();
  CHECK_FALSE(blue->peek());  // it has a call
  old_call = nullptr;         // whose caller goes away
  tb.settle();
  tb.advance(3s);
  CHECK(blue->peek());
  CHECK(tb.core().crashes("m", 0).empty());
  CHECK(happened("reloaded"));
  CHECK(happened("retired"));
}

TEST_CASE_METHOD(fixture, "Z01 no call fails or waits while one instance takes over from another") {
  mount();
  tb.plugin("p", make("2.0.0"));
  bool done = false;
  auto reloading = begin_reload()
                       .then([&done](std::vector<reload_result>&& results) {
                         CHECK(results.front().outcome == reload_outcome::replaced);
                         done = true;
                       })
                       .eagerlyEvaluate(nullptr);
  int of_old = 0;
  while (!done) of_old += version() == "1.0.0" ? 1 : 0;
  CHECK(of_old > 0);
  CHECK(version() == "2.0.0");
  CHECK(status().calls_failed == 0);
}

TEST_CASE_METHOD(fixture,
                 "Z02 P04 a new instance that does not start leaves the old one untouched") {
  mount();
  tb.plugin("p", exits_at_once(tb));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("exited with status 9") != std::string::npos);
  CHECK(result.generation_after == 1);
  CHECK(version() == "1.0.0");
  CHECK(status().generation == 1);
  CHECK(tb.status("m").restarts_in_window == 0);
  CHECK(tb.core().crashes("m", 0).front().next == "the instance before it serves on");
}

TEST_CASE_METHOD(fixture, "Z03 L13 a new instance that hangs is given up after the start limit") {
  mount();
  tb.plugin("p", silent());
  auto reloading = begin_reload();
  tb.settle();
  auto green = tb.process("p");
  tb.advance(tb.core().services().limits.start_ms_max - 1ms);
  CHECK_FALSE(reloading.poll(tb.wait_scope()));
  CHECK(version() == "1.0.0");
  tb.advance(1ms);
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("start_ms_max") != std::string::npos);
  CHECK(green->peek() == exit_status::signaled(SIGKILL, false));
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture, "a new instance of another version than was asked for is not taken") {
  mount();
  tb.plugin("p", make("2.0.0"));
  const auto result = reload({.version = "3.0.0"});
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason == "it introduced itself as version 2.0.0, not 3.0.0");
  CHECK(version() == "1.0.0");
  CHECK(reload({.version = "2.0.0"}).outcome == reload_outcome::replaced);
  CHECK(version() == "2.0.0");
}

TEST_CASE_METHOD(fixture, "Z04 a trial that does worse than the old instance is rolled back") {
  mount();
  tb.plugin("p", make("2.0.0"));
  auto reloading = begin_reload({.canary_percent = 50, .canary = 10s});
  tb.settle();
  CHECK(tb.status("m").reload == "generation 2 is on trial");
  CHECK(version() == "1.0.0");
  CHECK(version() == "2.0.0");
  CHECK(version() == "1.0.0");
  CHECK(read("m/fail").find("plugin_error") == 0);  // the new one's turn
  tb.advance(10s);
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason == "on trial 1 of 2 calls failed, of the instance before it 0 of 2");
  for (int i = 0; i < 4; ++i) CHECK(version() == "1.0.0");
  CHECK(status().generation == 1);
}

TEST_CASE_METHOD(fixture, "a trial that does as well as the old instance ends in the switch") {
  mount();
  tb.plugin("p", make("2.0.0"));
  auto reloading = begin_reload({.canary_percent = 10, .canary = 10s});
  tb.settle();
  int fresh = 0;
  for (int i = 0; i < 100; ++i) fresh += version() == "2.0.0" ? 1 : 0;
  CHECK(fresh == 10);
  tb.advance(9s);
  CHECK_FALSE(reloading.poll(tb.wait_scope()));
  tb.advance(1s);
  CHECK(reloading.wait(tb.wait_scope()).front().outcome == reload_outcome::replaced);
  for (int i = 0; i < 4; ++i) CHECK(version() == "2.0.0");
}

TEST_CASE_METHOD(fixture, "Z04 a trial whose instance crashes is rolled back at once") {
  mount();
  tb.plugin("p", make("2.0.0"));
  auto reloading = begin_reload({.canary_percent = 50, .canary = 10s});
  tb.settle();
  CHECK(version() == "1.0.0");
  auto lost = start("m/hang");
  tb.settle();
  tb.crash("p");
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(tb.text_of(kj::mv(lost)).find("plugin_crashed") == 0);
  for (int i = 0; i < 4; ++i) CHECK(version() == "1.0.0");
  CHECK(status().state == mount_state::ready);
}

TEST_CASE_METHOD(fixture,
                 "Z05 the old instance crashes meanwhile: the mount recovers by its rules") {
  mount();
  auto blue = tb.process("p");
  tb.plugin("p", silent());
  auto reloading = begin_reload();
  tb.settle();
  auto green = tb.process("p");
  tb.plugin("p", make("2.0.0"));
  blue->end(exit_status::signaled(SIGSEGV, false));
  tb.settle();
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("ended meanwhile") != std::string::npos);
  CHECK(green->peek() == exit_status::signaled(SIGKILL, false));
  CHECK(status().state == mount_state::ready);
  CHECK(status().generation == 3);
  CHECK(tb.status("m").restarts_in_window == 1);
  CHECK(version() == "2.0.0");
}

TEST_CASE_METHOD(fixture, "Z06 a call that never ends is cut at the drain limit, with the reason") {
  mount();
  auto stuck = start("m/hang");
  auto blue = tb.process("p");
  CHECK(reload().outcome == reload_outcome::replaced);
  tb.advance(tb.core().services().limits.drain_ms_max - 1ms);
  CHECK_FALSE(stuck.poll(tb.wait_scope()));
  CHECK_FALSE(blue->peek());
  tb.advance(1ms);
  CHECK(tb.text_of(kj::mv(stuck)) ==
        "plugin_unavailable: the instance of 'm/' that had this call was replaced");
  tb.advance(2s);
  CHECK(blue->peek());
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture,
                 "Z07 P03 P05 several mounts of a plugin: each is reported, one that fails stops "
                 "no other") {
  tb.plugin("other", make("1.0.0"));
  for (const auto* path : {"a", "b", "c"}) mount({}, path);
  mount([](mount_spec& spec) { spec.plugin = "other"; }, "d");
  tb.plugin("p", make("2.0.0"));
  auto stopping = tb.core().restart("b").eagerlyEvaluate(nullptr);  // busy: it cannot be reloaded
  tb.settle();
  const auto results = tb.wait(tb.core().reload_plugin("p", {}));
  REQUIRE(results.size() == 3);
  CHECK(results[0].outcome == reload_outcome::replaced);
  CHECK(results[1].outcome == reload_outcome::failed);
  CHECK(results[1].reason == "an instance of it is starting or stopping");
  CHECK(results[2].outcome == reload_outcome::replaced);
  CHECK(version("d/x") == "1.0.0");
  CHECK(status("d").generation == 1);
  tb.finish(kj::mv(stopping));
  auto problem = kj::runCatchingExceptions([&] { tb.wait(tb.core().reload_plugin("none", {})); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::not_found);
}

TEST_CASE_METHOD(fixture, "Z08 a plugin that must be alone is stopped before the next one starts") {
  tb.plugin("p", make("1.0.0").stop_first());
  mount();
  auto blue = tb.process("p");
  tb.plugin("p", make("2.0.0"));
  auto reloading = begin_reload();
  tb.settle();
  CHECK(tb.starts("p") == 1);
  auto waits = start("m/x");
  tb.settle();
  tb.advance(tb.core().services().limits.stop_grace_ms);
  REQUIRE(blue->peek());
  CHECK(tb.starts("p") == 2);
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::restarted);
  CHECK(result.version_after == "2.0.0");
  CHECK(tb.text_of(kj::mv(waits)).find("2.0.0") != std::string::npos);
}

TEST_CASE_METHOD(fixture, "Z08 a mount can demand that its plugin is alone") {
  mount([](mount_spec& spec) { spec.life.handover = handover::stop_first; });
  auto reloading = begin_reload();
  tb.settle();
  CHECK(tb.starts("p") == 1);
  CHECK(tb.finish(kj::mv(reloading)).front().outcome == reload_outcome::restarted);
}

TEST_CASE_METHOD(fixture, "Z09 a second reload, and any order that ends the first") {
  mount();
  tb.plugin("p", silent());
  auto reloading = begin_reload();
  tb.settle();
  auto green = tb.process("p");
  const auto second = reload();
  CHECK(second.outcome == reload_outcome::failed);
  CHECK(second.reason == "a reload of it is under way");

  SECTION("restart") {
    tb.plugin("p", make("2.0.0"));
    CHECK(tb.finish(tb.core().restart("m")).status.state == mount_state::ready);
    CHECK(version() == "2.0.0");
  }
  SECTION("stop") {
    CHECK(tb.finish(tb.core().stop("m")).status.state == mount_state::stopped);
  }
  SECTION("unmount") {
    tb.finish(tb.core().unmount("m"));
    CHECK(read("m/x") == "not_found: no mount serves 'm/x'");
  }
  tb.settle();
  CHECK(reloading.wait(tb.wait_scope()).front().outcome == reload_outcome::failed);
  CHECK(green->peek() == exit_status::signaled(SIGKILL, false));
}

TEST_CASE_METHOD(fixture, "a reload of a mount that is down starts it") {
  restart_limits strict;
  strict.intensity = 0;
  mount([&](mount_spec& spec) { spec.supervision = strict; });
  tb.crash("p");
  REQUIRE(status().state == mount_state::quarantined);
  tb.plugin("p", make("2.0.0"));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::restarted);
  CHECK(result.generation_before == 0);
  CHECK(version() == "2.0.0");
}

TEST_CASE_METHOD(fixture, "a trial's share and time are checked") {
  mount();
  for (const auto& bad : {reload_request{.canary_percent = 100}, reload_request{.canary = 0ms}}) {
    auto problem = kj::runCatchingExceptions([&] { reload(bad); });
    CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::invalid_argument);
  }
}

TEST_CASE_METHOD(fixture, "L13 a reload that failed does not stand in the way of the next") {
  mount();
  tb.plugin("p", exits_at_once(tb));
  CHECK(reload().outcome == reload_outcome::failed);
  tb.plugin("p", make("2.0.0"));
  CHECK(reload().outcome == reload_outcome::replaced);
  CHECK(version() == "2.0.0");
}

// -- lazy and idle ----------------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "a lazy mount starts with its first call, which waits for it") {
  const auto made = mount([](mount_spec& spec) { spec.life.start = start_mode::lazy; });
  CHECK(made.status.state == mount_state::stopped);
  CHECK(made.status.reason == "it starts with its next call");
  CHECK(tb.starts("p") == 0);
  CHECK(version() == "1.0.0");
  CHECK(tb.starts("p") == 1);
  CHECK(status().state == mount_state::ready);
}

TEST_CASE_METHOD(fixture, "P01 a hundred calls at once to a mount that sleeps start it once") {
  mount([](mount_spec& spec) { spec.life.start = start_mode::lazy; });
  auto calls = kj::Vector<kj::Promise<std::string>>();
  for (int i = 0; i < 100; ++i) calls.add(start("m/x"));
  for (auto& each : calls) CHECK(tb.text_of(kj::mv(each)).find("1.0.0") != std::string::npos);
  CHECK(tb.starts("p") == 1);
}

TEST_CASE_METHOD(
    fixture, "L06 an idle mount is stopped and woken any number of times, and no window is spent") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  for (int i = 1; i <= 8; ++i) {
    CHECK(version() == "1.0.0");
    CHECK(tb.starts("p") == i);
    tb.advance(29s);
    CHECK(status().state == mount_state::ready);
    tb.advance(1s);
    tb.advance(tb.core().services().limits.stop_grace_ms);
    CHECK(status().state == mount_state::stopped);
    CHECK(status().pid == 0);
  }
  CHECK(tb.status("m").restarts_in_window == 0);
  CHECK(tb.core().crashes("m", 0).empty());
}

TEST_CASE_METHOD(fixture,
                 "a call that comes while an idle mount stops is served by the next instance") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  tb.advance(30s);
  auto late = start("m/x");
  tb.settle();
  CHECK_FALSE(late.poll(tb.wait_scope()));
  tb.advance(tb.core().services().limits.stop_grace_ms);
  CHECK(tb.text_of(kj::mv(late)).find("1.0.0") != std::string::npos);
  CHECK(status().generation == 2);
}

TEST_CASE_METHOD(fixture, "a mount that sleeps is not woken by calls once an operator stopped it") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  tb.advance(30s);
  tb.advance(tb.core().services().limits.stop_grace_ms);
  REQUIRE(status().state == mount_state::stopped);
  CHECK(tb.finish(tb.core().stop("m")).status.reason == "stopped by an operator");
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' is stopped");
  CHECK(tb.starts("p") == 1);
  CHECK(tb.finish(tb.core().start("m")).status.state == mount_state::ready);
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture, "a mount with a call in flight is not idle") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  auto busy = start("m/hang");
  tb.settle();
  tb.advance(60s);
  CHECK(status().state == mount_state::ready);
  busy = nullptr;
  tb.settle();
  tb.advance(29s);
  CHECK(status().state == mount_state::ready);
}

TEST_CASE_METHOD(fixture,
                 "L02 a mount that an operator stopped is started by nothing but an operator") {
  mount([](mount_spec& spec) { spec.life.start = start_mode::lazy; });
  CHECK(version() == "1.0.0");
  CHECK(tb.finish(tb.core().stop("m")).status.state == mount_state::stopped);
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' is stopped");
  tb.advance(1h);
  CHECK(tb.starts("p") == 1);
  // Stopping it again changes nothing.
  CHECK(tb.finish(tb.core().stop("m")).status.state == mount_state::stopped);
  CHECK(tb.wait(tb.core().start("m")).status.state == mount_state::ready);
  CHECK(tb.wait(tb.core().start("m")).status.generation == 2);
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture, "F12 a mount that is stopped while it starts leaves nothing behind") {
  mount();
  tb.plugin("p", silent());
  tb.crash("p");
  REQUIRE(status().state == mount_state::starting);
  auto process = tb.process("p");
  CHECK(tb.finish(tb.core().stop("m")).status.state == mount_state::stopped);
  CHECK(process->peek());
  CHECK(tb.starts("p") == 2);
  tb.advance(1h);
  CHECK(status().state == mount_state::stopped);
  CHECK(tb.starts("p") == 2);
}

TEST_CASE_METHOD(fixture, "J12 L02 a stop ends a backoff: nothing starts any more") {
  mount();
  tb.crash("p");
  tb.crash("p");
  REQUIRE(status().state == mount_state::backoff);
  auto waits = start("m/x");
  tb.settle();
  CHECK(tb.finish(tb.core().stop("m")).status.state == mount_state::stopped);
  CHECK(tb.text_of(kj::mv(waits)) == "plugin_unavailable: mount 'm/' is stopped");
  tb.advance(1h);
  CHECK(tb.starts("p") == 2);
}

TEST_CASE_METHOD(fixture,
                 "a transient plugin that ends well is started by the next call of a lazy mount") {
  mount([](mount_spec& spec) {
    spec.restart = restart_rule::transient;
    spec.life.start = start_mode::lazy;
  });
  CHECK(version() == "1.0.0");
  tb.process("p")->end(exit_status::exited(0));
  tb.settle();
  CHECK(status().state == mount_state::stopped);
  CHECK(version() == "1.0.0");
  CHECK(tb.starts("p") == 2);
}

TEST_CASE_METHOD(fixture, "a temporary plugin sleeps and wakes like any other") {
  mount([](mount_spec& spec) {
    spec.restart = restart_rule::temporary;
    spec.life.idle_stop = 30s;
  });
  for (int i = 1; i <= 3; ++i) {
    CHECK(version() == "1.0.0");
    CHECK(status().generation == static_cast<std::uint64_t>(i));
    tb.advance(30s);
    tb.advance(tb.core().services().limits.stop_grace_ms);
    CHECK(status().state == mount_state::stopped);
  }
}

TEST_CASE_METHOD(fixture, "start does not lead out of quarantine") {
  restart_limits strict;
  strict.intensity = 0;
  mount([&](mount_spec& spec) { spec.supervision = strict; });
  tb.crash("p");
  auto problem = kj::runCatchingExceptions([&] { tb.wait(tb.core().start("m")); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::failed_precondition);
  CHECK(status().state == mount_state::quarantined);
}

// -- health and recycling -----------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "L10 a plugin that stops answering pings is killed and replaced") {
  tb.plugin("p", make("1.0.0"));
  mount([](mount_spec& spec) {
    spec.life.ping_every = 10s;
    spec.life.ping_wait = 5s;
  });
  auto process = tb.process("p");
  for (int i = 0; i < 10; ++i) tb.advance(10s);
  CHECK(status().generation == 1);
  process->freeze();
  auto lost = start("m/x");
  tb.settle();
  tb.advance(10s);
  tb.advance(5s - 1ms);
  CHECK(status().generation == 1);
  tb.advance(1ms);
  CHECK(process->peek() == exit_status::signaled(SIGKILL, false));
  CHECK(tb.text_of(kj::mv(lost)).find("plugin_crashed: plugin 'p' at 'm/' hung and was killed") ==
        0);
  const auto report = tb.core().crashes("m", 1).front();
  CHECK(report.end.cause == end_cause::unresponsive);
  CHECK(report.end.why == "did not answer a ping within 5000 ms");
  CHECK(status().generation == 2);
  CHECK(tb.status("m").restarts_in_window == 1);
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture, "a plugin whose oldest call is too old is killed and replaced") {
  mount([](mount_spec& spec) { spec.life.call_age_max = 20s; });
  auto stuck = start("m/hang");
  tb.settle();
  tb.advance(20s - 1ms);
  CHECK_FALSE(stuck.poll(tb.wait_scope()));
  // The rule is looked at when it can have been broken first, and again when the call can be so
  // old.
  tb.advance(20s);
  CHECK(tb.text_of(kj::mv(stuck)).find("plugin_crashed") == 0);
  CHECK(status().generation == 2);
  CHECK(tb.core().crashes("m", 1).front().calls.front().method == "read m/hang");
}

TEST_CASE_METHOD(fixture,
                 "L09 an instance at the end of its lifetime is replaced without a failed call") {
  mount([](mount_spec& spec) { spec.life.lifetime_max = 1h; });
  tb.advance(1h - 1ms);
  CHECK(status().generation == 1);
  auto busy = start("m/x");
  tb.advance(1ms);
  CHECK(tb.text_of(kj::mv(busy)).find("1.0.0") != std::string::npos);
  CHECK(status().generation == 2);
  CHECK(tb.status("m").restarts_in_window == 0);
  CHECK(status().calls_failed == 0);
}

TEST_CASE_METHOD(fixture,
                 "an instance that has served its calls is replaced without a failed call") {
  mount([](mount_spec& spec) { spec.life.calls_max = 10; });
  for (int i = 0; i < 35; ++i) {
    CHECK(version() == "1.0.0");
    tb.settle();
  }
  CHECK(status().generation == 4);
  CHECK(status().calls_failed == 0);
}

TEST_CASE_METHOD(
    fixture, "a replacement that fails is tried again after a pause, and the old instance serves") {
  mount([](mount_spec& spec) { spec.life.lifetime_max = 1h; });
  tb.plugin("p", exits_at_once(tb));
  tb.advance(1h);
  CHECK(tb.starts("p") == 2);
  CHECK(version() == "1.0.0");
  tb.advance(59s);
  CHECK(tb.starts("p") == 2);
  tb.plugin("p", make("2.0.0"));
  tb.advance(1s);
  CHECK(version() == "2.0.0");
}

// -- breaker ------------------------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "K04 a breaker that opens is an event, and shows in the status") {
  mount([](mount_spec& spec) {
    spec.calls.breaker_failures = 2;
    spec.calls.call_max = 1s;
  });
  for (int i = 0; i < 2; ++i) {
    auto lost = start("m/hang");
    tb.settle();
    tb.advance(1s);
    CHECK(tb.text_of(kj::mv(lost)).find("deadline_exceeded") == 0);
  }
  CHECK(tb.status("m").breaker == breaker_state::open);
  CHECK(tb.status("m").breaker_left == 15s);
  CHECK(happened("breaker_open"));
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' does not answer and is left in peace");
  // A new instance is worth a try at once.
  CHECK(reload().outcome == reload_outcome::replaced);
  CHECK(version() == "1.0.0");
  CHECK(tb.status("m").breaker == breaker_state::closed);
}

TEST_CASE_METHOD(fixture, "K03 a mount's own limits on calls are in force") {
  mount([](mount_spec& spec) {
    spec.calls.in_flight_max = 1;
    spec.calls.waiting_max = 1;
    spec.calls.call_max = 2s;
  });
  auto one = start("m/hang");
  tb.settle();
  CHECK(read("m/x").find("overloaded") == 0);
  tb.advance(2s);
  CHECK(tb.text_of(kj::mv(one)).find("deadline_exceeded") == 0);
}
