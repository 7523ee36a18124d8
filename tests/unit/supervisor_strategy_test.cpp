// SPDX-License-Identifier: Apache-2.0
// Group D of the conformance list: whom the end of a child concerns.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("D01 only the child that ended is restarted") {
  bench b{otp()};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  CHECK(b.state("b") == child_state::ready);
  CHECK(b.generation("b") == 1);
}

TEST_CASE("D02 one_for_all: the end of one child restarts the others too") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"stop b#1"});
  CHECK(b.count() == child_count{2, 1, 0, 2});
  CHECK(b.asked("b") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start b#2"});
  CHECK(b.ready("b").empty());
  CHECK(b.count() == child_count{2, 2, 0, 2});
}

TEST_CASE(
    "D03 C13 one_for_all: a temporary sibling is stopped in its turn, and not started again") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({});
  b.add("a");
  b.ready("a");
  b.add("b", restart_type::temporary);
  b.ready("b");
  b.add("c");
  b.ready("c");
  CHECK(b.crashes("a") == texts{"stop c#1"});
  CHECK(b.asked("c") == texts{"stop b#1"});
  CHECK(b.asked("b") == texts{"forget b", "start a#2"});
  CHECK(b.ready("a") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.list() == texts{"a", "c"});
}

TEST_CASE("D04 rest_for_one: those that started after the one that ended are restarted with it") {
  bench b{group(restart_strategy::rest_for_one)};
  b.boot({"a", "b", "c", "d"});
  CHECK(b.crashes("b") == texts{"stop d#1"});
  CHECK(b.asked("d") == texts{"stop c#1"});
  CHECK(b.asked("c") == texts{"start b#2"});
  CHECK(b.ready("b") == texts{"start c#2"});
  CHECK(b.ready("c") == texts{"start d#2"});
  CHECK(b.ready("d").empty());
  CHECK(b.generation("a") == 1);
}

TEST_CASE("D05 rest_for_one goes by the order of the specs, not of the ids; so does the stop") {
  bench b{group(restart_strategy::rest_for_one)};
  b.boot({"e", "b", "d", "a", "c"});
  CHECK(b.crashes("d") == texts{"stop c#1"});
  CHECK(b.asked("c") == texts{"stop a#1"});
  CHECK(b.asked("a") == texts{"start d#2"});
  CHECK(b.ready("d") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop c#2"});
  CHECK(b.asked("c") == texts{"stop a#2"});
  CHECK(b.asked("a") == texts{"stop d#2"});
  CHECK(b.asked("d") == texts{"stop b#1"});
  CHECK(b.asked("b") == texts{"stop e#1"});
  CHECK(b.asked("e") == texts{"finish stopped"});
}

TEST_CASE("D06 one_for_all: when a member does not come up, those that did are stopped again") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b", "c"});
  b.crashes("c");
  b.asked("b");
  CHECK(b.asked("a") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start b#2"});
  CHECK(b.fails("b") == texts{"stop a#2"});
  CHECK(b.asked("a") == texts{"start a#3"});
  CHECK(b.ready("a") == texts{"start b#3"});
  CHECK(b.ready("b") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.count() == child_count{3, 3, 0, 3});
  CHECK(b.core.status(b.now).restarts_in_window == 2);
}

TEST_CASE(
    "D07 rest_for_one: when a member does not come up, only it and those behind it are tried") {
  bench b{group(restart_strategy::rest_for_one)};
  b.boot({"a", "b", "c"});
  b.crashes("a");
  b.asked("c");
  CHECK(b.asked("b") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start b#2"});
  CHECK(b.fails("b") == texts{"start b#3"});
  CHECK(b.ready("b") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.generation("a") == 2);
}

TEST_CASE("D11 a group's restart passes over what an operator stopped (OTP: starts it too)") {
  // The word of an operator stands until the next one: who stops a child for a repair does not
  // expect it back because a sibling crashed.
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b", "c"});
  b.terminate("b");
  b.asked("b");
  b.crashes("a");
  CHECK(b.asked("c") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.state("b") == child_state::stopped);
  CHECK(b.count() == child_count{3, 2, 0, 3});
  CHECK(b.send(event::start_child{"b"}) == texts{"start b#2"});
}

TEST_CASE("a transient child that had done its work is started again with its group") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({});
  b.add("a");
  b.ready("a");
  b.add("t", restart_type::transient);
  b.ready("t");
  b.ends("t", exit_kind::normal);
  CHECK(b.crashes("a") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start t#2"});
}

TEST_CASE("a group waits for the backoff of the child that ended, counted from its end") {
  auto policy = group(restart_strategy::one_for_all);
  policy.backoff.first = 100ms;
  policy.backoff.max = 100ms;
  policy.backoff.first_is_immediate = false;
  bench b{policy};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"stop b#1"});
  CHECK(b.status("a").backoff_left == 100ms);
  SECTION("siblings that end sooner wait") {
    CHECK(b.advance(40ms).empty());
    CHECK(b.asked("b").empty());
    CHECK(b.status("b").reason == "its group restarts (ended)");
    CHECK(b.advance(60ms - 1ns).empty());
    CHECK(b.advance(1ns) == texts{"start a#2"});
  }
  SECTION("siblings that take longer are waited for, up to their own limit") {
    CHECK(b.advance(5s - 1ns).empty());
    CHECK(b.advance(1ns) == texts{"kill b#1"});
    CHECK(b.ends("b", exit_kind::killed) == texts{"start a#2"});
  }
  SECTION("an operator cuts it short, by any member that waits") {
    CHECK(b.asked("b").empty());
    b.send(event::start_child{"b"});
    CHECK(b.answer == verdict::restarting);
    b.send(event::erase_child{"b"});
    CHECK(b.answer == verdict::restarting);
    CHECK(b.restart("b") == texts{"start a#2"});
    CHECK(b.ready("a") == texts{"start b#2"});
    CHECK(b.timers.empty());
  }
}

TEST_CASE("how a member ends while its group is stopped counts for nothing") {
  for (const auto kind : {exit_kind::normal, exit_kind::shutdown, exit_kind::abnormal}) {
    bench b{group(restart_strategy::one_for_all, 1)};
    b.boot({"a", "b", "c"});
    CHECK(b.crashes("a") == texts{"stop c#1"});
    CHECK(b.ends("b", kind).empty());  // on its own, before it was asked
    CHECK(b.ends("c", kind) == texts{"start a#2"});
    CHECK(b.core.status(b.now).restarts_in_window == 1);
    CHECK(b.ready("a") == texts{"start b#2"});
    CHECK(b.ready("b") == texts{"start c#2"});
  }
}

TEST_CASE("rest_for_one: the end of a child outside merges with the restart that is under way") {
  bench b{group(restart_strategy::rest_for_one)};
  b.boot({"a", "b", "c"});
  CHECK(b.crashes("b") == texts{"stop c#1"});
  CHECK(b.crashes("a").empty());
  CHECK(b.asked("c") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start b#2"});
  CHECK(b.ready("b") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.count() == child_count{3, 3, 0, 3});
}

TEST_CASE("a member that is terminated while its group restarts stays down, the others go on") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b", "c"});
  CHECK(b.crashes("a") == texts{"stop c#1"});
  CHECK(b.terminate("b") == texts{"stop b#1"});
  CHECK(b.asked("b").empty());
  CHECK(b.asked("c") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start c#2"});
  CHECK(b.terminate("c") == texts{"stop c#2"});
  CHECK(b.asked("c").empty());
  CHECK(b.state("b") == child_state::stopped);
  CHECK(b.state("c") == child_state::stopped);
}

TEST_CASE("a stop of the supervisor ends a group's restart wherever it is") {
  auto policy = group(GENERATE(restart_strategy::one_for_all, restart_strategy::rest_for_one));
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.boot({"a", "b", "c"});
  b.crashes("a");
  SECTION("while siblings stop") {
    CHECK(b.send(event::stop{"enough", {}}).empty());
    CHECK(b.asked("c") == texts{"stop b#1"});
    CHECK(b.asked("b") == texts{"finish stopped"});
  }
  SECTION("while it waits for the backoff") {
    b.asked("c");
    b.asked("b");
    CHECK(b.send(event::stop{"enough", {}}) == texts{"finish stopped"});
  }
  SECTION("while members start") {
    b.asked("c");
    b.asked("b");
    CHECK(b.advance(100ms) == texts{"start a#2"});
    CHECK(b.ready("a") == texts{"start b#2"});
    CHECK(b.send(event::stop{"enough", {}}) == texts{"stop b#2"});
    CHECK(b.ready("b").empty());
    CHECK(b.asked("b") == texts{"stop a#2"});
    CHECK(b.asked("a") == texts{"finish stopped"});
  }
  CHECK(b.timers.empty());
}

TEST_CASE("a member that does not stop in time is killed, and the group goes on") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({});
  b.add("a");
  b.ready("a");
  b.add("b", restart_type::permanent, shutdown_rule::within(300ms));
  b.ready("b");
  CHECK(b.crashes("a") == texts{"stop b#1"});
  CHECK(b.advance(300ms) == texts{"kill b#1"});
  CHECK(b.ends("b", exit_kind::killed) == texts{"start a#2"});
}

TEST_CASE("a group that gives up under quarantine goes down together, and comes up together") {
  auto policy = group(restart_strategy::rest_for_one, 1);
  policy.when_spent = give_up::quarantine;
  bench b{policy};
  b.boot({"a", "b", "c"});
  b.crashes("b");
  b.asked("c");
  b.ready("b");
  b.ready("c");
  CHECK(b.crashes("b") == texts{"stop c#2"});
  CHECK(b.state("b") == child_state::quarantined);
  CHECK(b.asked("c").empty());
  CHECK(b.state("c") == child_state::quarantined);
  CHECK(b.state("a") == child_state::ready);
  CHECK(b.core.phase() == supervisor_phase::running);
  SECTION("a reset of any of them starts all, with a clear window") {
    CHECK(b.send(event::reset_child{"c"}) == texts{"start b#3"});
    CHECK(b.core.status(b.now).restarts_in_window == 0);
    CHECK(b.ready("b") == texts{"start c#3"});
    CHECK(b.ready("c").empty());
  }
  SECTION("a restart of any of them too, with the window as it was") {
    CHECK(b.restart("c") == texts{"start b#3"});
    CHECK(b.core.status(b.now).restarts_in_window == 2);
    CHECK(b.fails("b").empty());
    CHECK(b.state("b") == child_state::quarantined);
    CHECK(b.state("c") == child_state::quarantined);
  }
  SECTION("a crash of one that still runs does not bring them back") {
    CHECK(b.crashes("a").empty());
    CHECK(b.state("a") == child_state::quarantined);
    b.advance(60s);
    CHECK(b.send(event::reset_child{"a"}) == texts{"start a#2"});
    CHECK(b.ready("a") == texts{"start b#3"});
  }
}

TEST_CASE("a first start that may fail holds up a group's boot until it succeeds or is given up") {
  auto policy = group(restart_strategy::one_for_all, 1);
  policy.when_spent = give_up::quarantine;
  policy.asked = asked_start::may_fail;
  bench b{policy};
  for (const auto* id : {"a", "b", "c"}) b.add(id);
  b.send(event::start{});
  b.ready("a");
  CHECK(b.fails("b") == texts{"stop a#1"});
  CHECK(b.asked("a") == texts{"start a#2"});
  CHECK(b.ready("a") == texts{"start b#2"});
  SECTION("it succeeds") {
    CHECK(b.ready("b") == texts{"start c#1"});
    CHECK(b.ready("c") == texts{"booted"});
  }
  SECTION("it is given up") {
    CHECK(b.fails("b") == texts{"stop a#2"});
    CHECK(b.asked("a") == texts{"booted"});
    for (const auto* id : {"a", "b", "c"}) CHECK(b.state(id) == child_state::quarantined);
  }
}

TEST_CASE("L18 a restart by request takes along whom the child's end would have taken along") {
  bench b{group(restart_strategy::rest_for_one, 0)};
  b.boot({"a", "b", "c"});
  CHECK(b.restart("b") == texts{"stop c#1"});
  CHECK(b.asked("c") == texts{"stop b#1"});
  CHECK(b.asked("b") == texts{"start b#2"});
  CHECK(b.ready("b") == texts{"start c#2"});
  b.ready("c");
  CHECK(b.core.status(b.now).restarts_in_window == 0);
  CHECK(b.generation("a") == 1);
}

TEST_CASE("D08 dynamic: only the child that ended is replaced") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w");
  b.send(event::start{});
  b.send(event::add_dynamic{});
  b.send(event::add_dynamic{});
  b.ready("w-1");
  b.ready("w-2");
  CHECK(b.crashes("w-1") == texts{"start w-1#2"});
  CHECK(b.ready("w-1").empty());
  CHECK(b.list() == texts{"w-1", "w-2"});
  CHECK(b.generation("w-2") == 1);
}
