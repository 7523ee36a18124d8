// SPDX-License-Identifier: Apache-2.0
// Cases of the core that belong to no group of the conformance list. Every interleaving is
// supervisor_core_exhaustive_test's business.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("a child that survives its kill is never started beside itself") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  CHECK(b.send(event::restart_child{"a"}) == texts{"kill a#1"});
  CHECK(b.advance(1h).empty());
  CHECK(b.status("a").reason == "was killed and has not ended");
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.ends("a", exit_kind::killed) == texts{"start a#2"});
}

TEST_CASE("a supervisor that stops does not wait for ever for what it had killed before") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  b.send(event::terminate_child{"a"});
  b.advance(1h);
  CHECK(b.send(event::stop{"enough", {}}).empty());
  CHECK(b.advance(5s) == texts{"finish stopped"});
  CHECK(b.finish->abandoned == texts{"a"});
}

TEST_CASE("time spent in starting is no good run") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.advance(1h);  // it hangs in its start
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::backoff);
}

TEST_CASE("an operator's restart of a running child ends it in good order and starts another") {
  bench b{mount()};
  b.boot({"a"});
  CHECK(b.send(event::restart_child{"a"}) == texts{"stop a#1"});
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.send(event::restart_child{"a"}).empty());  // once is enough
  CHECK(b.ends("a", exit_kind::normal) == texts{"start a#2"});
  CHECK(b.status("a").restarts_in_window == 0);
  CHECK(b.status("a").restarts == 1);
  CHECK(b.status("a").reason == "restarted by an operator");
}

TEST_CASE("a terminate after a restart was asked wins, and a restart after a terminate too") {
  bench b{mount()};
  b.boot({"a"});
  b.send(event::restart_child{"a"});
  b.send(event::terminate_child{"a"});
  CHECK(b.ends("a", exit_kind::shutdown).empty());
  CHECK(b.state("a") == child_state::stopped);
  b.send(event::start_child{"a"});
  b.ready("a");
  b.send(event::terminate_child{"a"});
  b.send(event::restart_child{"a"});
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"start a#3"});
}

TEST_CASE("quarantine is left by reset, with a clear window and an immediate first restart") {
  bench b{mount(1)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  REQUIRE(b.state("a") == child_state::quarantined);
  CHECK(b.send(event::reset_child{"a"}) == texts{"start a#3"});
  CHECK(b.status("a").restarts_in_window == 0);
  b.ready("a");
  CHECK(b.crashes("a") == texts{"start a#4"});
  b.send(event::reset_child{"a"});
  CHECK(b.answer == verdict::not_quarantined);
}

TEST_CASE("quarantine is left by restart too, with the window as it was") {
  bench b{mount(1)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  CHECK(b.send(event::restart_child{"a"}) == texts{"start a#3"});
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::quarantined);
}

TEST_CASE("a permanent failure is not repeated") {
  SECTION("at the first start of a mount") {
    bench b{mount()};
    b.add("a");
    b.send(event::start{});
    CHECK(b.fails("a", true) == texts{"booted"});
    CHECK(b.state("a") == child_state::quarantined);
    CHECK(b.status("a").reason == "no luck; starting it again cannot help");
    CHECK(b.status("a").restarts_in_window == 0);
  }
  SECTION("at a restart") {
    bench b{mount()};
    b.boot({"a"});
    b.crashes("a");
    CHECK(b.fails("a", true).empty());
    CHECK(b.state("a") == child_state::quarantined);
  }
  SECTION("under a supervisor that escalates") {
    bench b{otp(9)};
    b.boot({"a"});
    b.crashes("a");
    CHECK(b.fails("a", true) == texts{"finish gave_up"});
  }
}

TEST_CASE("a first start that may fail is tried again, and the other children go on starting") {
  bench b{mount()};
  b.add("a");
  b.add("b");
  b.send(event::start{});
  CHECK(b.fails("a") == texts{"start a#2", "start b#1"});
  CHECK(b.fails("a").empty());
  CHECK(b.ready("b") == texts{"booted"});
  CHECK(b.advance(100ms) == texts{"start a#3"});
}

TEST_CASE("in a supervisor that quarantines each child has a window of its own") {
  bench b{mount(1)};
  b.boot({"a", "b"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  CHECK(b.state("a") == child_state::quarantined);
  CHECK(b.crashes("b") == texts{"start b#2"});
}

TEST_CASE("reports about instances that are gone change nothing") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  REQUIRE(b.generation("a") == 2);
  CHECK(b.send(event::started{"a", 1}).empty());
  CHECK(b.send(event::exited{"a", 1, exit_kind::abnormal, "again"}).empty());
  CHECK(b.send(event::start_failed{"a", 1, "again", true}).empty());
  CHECK(b.send(event::exited{"a", 3, exit_kind::abnormal, "early"}).empty());
  CHECK(b.send(event::exited{"x", 1, exit_kind::abnormal, "who"}).empty());
  CHECK(b.state("a") == child_state::starting);
  CHECK(b.status("a").restarts_in_window == 1);
}

TEST_CASE("an instance started beside the live one takes its place") {
  bench b{mount(9)};
  b.boot({"a"});
  const auto green = b.core.take_generation("a");
  CHECK(green == 2);
  CHECK(b.send(event::adopt_instance{"a", green}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.generation("a") == 2);
  // The one before it is nobody's concern any more; the new one is.
  CHECK(b.send(event::exited{"a", 1, exit_kind::abnormal, "drained"}).empty());
  CHECK(b.state("a") == child_state::ready);
  CHECK(b.send(event::exited{"a", 2, exit_kind::abnormal, "crash"}) == texts{"start a#3"});
  CHECK(b.status("a").restarts_in_window == 1);
}

TEST_CASE("an instance is not adopted while the child is not ready") {
  bench b{mount(9)};
  b.boot({"a"});
  const auto green = b.core.take_generation("a");
  b.crashes("a");
  REQUIRE(b.generation("a") == green + 1);
  CHECK(b.send(event::adopt_instance{"a", green}).empty());
  CHECK(b.answer == verdict::not_found);
  CHECK(b.core.take_generation("x") == 0);
}

TEST_CASE("generations go on from where the spec says") {
  bench b{mount()};
  b.boot({});
  child_spec spec;
  spec.id = "a";
  spec.first_generation = 41;
  CHECK(b.send(event::add{spec}) == texts{"start a#41"});
  b.ready("a");
  CHECK(b.crashes("a") == texts{"start a#42"});
}

TEST_CASE("every request to a supervisor that stops is refused") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::stop{"enough", {}});
  for (const supervisor_event& request :
       {supervisor_event{event::terminate_child{"a"}}, supervisor_event{event::start_child{"a"}},
        supervisor_event{event::restart_child{"a"}}, supervisor_event{event::erase_child{"a"}},
        supervisor_event{event::reset_child{"a"}}, supervisor_event{event::add{}},
        supervisor_event{event::start{}}}) {
    CHECK(b.send(request).empty());
    CHECK(b.answer == verdict::stopping);
  }
  b.ends("a", exit_kind::shutdown);
  CHECK(b.send(event::stop{"again", {}}).empty());
}

TEST_CASE("a hundred thousand children are added and stopped in a moment") {
  bench b{otp()};
  constexpr int count = 100'000;
  child_spec spec;
  for (int i = 0; i < count; ++i) {
    spec.id = fmt::format("c{}", i);
    b.core.step(event::add{spec}, b.now);
  }
  b.core.step(event::start{}, b.now);
  for (int i = 0; i < count; ++i) b.core.step(event::started{fmt::format("c{}", i), 1}, b.now);
  REQUIRE(b.core.phase() == supervisor_phase::running);
  b.core.step(event::stop{"enough", {}}, b.now);
  for (int i = count - 1; i >= 0; --i) {
    b.core.step(event::exited{fmt::format("c{}", i), 1, exit_kind::shutdown, ""}, b.now);
  }
  CHECK(b.core.phase() == supervisor_phase::finished);
}

TEST_CASE("L07 a child that is not ready in time is killed, and that is a failed start") {
  bench b{mount()};
  b.boot({});
  child_spec spec;
  spec.id = "a";
  spec.start_max = 5s;
  CHECK(b.send(event::add{spec}) == texts{"start a#1"});
  CHECK(b.advance(5s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"kill a#1"});
  CHECK(b.ready("a").empty());  // too late
  CHECK(b.ends("a", exit_kind::killed) == texts{"start a#2"});
  CHECK(b.status("a").reason == "restarted: was not ready within 5 s");
  b.ready("a");
  CHECK(b.timers.empty());
}
