// SPDX-License-Identifier: Apache-2.0
// Group E of the conformance list: how many restarts are too many.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("E01 with intensity 0 the first crash ends the supervisor") {
  bench b{otp(0)};
  b.boot({"a"});
  CHECK(b.crashes("a") == texts{"finish gave_up"});
  CHECK(b.finish->reason == "child a crashed; more than 0 restarts within 5 s");
}

TEST_CASE("E02 all children share the window of a supervisor that escalates") {
  bench b{otp(2)};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  b.ready("a");
  CHECK(b.crashes("b") == texts{"start b#2"});
  b.ready("b");
  CHECK(b.crashes("a") == texts{"stop b#2"});
  CHECK(b.ends("b", exit_kind::shutdown) == texts{"finish gave_up"});
}

TEST_CASE("E03 crashes further apart than the period never end the supervisor") {
  bench b{otp(1, 1s)};
  b.boot({"a"});
  for (int i = 0; i < 4; ++i) {
    b.crashes("a");
    b.advance(2100ms);
    b.ready("a");
  }
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("E04 normal ends of a permanent child count too") {
  bench b{otp(1)};
  b.boot({"a"});
  b.ends("a", exit_kind::normal);
  b.ready("a");
  CHECK(b.ends("a", exit_kind::normal) == texts{"finish gave_up"});
}

TEST_CASE("E05 E06 failing restarts count: intensity 3 makes 3 attempts, spaced by the backoff") {
  bench b{otp(3, 60s)};
  b.boot({"sibling", "a"});
  CHECK(b.crashes("a") == texts{"start a#2"});  // at once
  CHECK(b.fails("a").empty());
  CHECK(b.advance(100ms - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"start a#3"});
  CHECK(b.fails("a").empty());
  CHECK(b.advance(200ms) == texts{"start a#4"});
  CHECK(b.fails("a") == texts{"stop sibling#1"});
  CHECK(b.ends("sibling", exit_kind::shutdown) == texts{"finish gave_up"});
}

TEST_CASE("E12 two crashes exactly a period apart: the first no longer counts (OTP: it does)") {
  bench b{otp(1, 1s)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(1s);
  b.crashes("a");
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("E07 the restart of a group of five counts as one") {
  bench b{group(restart_strategy::one_for_all, 1)};
  b.boot({"a", "b", "c", "d", "e"});
  b.crashes("c");
  for (const auto* id : {"e", "d", "b", "a"}) b.asked(id);
  for (const auto* id : {"a", "b", "c", "d", "e"}) b.ready(id);
  CHECK(b.count().active == 5);
  CHECK(b.core.status(b.now).restarts_in_window == 1);
  CHECK(b.crashes("a") == texts{"stop e#2"});
  CHECK(b.core.phase() == supervisor_phase::stopping);
}

TEST_CASE(
    "E09 a child in its restart loop is terminated between attempts, and so is the supervisor") {
  auto policy = otp(8, 10s);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.boot({"a", "b"});
  b.crashes("b");
  for (int i = 0; i < 3; ++i) {
    CHECK(b.advance(100ms).size() == 1);
    b.advance(2s);  // each start takes that long
    b.fails("b");
  }
  CHECK(b.state("b") == child_state::backoff);
  SECTION("terminate, then stop") {
    CHECK(b.terminate("b").empty());
    CHECK(b.count() == child_count{2, 1, 0, 2});
    CHECK(b.advance(1h).empty());
    CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1"});
    CHECK(b.asked("a") == texts{"finish stopped"});
  }
  SECTION("terminate while it starts") {
    b.advance(100ms);
    CHECK(b.terminate("b").size() == 1);
    CHECK(b.fails("b").empty());
    CHECK(b.state("b") == child_state::stopped);
    CHECK(b.advance(1h).empty());
  }
}

TEST_CASE("E10 rest_for_one: while a child loops, those behind it are down; terminating it works") {
  auto policy = group(restart_strategy::rest_for_one);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.boot({"a", "b", "c"});
  b.crashes("b");
  b.asked("c");
  CHECK(b.advance(100ms) == texts{"start b#2"});
  b.fails("b");
  CHECK(b.count() == child_count{3, 1, 0, 3});
  CHECK(b.state("c") == child_state::stopped);
  CHECK(b.terminate("b").empty());
  CHECK(b.count() == child_count{3, 1, 0, 3});
  CHECK(b.advance(1h).empty());
  CHECK(b.status("c").reason == "the restart with child b was ended");
  CHECK(b.send(event::start_child{"c"}) == texts{"start c#2"});
}

TEST_CASE("E11 a dynamic child in its restart loop is terminated by its id") {
  auto policy = group(restart_strategy::dynamic);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.add("w");
  b.send(event::start{});
  b.send(event::add_dynamic{});
  b.ready("w-1");
  b.crashes("w-1");
  b.advance(100ms);
  b.fails("w-1");
  CHECK(b.state("w-1") == child_state::backoff);
  CHECK(b.terminate("w-1") == texts{"forget w-1"});
  CHECK(b.advance(1h).empty());
  CHECK(b.count() == child_count{1, 0, 0, 0});
}

TEST_CASE("E13 the wall clock has no part in a window: instants are monotonic by type") {
  STATIC_REQUIRE(std::is_same_v<instant::clock, std::chrono::steady_clock>);
  STATIC_REQUIRE(std::chrono::steady_clock::is_steady);
  // What is left is a caller whose instants go back: they count as the latest one.
  bench b{otp(1, 5s)};
  b.boot({"a"});
  b.advance(1h);
  b.crashes("a");
  b.ready("a");
  b.now -= 1h;
  b.crashes("a");
  CHECK(b.core.phase() != supervisor_phase::running);
}

TEST_CASE("E14 a suspend does not age a window: the clock that counts stands still meanwhile") {
  // CLOCK_MONOTONIC (clock.hpp) is the same before and after: to the core no time has passed.
  bench b{otp(1, 5s)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  CHECK(b.core.status(b.now).restarts_in_window == 1);
  CHECK(b.crashes("a") == texts{"finish gave_up"});
}
