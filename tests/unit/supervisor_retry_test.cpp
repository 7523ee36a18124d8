// SPDX-License-Identifier: Apache-2.0
// Group J of the conformance list: backoff, and what an operator does to it.
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
