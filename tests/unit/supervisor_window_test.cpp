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
