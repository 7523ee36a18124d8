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

TEST_CASE("F07 F08 with stop order `together` all are asked at once, each under its own limit") {
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
