// SPDX-License-Identifier: Apache-2.0
//
// The life of a mount's instances apart from crashes and reloads: lazy start, idle stop, operators'
// stop and start, health, recycling, the breaker.

#include <catch2/catch.hpp>

#include "broker/mount_rules.hpp"
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

TEST_CASE_METHOD(fixture,
                 "a lazy mount whose plugin does not start fails its calls, one start a second") {
  const auto restart = GENERATE(restart_rule::temporary, restart_rule::permanent);
  mount([&](mount_spec& spec) {
    spec.restart = restart;
    spec.supervision.intensity = 0;
    spec.life.start = start_mode::lazy;
  });
  tb.plugin("p", exits_at_once(tb));
  auto lost = start("m/x");
  tb.settle();
  CHECK(lost.poll(tb.wait_scope()));
  for (int i = 0; i < 10; ++i) read("m/x");
  CHECK(tb.starts("p") == 1);
  tb.plugin("p", make("1.0.0"));
  if (restart == restart_rule::permanent) {
    CHECK(status().state == mount_state::quarantined);
    return;
  }
  tb.advance(1s);
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(fixture, "an operator's stop of a mount that sleeps is in force at once") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  tb.advance(30s);
  tb.advance(tb.core().services().limits.stop_grace_ms);
  REQUIRE(tb.status("m").asleep);
  tb.wait(tb.core().stop("m"));
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' is stopped");
}

TEST_CASE_METHOD(fixture, "a start while a mount stops starts it again") {
  mount([](mount_spec& spec) { spec.life.idle_stop = 30s; });
  auto stopping = tb.core().stop("m").eagerlyEvaluate(nullptr);
  tb.settle();
  auto started = tb.core().start("m").eagerlyEvaluate(nullptr);
  CHECK(tb.finish(kj::mv(started)).status.state == mount_state::ready);
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(
    fixture, "an order during an unmount changes nothing: the calls in flight have their time") {
  mount();
  auto busy = start("m/hang");
  tb.settle();
  auto process = tb.process("p");
  auto gone = tb.core().unmount("m").eagerlyEvaluate(nullptr);
  tb.settle();
  tb.wait(tb.core().restart("m"));
  tb.wait(tb.core().stop("m"));
  tb.wait(tb.core().reset("m"));
  tb.advance(2s);
  CHECK(process->signals.empty());
  CHECK(tb.starts("p") == 1);
  tb.finish(kj::mv(gone));
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

// -- which ends are followed by a start -----------------------------------------------------------

TEST_CASE_METHOD(fixture, "L01 three words decide by the kind of end what is started again") {
  const auto rule =
      GENERATE(restart_rule::permanent, restart_rule::transient, restart_rule::temporary);
  const auto end = GENERATE(
      exit_status::exited(0), exit_status::exited(3), exit_status::signaled(SIGTERM, false),
      exit_status::signaled(SIGSEGV, true), exit_status::signaled(SIGKILL, false));
  mount([&](mount_spec& spec) { spec.restart = rule; });
  tb.process("p")->end(end);
  tb.settle();
  const bool expected =
      rule == restart_rule::permanent || (rule == restart_rule::transient && !end.success());
  CHECK(tb.starts("p") == (expected ? 2 : 1));
  CHECK(status().state == (expected ? mount_state::ready : mount_state::stopped));
}

TEST_CASE_METHOD(fixture, "L04 what an operator starts is not counted, however often") {
  restart_limits strict;
  strict.intensity = 1;
  mount([&](mount_spec& spec) { spec.supervision = strict; });
  for (int i = 0; i < 10; ++i) tb.finish(tb.core().restart("m"));
  CHECK(tb.status("m").restarts_in_window == 0);
  tb.crash("p");
  CHECK(status().state == mount_state::ready);
  tb.crash("p");
  CHECK(status().state == mount_state::quarantined);
}

TEST_CASE_METHOD(fixture,
                 "L05 a start that cannot succeed is not tried again, and costs no restart") {
  mount();
  tb.forget("p");
  tb.crash("p");
  CHECK(status().state == mount_state::quarantined);
  CHECK(status().reason.find("starting it again cannot help") != std::string::npos);
  CHECK(tb.status("m").restarts_in_window == 1);  // of the crash alone
}

TEST_CASE_METHOD(fixture, "L19 who waits for a start is answered when the mount goes meanwhile") {
  mount();
  tb.plugin("p", silent());
  auto waits = tb.core().restart("m").eagerlyEvaluate(nullptr);
  tb.settle();
  tb.advance(tb.core().services().limits.stop_grace_ms);
  REQUIRE(status().state == mount_state::starting);
  CHECK_FALSE(waits.poll(tb.wait_scope()));
  tb.finish(tb.core().unmount("m"));
  CHECK(waits.poll(tb.wait_scope()));
}

TEST_CASE_METHOD(fixture, "N03 one mount's failures do not delay another") {
  tb.plugin("other", make("1.0.0"));
  mount();
  mount([](mount_spec& spec) { spec.plugin = "other"; }, "n");
  tb.crash("p");
  tb.crash("p");
  CHECK(status("m").state == mount_state::backoff);
  tb.crash("other");
  CHECK(status("n").state == mount_state::ready);
  CHECK(tb.status("n").restarts_in_window == 1);
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
                 "the calls of an instance that was replaced are not held against the new one") {
  mount([](mount_spec& spec) { spec.life.call_age_max = 3s; });
  auto stuck = start("m/hang");
  tb.settle();
  tb.advance(2s);
  CHECK(reload().outcome == reload_outcome::replaced);
  tb.advance(1s);
  tb.advance(1s);
  CHECK(status().generation == 2);
  CHECK(tb.core().crashes("m", 0).empty());
}

TEST_CASE_METHOD(fixture,
                 "a reload that failed leaves the rules of the old instance's life in force") {
  mount([](mount_spec& spec) { spec.life.call_age_max = 8s; });
  tb.plugin("p", silent());
  auto reloading = begin_reload();
  tb.settle();
  tb.advance(5s);
  CHECK(reloading.wait(tb.wait_scope()).front().outcome == reload_outcome::failed);
  tb.plugin("p", make("2.0.0"));
  auto stuck = start("m/hang");
  tb.settle();
  tb.advance(8s);
  tb.advance(8s);
  CHECK(status().generation == 3);
}

TEST_CASE_METHOD(fixture, "the old instance's hanging is noticed while the new one is on trial") {
  mount([](mount_spec& spec) { spec.life.call_age_max = 8s; });
  auto stuck = start("m/hang");
  tb.settle();
  auto reloading = begin_reload({.canary_percent = 1, .canary = 1h});
  tb.settle();
  tb.advance(8s);
  tb.settle();
  CHECK(reloading.wait(tb.wait_scope()).front().outcome == reload_outcome::failed);
  CHECK(tb.text_of(kj::mv(stuck)).find("plugin_crashed") == 0);
}

TEST_CASE_METHOD(
    fixture, "an instance that must be alone and has served its time is told so, not an operator") {
  mount([](mount_spec& spec) {
    spec.life.handover = handover::stop_first;
    spec.life.lifetime_max = 1h;
  });
  tb.advance(1h);
  tb.advance(3s);
  CHECK(status().generation == 2);
  for (const auto& each : tb.events().after(0, 100))
    CHECK(each.reason.find("operator") == std::string::npos);
}

TEST_CASE_METHOD(fixture,
                 "no more than draining_instances_max replaced instances finish their calls") {
  mount();
  std::vector<kj::Promise<std::string>> calls;
  for (std::size_t i = 0; i < draining_instances_max + 1; ++i) {
    calls.push_back(start("m/hang"));
    tb.settle();
    CHECK(reload().outcome == reload_outcome::replaced);
  }
  tb.settle();
  CHECK(tb.text_of(kj::mv(calls.front())).find("plugin_unavailable") == 0);
  for (std::size_t i = 1; i < calls.size(); ++i) CHECK_FALSE(calls[i].poll(tb.wait_scope()));
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

TEST_CASE_METHOD(fixture, "K10 an operator opens and closes a mount's breaker") {
  mount([](mount_spec&) {});
  auto now = tb.finish(tb.core().hold_breaker("m", true)).status;
  CHECK(now.state == mount_state::ready);
  CHECK(tb.status("m").breaker == breaker_state::open);
  CHECK(tb.status("m").breaker_held);
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' takes no calls for now");
  CHECK(reload().outcome == reload_outcome::replaced);
  CHECK(read("m/x") == "plugin_unavailable: mount 'm/' takes no calls for now");
  CHECK_FALSE(tb.finish(tb.core().hold_breaker("m", false)).breaker_held);
  CHECK(version() == "1.0.0");
  CHECK(happened("breaker_open"));
  CHECK(happened("breaker_closed"));
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

TEST_CASE("of times the mount's word counts, then the manifest's when it is less, then the limit") {
  using std::chrono::milliseconds;
  const auto off = milliseconds{0};
  CHECK(time_within(off, off, milliseconds{5000}) == milliseconds{5000});
  CHECK(time_within(off, milliseconds{700}, milliseconds{5000}) == milliseconds{700});
  CHECK(time_within(off, milliseconds{7000}, milliseconds{5000}) == milliseconds{5000});
  CHECK(time_within(milliseconds{9000}, milliseconds{700}, milliseconds{5000}) ==
        milliseconds{9000});
  CHECK(time_within(milliseconds{3}, milliseconds{700}, milliseconds{5000}) == milliseconds{3});
}

TEST_CASE("the times of a manifest are two of its limits") {
  const auto times = times_in({{"memory", 1}, {"start-ms", 700}, {"call-ms", ~std::uint64_t{0}}});
  CHECK(times.start_max == std::chrono::milliseconds{700});
  CHECK(times.call_max > std::chrono::hours{1});
  CHECK(times_in({}).start_max.count() == 0);
  broker_limits limits;
  limits.call_ms_max = std::chrono::milliseconds{100};
  CHECK(slot_rules({}, limits, times).call_max == 100 * kj::MILLISECONDS);
  CHECK(slot_rules({}, limits, {{}, std::chrono::milliseconds{40}}).call_max ==
        40 * kj::MILLISECONDS);
}
