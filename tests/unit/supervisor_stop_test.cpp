// SPDX-License-Identifier: Apache-2.0
// Group F of the conformance list: how children and their supervisor end.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("F01 a child with shutdown infinity is waited for") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::infinity());
  b.ready("a");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1"});
  CHECK(b.advance(24h).empty());
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"finish stopped"});
}

TEST_CASE("F02 a child that does not end in time is killed, and the report names it") {
  bench b{otp()};
  b.boot({});
  b.add("good", restart_type::permanent, shutdown_rule::within(1s));
  b.add("busy", restart_type::permanent, shutdown_rule::within(1s));
  b.ready("good");
  b.ready("busy");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop busy#1"});
  CHECK(b.advance(1s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"kill busy#1"});
  CHECK(b.ends("busy", exit_kind::killed) == texts{"stop good#1"});
  CHECK(b.ends("good", exit_kind::shutdown) == texts{"finish stopped"});
  CHECK(b.finish->killed == texts{"busy"});
  CHECK(b.finish->abandoned.empty());
}

TEST_CASE("F03 brutal means a kill without being asked") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  CHECK(b.send(event::terminate_child{"a"}) == texts{"kill a#1"});
  CHECK(b.ends("a", exit_kind::killed).empty());
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("F05 children that leave by themselves while the supervisor stops are not restarted") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    for (const auto kind : {exit_kind::normal, exit_kind::shutdown, exit_kind::abnormal}) {
      bench b{otp(9)};
      b.boot({});
      b.add("a", type);
      b.add("b", type);
      b.add("c", type);
      for (const auto* id : {"a", "b", "c"}) b.ready(id);
      CHECK(b.send(event::stop{"enough", {}}) == texts{"stop c#1"});
      CHECK(b.ends("a", kind, "left").empty());
      CHECK(b.status("a").reason == "left");
      CHECK(b.ends("c", exit_kind::shutdown) == texts{"stop b#1"});
      CHECK(b.ends("b", exit_kind::shutdown) == texts{"finish stopped"});
    }
  }
}

TEST_CASE("with stop order `together` all are asked at once, each under its own limit") {
  auto policy = otp();
  policy.order = stop_order::together;
  bench b{policy};
  b.boot({});
  for (const auto* id : {"a", "b", "c"}) {
    b.add(id, restart_type::permanent, shutdown_rule::within(300ms));
    b.ready(id);
  }
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop c#1", "stop b#1", "stop a#1"});
  CHECK(b.advance(300ms) == texts{"kill c#1", "kill b#1", "kill a#1"});
  for (const auto* id : {"a", "b"}) CHECK(b.ends(id, exit_kind::killed).empty());
  CHECK(b.ends("c", exit_kind::killed) == texts{"finish stopped"});
}

TEST_CASE("F10 how a child really ended is told when it was asked to") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::abnormal, "exited with status 7");
  CHECK(b.status("a").reason == "stopped by an operator (exited with status 7)");
}

TEST_CASE("F12 a stop while a child starts aborts the start, and a late ready is not accepted") {
  bench b{otp()};
  b.boot({});
  b.add("a");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1"});
  CHECK(b.ready("a").empty());
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"finish stopped"});
}

TEST_CASE("F13 the supervisor's deadline holds against children that may take longer") {
  bench b{otp()};
  b.boot({});
  for (const auto* id : {"a", "b", "c"}) {
    b.add(id, restart_type::permanent, shutdown_rule::infinity());
    b.ready(id);
  }
  CHECK(b.send(event::stop{"enough", b.now + 2s}) == texts{"stop c#1"});
  CHECK(b.advance(2s) == texts{"kill a#1", "kill b#1", "kill c#1"});
  b.ends("c", exit_kind::killed);
  b.ends("a", exit_kind::killed);
  CHECK(b.advance(5s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"finish stopped"});  // b is stuck in the kernel
  CHECK(b.finish->killed == texts{"a", "b", "c"});
  CHECK(b.finish->abandoned == texts{"b"});
}

TEST_CASE("F04 dynamic children are stopped like static ones: in time, late, brutally") {
  for (const auto& rule : {shutdown_rule::within(1s), shutdown_rule::brutal()}) {
    bench b{group(restart_strategy::dynamic)};
    b.add("w", restart_type::permanent, rule);
    b.send(event::start{});
    for (int i = 0; i < 10; ++i) {
      b.send(event::add_dynamic{});
      b.ready(b.id);
    }
    const bool brutal = rule.how == shutdown_rule::kind::brutal;
    CHECK(b.send(event::stop{"enough", {}}).size() == 10);
    if (!brutal) {
      for (int i = 1; i <= 5; ++i) b.asked(fmt::format("w-{}", i));
      CHECK(b.advance(1s).size() == 5);
    }
    for (int i = 1; i <= 10; ++i) b.ends(fmt::format("w-{}", i), exit_kind::killed);
    REQUIRE(b.finish);
    CHECK(b.finish->killed.size() == (brutal ? 0 : 5));
  }
}

TEST_CASE("F06 however dynamic children answer the stop, the supervisor ends as it was asked") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    bench b{group(restart_strategy::dynamic)};
    b.add("w", type);
    b.send(event::start{});
    for (int i = 0; i < 3; ++i) {
      b.send(event::add_dynamic{});
      b.ready(b.id);
    }
    b.send(event::stop{"enough", {}});
    b.ends("w-1", exit_kind::normal);
    b.ends("w-2", exit_kind::abnormal);
    CHECK(b.asked("w-3") == texts{"finish stopped"});
  }
}

TEST_CASE(
    "F07 a level of a hundred children that do not stop takes as long as one (OTP: the sum)") {
  auto policy = otp();
  policy.order = stop_order::levels;
  bench b{policy};
  for (int i = 0; i < 100; ++i) {
    b.add(fmt::format("c{}", i), restart_type::permanent, shutdown_rule::within(300ms));
  }
  auto above = spec_of("above");
  above.after = {"c7"};
  above.shutdown = shutdown_rule::within(50ms);
  b.send(event::add{above});
  b.send(event::start{});
  for (int i = 0; i < 100; ++i) b.ready(fmt::format("c{}", i));
  b.ready("above");
  const auto before = b.now;
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop above#1"});
  CHECK(b.advance(50ms) == texts{"kill above#1"});
  CHECK(b.ends("above", exit_kind::killed).size() == 100);
  CHECK(b.advance(300ms).size() == 100);
  for (int i = 0; i < 100; ++i) b.ends(fmt::format("c{}", i), exit_kind::killed);
  REQUIRE(b.finish);
  CHECK(b.finish->killed.size() == 101);
  CHECK(b.now - before <= 400ms);
}

TEST_CASE(
    "F08 dynamic children share no limit: two end in time, the slow one is killed at its own") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w", restart_type::permanent, shutdown_rule::within(2s));
  b.send(event::start{});
  for (int i = 0; i < 3; ++i) {
    b.send(event::add_dynamic{});
    b.ready(b.id);
  }
  b.send(event::stop{"enough", {}});
  b.advance(1s);
  b.asked("w-1");
  b.asked("w-2");
  CHECK(b.advance(1s) == texts{"kill w-3#1"});
  CHECK(b.ends("w-3", exit_kind::killed) == texts{"finish stopped"});
  CHECK(b.finish->killed == texts{"w-3"});
}

TEST_CASE(
    "F13 the deadline of the supervisor holds over levels, and the report names who was killed") {
  auto policy = otp();
  policy.order = stop_order::levels;
  bench b{policy};
  auto top = spec_of("top");
  top.after = {"base"};
  top.shutdown = shutdown_rule::infinity();
  b.add("base");
  b.send(event::add{top});
  b.send(event::start{});
  b.ready("base");
  b.ready("top");
  CHECK(b.send(event::stop{"enough", b.now + 1s}) == texts{"stop top#1"});
  CHECK(b.advance(1s) == texts{"kill base#1", "kill top#1"});
  b.ends("top", exit_kind::killed);
  CHECK(b.ends("base", exit_kind::killed) == texts{"finish stopped"});
  CHECK(b.finish->killed == texts{"base", "top"});
}
