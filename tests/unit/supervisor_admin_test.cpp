// SPDX-License-Identifier: Apache-2.0
// Group B of the conformance list: what an operator asks for.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("B01 B02 an id can be there once, running or not") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.add("a").empty());
  CHECK(b.answer == verdict::already_started);
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::shutdown);
  CHECK(b.add("a").empty());
  CHECK(b.answer == verdict::already_present);
}

TEST_CASE("B03 B06 B07 what is not there is not found, for every request") {
  bench b{otp()};
  b.boot({});
  for (const supervisor_event& request :
       {supervisor_event{event::terminate_child{"x"}}, supervisor_event{event::start_child{"x"}},
        supervisor_event{event::restart_child{"x"}}, supervisor_event{event::erase_child{"x"}},
        supervisor_event{event::reset_child{"x"}}}) {
    CHECK(b.send(request).empty());
    CHECK(b.answer == verdict::not_found);
  }
}

TEST_CASE("B05 terminating twice is as good as once, and the spec is kept") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.send(event::terminate_child{"a"}) == texts{"stop a#1"});
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.ends("a", exit_kind::shutdown).empty());
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("B06 B07 a running child is neither started nor erased") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::start_child{"a"});
  CHECK(b.answer == verdict::running);
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::running);
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::shutdown);
  CHECK(b.send(event::erase_child{"a"}) == texts{"forget a"});
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::not_found);
}

TEST_CASE("B08 B09 a child that waits for its next start is restarting, until it is terminated") {
  bench b{otp(5)};
  b.boot({"a"});
  b.crashes("a");
  b.fails("a");
  CHECK(b.state("a") == child_state::backoff);
  b.add("a");
  CHECK(b.answer == verdict::already_present);
  b.send(event::start_child{"a"});
  CHECK(b.answer == verdict::restarting);
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::restarting);
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.advance(1h).empty());  // no further attempt
  CHECK(b.send(event::start_child{"a"}) == texts{"start a#3"});
}

TEST_CASE("B10 what is no id of a child is not found, and no child is touched") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.terminate("a-1").empty());
  CHECK(b.answer == verdict::not_found);
  CHECK(b.state("a") == child_state::ready);
}

TEST_CASE("B11 a dynamic supervisor is not asked by its template's id") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w");
  b.send(event::start{});
  b.send(event::add_dynamic{});
  b.ready("w-1");
  for (const supervisor_event& request :
       {supervisor_event{event::terminate_child{"w"}}, supervisor_event{event::restart_child{"w"}},
        supervisor_event{event::start_child{"w"}}, supervisor_event{event::erase_child{"w"}},
        supervisor_event{event::restart_child{"w-1"}}, supervisor_event{event::start_child{"w-1"}},
        supervisor_event{event::erase_child{"w-1"}}, supervisor_event{event::add{spec_of("v")}}}) {
    CHECK(b.send(request).empty());
    CHECK(b.answer == verdict::dynamic);
  }
  CHECK(b.count() == child_count{1, 1, 0, 1});
  bench other{otp()};
  other.boot({});
  other.send(event::add_dynamic{});
  CHECK(other.answer == verdict::dynamic);
}

TEST_CASE(
    "B12 a dynamic child is terminated by its own id, once or twice; a foreign id is unknown") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w");
  b.send(event::start{});
  b.send(event::add_dynamic{});
  b.ready("w-1");
  CHECK(b.terminate("w-1") == texts{"stop w-1#1"});
  CHECK(b.asked("w-1") == texts{"forget w-1"});
  CHECK(b.terminate("w-1").empty());
  CHECK(b.answer == verdict::ok);
  for (const auto* foreign : {"w-2", "w-0", "w-", "w-1x", "x-1", "w-99999999999999999999"}) {
    b.terminate(foreign);
    CHECK(b.answer == verdict::not_found);
  }
}

TEST_CASE("B13 dynamic children are counted by type, and counting changes nothing") {
  for (const auto type : {child_type::worker, child_type::supervisor}) {
    bench b{group(restart_strategy::dynamic)};
    auto spec = spec_of("w");
    spec.type = type;
    b.send(event::add{spec});
    b.send(event::start{});
    for (const std::size_t n : {1'000U, 2'000U}) {
      while (b.count().active < n) {
        b.send(event::add_dynamic{});
        b.ready(b.id);
      }
      const auto expected =
          type == child_type::worker ? child_count{1, n, 0, n} : child_count{1, n, n, 0};
      CHECK(b.count() == expected);
      CHECK(b.count() == expected);
    }
  }
}

TEST_CASE("B14 dynamic children that wait for their restart count as workers, not as active") {
  auto policy = group(restart_strategy::dynamic);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.add("w");
  b.send(event::start{});
  for (const auto* id : {"w-1", "w-2", "w-3"}) {
    b.send(event::add_dynamic{});
    b.ready(id);
  }
  b.crashes("w-1");
  b.crashes("w-3");
  CHECK(b.count() == child_count{1, 1, 0, 3});
  CHECK(b.advance(100ms) == texts{"start w-1#2", "start w-3#2"});
  b.ready("w-1");
  b.ready("w-3");
  CHECK(b.count() == child_count{1, 3, 0, 3});
}

TEST_CASE("B15 the rules of a child can be asked for, those of an unknown one not") {
  bench b{otp()};
  b.boot({});
  auto spec = spec_of("a", restart_type::transient);
  spec.shutdown = shutdown_rule::within(7ms);
  b.send(event::add{spec});
  CHECK(b.core.spec("a") == spec);
  CHECK_FALSE(b.core.spec("b"));
  bench dynamic{group(restart_strategy::dynamic)};
  dynamic.send(event::add{spec});
  CHECK(dynamic.core.spec("a") == spec);
}

TEST_CASE("B16 children are listed in start order, whatever was restarted (OTP: newest first)") {
  // A list that people read top down starts with what started first; to reverse it is one call.
  bench b{otp(9)};
  b.boot({"c", "a", "b"});
  b.crashes("c");
  b.ready("c");
  b.restart("a");
  b.asked("a");
  b.ready("a");
  b.add("0");
  CHECK(b.list() == texts{"c", "a", "b", "0"});
}
