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
