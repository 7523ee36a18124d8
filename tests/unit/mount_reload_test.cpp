// SPDX-License-Identifier: Apache-2.0
//
// Reload: one instance takes over from another, with and without a trial, and everything that can
// come between.

#include <catch2/catch.hpp>

#include "broker/mount_supervisor.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using test::exits_at_once;
using test::silent;
using fixture = test::mount_fixture;

namespace {

constexpr auto make = test::make_version;

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
  pass_seconds(10);
  const auto result = reloading.wait(tb.wait_scope()).front();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason ==
        "on trial 1 of 2 calls failed or went unanswered, of the instance before it 0 of 2");
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
  pass_seconds(9);
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

TEST_CASE_METHOD(fixture, "a reload leaves alone what does not run, and says so") {
  restart_limits strict;
  strict.intensity = 0;
  mount([&](mount_spec& spec) { spec.supervision = strict; });
  SECTION("quarantined: left by reset alone") {
    tb.crash("p");
    REQUIRE(status().state == mount_state::quarantined);
    CHECK(reload().reason == "no instance runs: the mount is quarantined");
    auto problem = kj::runCatchingExceptions([&] { tb.wait(tb.core().restart("m")); });
    CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::failed_precondition);
    CHECK(status().state == mount_state::quarantined);
    CHECK(tb.wait(tb.core().reset("m")).status.state == mount_state::ready);
  }
  SECTION("stopped by an operator") {
    tb.finish(tb.core().stop("m"));
    CHECK(reload().outcome == reload_outcome::nothing);
    CHECK(status().state == mount_state::stopped);
  }
  CHECK(tb.core().crashes("m", 0).size() < 2);
}

TEST_CASE_METHOD(fixture, "Z08 a new plugin that must be alone is not mounted beside the old one") {
  mount();
  auto blue = tb.process("p");
  tb.plugin("p", make("2.0.0").stop_first());
  auto reloading = begin_reload();
  tb.settle();
  CHECK_FALSE(reloading.poll(tb.wait_scope()));
  const auto result = tb.finish(kj::mv(reloading)).front();
  CHECK(result.outcome == reload_outcome::restarted);
  CHECK(result.version_after == "2.0.0");
  CHECK(blue->peek());
  CHECK(tb.core().crashes("m", 0).empty());
  CHECK(tb.status("m").restarts_in_window == 0);
}

TEST_CASE_METHOD(fixture, "Z08 one that must be alone finishes its calls before it is replaced") {
  tb.plugin("p", make("1.0.0").stop_first());
  mount();
  auto busy = start("m/hang");
  tb.settle();
  auto blue = tb.process("p");
  auto reloading = begin_reload();
  tb.settle();
  tb.advance(tb.core().services().limits.drain_ms_max - 1ms);
  CHECK(blue->signals.empty());
  busy = nullptr;
  tb.settle();
  CHECK(tb.finish(kj::mv(reloading)).front().outcome == reload_outcome::restarted);
}

TEST_CASE_METHOD(fixture, "Z04 a trial that answers nothing is rolled back") {
  mount();
  tb.plugin("p", make("2.0.0"));
  auto reloading = begin_reload({.canary_percent = 50, .canary = 10s});
  tb.settle();
  std::vector<kj::Promise<std::string>> unanswered;
  for (int i = 0; i < 30; ++i) {
    CHECK(version() == "1.0.0");
    unanswered.push_back(start("m/hang"));
    tb.settle();
  }
  CHECK_FALSE(reloading.poll(tb.wait_scope()));
  tb.advance(1s);
  CHECK(reloading.wait(tb.wait_scope()).front().outcome == reload_outcome::failed);
}

TEST_CASE_METHOD(fixture,
                 "Z09 an unmount at any turn of a reload leaves neither process nor mount") {
  mount();
  tb.plugin("p", make("2.0.0"));
  auto mount_of = tb.session().mountRequest();
  mount_of.setPath("m");
  auto backend = mount_of.send()
                     .wait(tb.wait_scope())
                     .getMount()
                     .backendRequest()
                     .send()
                     .wait(tb.wait_scope())
                     .getBackend();
  const auto turns = GENERATE(range(0, 240, 4));
  const bool with_trial = GENERATE(false, true);
  auto reloading = begin_reload(with_trial ? reload_request{.canary_percent = 1, .canary = 1ms}
                                           : reload_request{});
  if (with_trial) tb.settle();
  for (int i = 0; i < turns; ++i) {
    if (with_trial && i == turns / 2) tb.timer_to(1ms);
    kj::evalLater([] {}).wait(tb.wait_scope());
    tb.core().services().reactor.event_port().poll();
  }
  tb.finish(tb.core().unmount("m"));
  tb.settle();
  auto late = backend.handleRequest();
  late.initRequest().setPath("x");
  auto problem = kj::runCatchingExceptions([&] { late.send().wait(tb.wait_scope()); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::unmounted);
  CHECK(tb.living().empty());
  CHECK(reloading.poll(tb.wait_scope()));
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
