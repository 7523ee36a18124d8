// SPDX-License-Identifier: Apache-2.0
// Group H of the conformance list: another configuration for a supervisor that runs.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

namespace {

texts change(bench& b, const supervisor_policy& policy, std::vector<child_spec> specs,
             bool prune = false) {
  return b.send(event::reconfigure{policy, std::move(specs), prune});
}

}  // namespace

TEST_CASE("H01 intensity and period change live, no child is touched, and what was counted stays") {
  bench b{otp(9, 60s)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  b.advance(1s);
  b.ready("a");
  CHECK(change(b, otp(2, 30s), {spec_of("a")}).empty());
  CHECK(b.core.status(b.now).intensity == 2);
  CHECK(b.core.status(b.now).restarts_in_window == 2);
  CHECK(b.state("a") == child_state::ready);
  b.advance(1s);
  CHECK(b.crashes("a") == texts{"finish gave_up"});
}

TEST_CASE(
    "H02 a configuration with a fault is refused as a whole, and the old one stays in force") {
  bench b{otp(9)};
  b.boot({"a"});
  auto bad = spec_of("b");
  bad.shutdown.timeout = -1ms;
  const auto refused = [&](const supervisor_policy& policy, const std::vector<child_spec>& specs) {
    CHECK(change(b, policy, specs, true).empty());
    CHECK(b.answer == verdict::invalid);
    CHECK(b.list() == texts{"a"});
    CHECK(b.core.policy().intensity == 9);
    CHECK(b.core.spec("a") == spec_of("a"));
    return b.text;
  };
  auto changed = spec_of("a", restart_type::temporary);
  CHECK(refused(otp(1), {changed, bad}).find("shutdown of child b is -1 ms") == 0);
  CHECK(refused(otp(1, 0s), {changed}).find("period is 0 ms") == 0);
  CHECK(refused(otp(1), {changed, spec_of("c"), spec_of("c")}) == "child c is there twice");
  auto levels = otp(1);
  levels.order = stop_order::levels;
  auto one = spec_of("a");
  auto other = spec_of("b");
  one.after = {"b"};
  other.after = {"a"};
  CHECK(refused(levels, {one, other}) == "children wait for each other: a after b after a");
  CHECK(refused(group(restart_strategy::dynamic), {one}).find("after of child a") == 0);
  CHECK(refused(group(restart_strategy::dynamic), {changed}) ==
        "strategy is one_for_one and becomes dynamic; to and from dynamic it cannot change");
}

TEST_CASE("H03 a new spec starts if it has autostart (OTP: it never does)") {
  // A configuration says what is to run; who wants OTP's way says so in the spec.
  bench b{otp()};
  b.boot({"a"});
  auto quiet = spec_of("quiet");
  quiet.autostart = false;
  CHECK(change(b, otp(), {spec_of("a"), spec_of("b"), quiet, spec_of("c")}) == texts{"start b#1"});
  CHECK(b.ready("b") == texts{"start c#1"});
  CHECK(b.ready("c").empty());
  CHECK(b.state("quiet") == child_state::stopped);
  CHECK(b.count() == child_count{4, 3, 0, 4});
}

TEST_CASE("H04 a changed rule holds from the next time that it is asked; the instance stays") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::within(2s));
  b.ready("a");
  auto spec = spec_of("a");
  spec.shutdown = shutdown_rule::within(1s);
  CHECK(change(b, otp(), {spec}).empty());
  CHECK(b.generation("a") == 1);
  CHECK(b.terminate("a") == texts{"stop a#1"});
  CHECK(b.advance(1s) == texts{"kill a#1"});
}

TEST_CASE("H05 a child that the configuration does not name goes on, unless it is to be pruned") {
  // OTP keeps it; `prune` is for configurations that are the whole truth.
  bench b{otp()};
  b.boot({"a", "b", "c"});
  CHECK(change(b, otp(), {spec_of("b")}).empty());
  CHECK(b.count().active == 3);
  SECTION("pruned in reverse order, and new ones start behind that") {
    CHECK(change(b, otp(), {spec_of("b"), spec_of("d")}, true) == texts{"stop c#1"});
    CHECK(b.restart("c").empty());
    CHECK(b.answer == verdict::not_found);
    CHECK(b.asked("c") == texts{"forget c", "stop a#1"});
    CHECK(b.asked("a") == texts{"forget a", "start d#1"});
    b.ready("d");
    CHECK(b.list() == texts{"b", "d"});
  }
  SECTION("one that does not run is forgotten at once") {
    b.terminate("a");
    b.asked("a");
    CHECK(change(b, otp(), {spec_of("b"), spec_of("c")}, true) == texts{"forget a"});
  }
  SECTION("one that is wanted again before it is gone is started again") {
    change(b, otp(), {spec_of("b"), spec_of("a")}, true);
    CHECK(change(b, otp(), {spec_of("a"), spec_of("b"), spec_of("c")}).empty());
    CHECK(b.asked("c") == texts{"start c#2"});
  }
}

TEST_CASE(
    "H07 a dynamic supervisor has one template in every configuration, and children follow it") {
  const auto policy = group(restart_strategy::dynamic);
  bench b{policy};
  b.add("w");
  b.send(event::start{});
  b.send(event::add_dynamic{});
  b.ready("w-1");
  change(b, policy, {});
  CHECK(b.answer == verdict::invalid);
  change(b, policy, {spec_of("w"), spec_of("v")});
  CHECK(b.answer == verdict::invalid);
  CHECK(change(b, policy, {spec_of("v", restart_type::temporary)}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.state("w-1") == child_state::ready);
  CHECK(b.send(event::add_dynamic{}) == texts{"start v-2#1"});
  CHECK(b.crashes("w-1") == texts{"forget w-1"});
}

TEST_CASE("H08 the new order comes first, kept children behind it in theirs") {
  bench b{group(restart_strategy::rest_for_one)};
  b.boot({"a", "b", "c", "d"});
  CHECK(change(b, group(restart_strategy::rest_for_one), {spec_of("d"), spec_of("b")}).empty());
  CHECK(b.list() == texts{"d", "b", "a", "c"});
  CHECK(b.crashes("b") == texts{"stop c#1"});
  CHECK(b.asked("c") == texts{"stop a#1"});
  CHECK(b.asked("a") == texts{"start b#2"});
}

TEST_CASE("a configuration that comes in the middle keeps who waits for what") {
  auto policy = group(restart_strategy::one_for_all);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  b.boot({"a", "b", "c"});
  b.crashes("b");
  CHECK(change(b, policy, {spec_of("c"), spec_of("b"), spec_of("a")}) ==
        texts{"stop a#1"});  // the last now
  CHECK(b.asked("c").empty());
  CHECK(b.asked("a").empty());
  CHECK(b.advance(100ms) == texts{"start c#2"});
  CHECK(b.ready("c") == texts{"start b#2"});
  CHECK(b.ready("b") == texts{"start a#2"});
}

TEST_CASE(
    "a configuration before the start counts for the start, and one during the stop is refused") {
  bench b{otp()};
  b.add("a");
  CHECK(change(b, otp(), {spec_of("b"), spec_of("a")}).empty());
  CHECK(b.send(event::start{}) == texts{"start b#1"});
  b.send(event::stop{"enough", {}});
  change(b, otp(), {});
  CHECK(b.answer == verdict::stopping);
}

TEST_CASE("a change of strategy holds for the next end") {
  bench b{otp(9)};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  b.ready("a");
  change(b, group(restart_strategy::one_for_all), {spec_of("a"), spec_of("b")});
  CHECK(b.crashes("a") == texts{"stop b#1"});
}

TEST_CASE("a change to levels sorts children that run") {
  bench b{otp()};
  b.boot({"app", "db"});
  auto policy = otp();
  policy.order = stop_order::levels;
  auto app = spec_of("app");
  app.after = {"db"};
  CHECK(change(b, policy, {app, spec_of("db")}).empty());
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop app#1"});
  CHECK(b.asked("app") == texts{"stop db#1"});
}
