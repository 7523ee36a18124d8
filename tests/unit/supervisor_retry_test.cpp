// SPDX-License-Identifier: Apache-2.0
// Group J of the conformance list: backoff, and what an operator does to it.
#include <set>

#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("J02 a mount's crashes wait 0, 100, 200 ms, and the fourth quarantines it") {
  bench b{mount()};
  b.boot({"a"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  CHECK(next_step_text(b.reports.back()) == "restarts at once");
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.reports.back().delay == 100ms);
  CHECK(next_step_text(b.reports.back()) == "restarts in 100 ms");
  CHECK(b.status("a").backoff_left == 100ms);
  b.advance(60ms);
  CHECK(b.status("a").backoff_left == 40ms);
  CHECK(b.advance(40ms) == texts{"start a#3"});
  CHECK(b.status("a").backoff_left == 0ms);
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.advance(200ms) == texts{"start a#4"});
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::quarantined);
  CHECK(b.status("a").reason == "crashed; more than 3 restarts within 30 s");
  CHECK(b.status("a").restarts == 3);
  CHECK(next_step_text(b.reports.back()) == "quarantined");
  CHECK(b.advance(24h).empty());  // left only by an operator
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("J04 a run of the stable time makes the next restart immediate again") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(60s - 1ns);
  CHECK(b.crashes("a").empty());
  b.advance(100ms);
  b.ready("a");
  b.advance(60s);
  CHECK(b.crashes("a").size() == 1);
}

TEST_CASE("J04 a stable run counts also when an operator ends it") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(60s);
  b.send(event::restart_child{"a"});
  b.ends("a", exit_kind::shutdown);
  b.ready("a");
  CHECK(b.crashes("a").size() == 1);
}

TEST_CASE(
    "J13 an operator's restart cuts a backoff short, is not counted, and the old timer is void") {
  bench b{mount()};
  b.boot({"a"});
  b.crashes("a");
  b.fails("a");
  REQUIRE(b.timers.size() == 1);
  const auto old = b.timers.begin()->first;
  CHECK(b.send(event::restart_child{"a"}) == texts{"start a#3"});
  CHECK(b.timers.empty());
  CHECK(b.send(event::timer{old}).empty());
  CHECK(b.status("a").restarts == 2);
  CHECK(b.status("a").restarts_in_window == 2);  // the crash and the failed start
}

TEST_CASE(
    "J02 successive restarts wait 200, 400, 800, 1600 ms, and there is one child afterwards") {
  auto policy = mount(9);
  policy.backoff = {200ms, 10s, 60s, 2.0, 0, false};
  bench b{policy};
  b.boot({"a"});
  for (const auto gap : {200ms, 400ms, 800ms, 1600ms}) {
    CHECK(b.crashes("a").empty());
    CHECK(b.advance(gap - 1ns).empty());
    CHECK(b.advance(1ns).size() == 1);
    b.ready("a");
  }
  CHECK(b.count() == child_count{1, 1, 0, 1});
}

TEST_CASE("J03 delays of children that failed together differ, and stay within their share") {
  seeded_random dice{3};
  auto policy = mount(9);
  policy.backoff.first_is_immediate = false;
  policy.backoff.jitter = 0.2;
  supervisor_core core{policy, dice};
  std::vector<std::chrono::nanoseconds> delays;
  for (const auto* id : {"a", "b", "c", "d"}) core.step(event::add{spec_of(id)}, {});
  core.step(event::start{}, {});
  for (const auto* id : {"a", "b", "c", "d"}) core.step(event::started{id, 1}, {});
  for (const auto* id : {"a", "b", "c", "d"}) {
    core.step(event::exited{id, 1, exit_kind::abnormal, "crashed"}, {});
    delays.push_back(core.status(id, {})->backoff_left);
    CHECK(delays.back() >= 100ms);
    CHECK(delays.back() < 120ms);
  }
  CHECK(std::set<std::chrono::nanoseconds>(delays.begin(), delays.end()).size() > 1);
}

TEST_CASE("J05 without a stable time that can be reached the count stays until a reset") {
  auto policy = mount(9);
  policy.backoff.stable = backoff_max_limit;
  bench b{policy};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(24h);
  CHECK(b.crashes("a").empty());  // the second restart waits, a day later
  CHECK(b.reports.back().delay == 100ms);
}

TEST_CASE("J06 J08 the failure after the last that is allowed stops, whether it crashes or fails") {
  for (const std::size_t allowed : {2U, 0U}) {
    for (const bool crash : {true, false}) {
      bench b{otp(allowed, 1h)};
      b.boot({"a"});
      b.crashes("a");
      for (std::size_t i = 1; i <= allowed; ++i) {
        b.advance(30s);
        REQUIRE(b.core.phase() == supervisor_phase::running);
        if (crash) b.ready("a");
        crash ? b.crashes("a") : b.fails("a");
      }
      CHECK(b.core.phase() == supervisor_phase::finished);
    }
  }
}

TEST_CASE("J07 failures further apart than the period are restarted for ever") {
  bench b{otp(1, 5s)};
  b.boot({"a"});
  for (int i = 0; i < 1'000; ++i) {
    b.advance(35s);
    b.crashes("a");
    b.advance(30s);
    REQUIRE(b.state("a") == child_state::starting);
    b.ready("a");
  }
}

TEST_CASE("J11 requests while the old instance still ends are taken, and there are never two") {
  bench b{mount(9)};
  b.boot({"a"});
  CHECK(b.restart("a") == texts{"stop a#1"});
  b.send(event::start_child{"a"});
  CHECK(b.answer == verdict::running);
  CHECK(b.restart("a").empty());
  CHECK(b.terminate("a").empty());
  CHECK(b.restart("a").empty());
  CHECK(b.asked("a") == texts{"start a#2"});
}

TEST_CASE(
    "J14 an unlimited intensity is unlimited, also with a finite period (Akka: it means one)") {
  auto policy = mount(restart_unlimited, 1s);
  policy.backoff = {0ms, 0ms, 60s, 1.0, 0, true};
  bench b{policy};
  b.boot({"a"});
  for (int i = 0; i < 100'000; ++i) {
    b.core.step(event::exited{"a", static_cast<std::uint64_t>(i) + 1, exit_kind::abnormal, ""},
                b.now);
    b.core.step(event::started{"a", static_cast<std::uint64_t>(i) + 2}, b.now);
  }
  CHECK(b.status("a").restarts == 100'000);
  CHECK(b.state("a") == child_state::ready);
  CHECK(b.status("a").restarts_in_window == 0);  // it keeps none
}

TEST_CASE("J17 an end in the middle of a restart or of a stop is handled, not lost") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b"});
  b.crashes("a");
  CHECK(b.ends("b", exit_kind::abnormal, "failed in its last handler") == texts{"start a#2"});
  CHECK(b.fails("a") == texts{"start a#3"});
  CHECK(b.ready("a") == texts{"start b#2"});
  b.ready("b");
  b.send(event::stop{"enough", {}});
  CHECK(b.crashes("b") == texts{"stop a#3"});
  CHECK(b.crashes("a") == texts{"finish stopped"});
}
