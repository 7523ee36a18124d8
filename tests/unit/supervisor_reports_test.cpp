// SPDX-License-Identifier: Apache-2.0
// Group I of the conformance list: what a supervisor says of what went wrong.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

using context = action::problem::context;

TEST_CASE("I01 a crash report names context, reason, instance and the child's rules") {
  bench b{otp(9)};
  b.boot({});
  auto spec = spec_of("a", restart_type::transient);
  spec.shutdown = shutdown_rule::within(7s);
  b.send(event::add{spec});
  b.ready("a");
  b.crashes("a");
  REQUIRE(b.problems.size() == 1);
  const auto& crash = b.problems.front();
  CHECK(crash.what == context::child_terminated);
  CHECK(crash.reason == "crashed");
  CHECK(crash.offender == spec);
  CHECK(crash.generation == 1);
  CHECK(problem_text("top", crash) ==
        "supervisor top: child_terminated: child a (instance 1, transient worker, shutdown 7 s): "
        "crashed");
}

TEST_CASE("I01 a failed start and a bad end are reports of their own, a good end is none") {
  bench b{otp(9)};
  b.boot({"a", "b"});
  b.crashes("a");
  b.fails("a");
  REQUIRE(b.problems.size() == 2);
  CHECK(b.problems.back().what == context::start_error);
  CHECK(b.problems.back().reason == "no luck");
  b.terminate("b");
  b.ends("b", exit_kind::abnormal, "exited with status 7");
  REQUIRE(b.problems.size() == 3);
  CHECK(b.problems.back().what == context::shutdown_error);
  b.send(event::start_child{"b"});
  b.ready("b");
  b.terminate("b");
  b.asked("b");
  CHECK(b.problems.size() == 3);
}

TEST_CASE("I01 a kill that was the rule is no bad end, one for being late is") {
  for (const auto& rule : {shutdown_rule::brutal(), shutdown_rule::within(1s)}) {
    bench b{otp()};
    b.boot({});
    b.add("a", restart_type::permanent, rule);
    b.ready("a");
    b.terminate("a");
    b.advance(1s);
    b.ends("a", exit_kind::killed, "was killed");
    const bool late = rule.how == shutdown_rule::kind::timeout;
    CHECK(b.problems.size() == (late ? 1 : 0));
  }
}

TEST_CASE("I02 a huge reason is cut at its limit, between characters, and marked") {
  bench b{otp(9)};
  b.boot({"a"});
  b.ends("a", exit_kind::abnormal, std::string(1'000'000, 'x'));
  CHECK(b.status("a").reason.size() < reason_bytes_max + 100);
  REQUIRE(b.problems.size() == 1);
  CHECK(b.problems.front().reason.size() == reason_bytes_max);
  CHECK(bounded_reason(std::string(reason_bytes_max, 'x')) == std::string(reason_bytes_max, 'x'));
  std::string umlauts;
  while (umlauts.size() <= reason_bytes_max) umlauts += "\xc3\xa4";
  const auto cut = bounded_reason(umlauts);
  CHECK(cut.size() <= reason_bytes_max);
  CHECK(cut.substr(cut.size() - 5) == "\xc3\xa4...");
}

TEST_CASE("I03 a thousand children that fail alike at the stop are one line with a count") {
  auto policy = group(restart_strategy::dynamic);
  bench b{policy};
  b.add("w");
  b.send(event::start{});
  for (int i = 0; i < 1'000; ++i) {
    b.send(event::add_dynamic{});
    b.ready(b.id);
  }
  b.send(event::stop{"enough", {}});
  for (int i = 1; i <= 1'000; ++i) {
    b.ends(fmt::format("w-{}", i), exit_kind::abnormal, i == 500 ? "another" : "the disk is full");
  }
  REQUIRE(b.finish);
  REQUIRE(b.finish->errors.size() == 2);
  CHECK(b.finish->errors[0].reason == "the disk is full");
  CHECK(b.finish->errors[0].count == 999);
  CHECK(b.finish->errors[0].first == "w-1");
  CHECK(b.finish->errors[1].first == "w-500");
  CHECK(b.problems.empty());
}

TEST_CASE("I03 reasons beyond the limit of groups are counted together") {
  auto policy = otp();
  policy.order = stop_order::together;
  bench b{policy};
  b.boot({});
  for (int i = 0; i < 20; ++i) {
    b.add(fmt::format("c{}", i));
    b.ready(fmt::format("c{}", i));
  }
  b.send(event::stop{"enough", {}});
  for (int i = 0; i < 20; ++i) {
    b.ends(fmt::format("c{}", i), exit_kind::abnormal, fmt::format("reason {}", i));
  }
  REQUIRE(b.finish);
  REQUIRE(b.finish->errors.size() == stop_error_groups_max);
  CHECK(b.finish->errors.back().reason == "other reasons");
  CHECK(b.finish->errors.back().count == 20 - (stop_error_groups_max - 1));
}
