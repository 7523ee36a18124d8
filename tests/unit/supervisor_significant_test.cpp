// SPDX-License-Identifier: Apache-2.0
// Group G of the conformance list: children whose end ends their supervisor.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto every_kind = {exit_kind::normal, exit_kind::shutdown, exit_kind::killed,
                             exit_kind::abnormal};
constexpr auto every_rule = {auto_shutdown::never, auto_shutdown::any_significant,
                             auto_shutdown::all_significant};

supervisor_policy ending(auto_shutdown rule,
                         restart_strategy strategy = restart_strategy::one_for_one) {
  auto policy = group(strategy);
  policy.when_significant_ends = rule;
  return policy;
}

child_spec significant(const std::string& id, restart_type type) {
  auto spec = spec_of(id, type);
  spec.significant = true;
  return spec;
}

/// A supervisor that runs these children.
void boot(bench& b, const std::vector<child_spec>& specs) {
  for (const auto& spec : specs) {
    b.send(event::add{spec});
    REQUIRE(b.answer == verdict::ok);
  }
  b.send(event::start{});
  for (const auto& spec : specs) b.ready(spec.id);
  REQUIRE(b.core.phase() == supervisor_phase::running);
}

bool runs(const bench& b) {
  return b.core.phase() == supervisor_phase::running;
}

}  // namespace

TEST_CASE("G01 a temporary child that is not significant never ends the supervisor") {
  for (const auto rule : every_rule) {
    for (const auto kind : every_kind) {
      bench b{ending(rule)};
      boot(b, {spec_of("a", restart_type::temporary), spec_of("b")});
      CHECK(b.ends("a", kind) == texts{"forget a"});
      CHECK(runs(b));
    }
    bench b{ending(rule)};
    boot(b, {spec_of("a", restart_type::temporary), spec_of("b")});
    b.terminate("a");
    b.asked("a");
    CHECK(runs(b));
  }
}

TEST_CASE("G02 a transient child that is not significant never ends the supervisor") {
  for (const auto rule : every_rule) {
    for (const auto kind : every_kind) {
      bench b{ending(rule)};
      boot(b, {spec_of("a", restart_type::transient), spec_of("b")});
      const bool bad = kind == exit_kind::killed || kind == exit_kind::abnormal;
      CHECK(b.ends("a", kind) == (bad ? texts{"start a#2"} : texts{}));
      CHECK(runs(b));
    }
    bench b{ending(rule)};
    boot(b, {spec_of("a", restart_type::transient), spec_of("b")});
    b.terminate("a");
    b.asked("a");
    CHECK(runs(b));
  }
}

TEST_CASE("G03 any_significant: however a significant temporary child ends, all end") {
  for (const auto kind : every_kind) {
    bench b{ending(auto_shutdown::any_significant)};
    boot(b, {significant("a", restart_type::temporary), spec_of("b")});
    CHECK(b.ends("a", kind) == texts{"forget a", "stop b#1"});
    CHECK(b.asked("b") == texts{"finish significant"});
    CHECK(b.finish->reason == "a significant child has ended");
  }
}

TEST_CASE("G04 a significant child that is stopped by request does not end the supervisor") {
  for (const auto type : {restart_type::temporary, restart_type::transient}) {
    for (const auto kind : every_kind) {
      bench b{ending(auto_shutdown::any_significant)};
      boot(b, {significant("a", type)});
      b.terminate("a");
      b.ends("a", kind);
      CHECK(runs(b));
    }
  }
}

TEST_CASE("G05 a significant transient child that crashes is restarted, and ends nothing") {
  for (const auto kind : {exit_kind::killed, exit_kind::abnormal}) {
    bench b{ending(auto_shutdown::any_significant)};
    boot(b, {significant("a", restart_type::transient)});
    CHECK(b.ends("a", kind) == texts{"start a#2"});
    CHECK(runs(b));
  }
}

TEST_CASE("G06 any_significant: a significant transient child that has done its work ends all") {
  for (const auto kind : {exit_kind::normal, exit_kind::shutdown}) {
    bench b{ending(auto_shutdown::any_significant)};
    boot(b, {significant("a", restart_type::transient), spec_of("b")});
    CHECK(b.ends("a", kind) == texts{"stop b#1"});
    CHECK(b.asked("b") == texts{"finish significant"});
  }
}

TEST_CASE("G07 all_significant: the last of them ends all") {
  for (const auto type : {restart_type::temporary, restart_type::transient}) {
    bench b{ending(auto_shutdown::all_significant)};
    boot(b, {significant("a", type), significant("b", type), spec_of("c")});
    b.ends("a", exit_kind::normal);
    CHECK(runs(b));
    b.ends("b", exit_kind::normal);
    CHECK(b.asked("c") == texts{"finish significant"});
  }
}

TEST_CASE(
    "G07 all_significant: one that waits for its restart is still there, a stopped one is not") {
  auto policy = ending(auto_shutdown::all_significant);
  policy.backoff = {100ms, 100ms, 60s, 2.0, 0, false};
  bench b{policy};
  boot(b, {significant("a", restart_type::transient), significant("b", restart_type::transient)});
  b.crashes("a");
  b.ends("b", exit_kind::normal);
  CHECK(runs(b));
  b.terminate("a");
  CHECK(runs(b));  // a stop by request ends nothing
  b.send(event::start_child{"b"});
  b.ready("b");
  CHECK(b.ends("b", exit_kind::normal) == texts{"finish significant"});
}

TEST_CASE("G08 dynamic children are significant by their template, each for itself") {
  for (const auto rule : {auto_shutdown::any_significant, auto_shutdown::all_significant}) {
    bench b{ending(rule, restart_strategy::dynamic)};
    b.send(event::add{significant("w", restart_type::temporary)});
    b.send(event::start{});
    for (int i = 0; i < 2; ++i) {
      b.send(event::add_dynamic{});
      b.ready(b.id);
    }
    b.crashes("w-1");
    CHECK(runs(b) == (rule == auto_shutdown::all_significant));
    b.crashes("w-2");
    REQUIRE(b.finish);
    CHECK(b.finish->why == action::finish::kind::significant);
  }
}

TEST_CASE("G09 a significant sibling that is stopped with its group does not end the supervisor") {
  for (const auto strategy : {restart_strategy::one_for_all, restart_strategy::rest_for_one}) {
    for (const auto rule : every_rule) {
      if (rule == auto_shutdown::never) continue;
      for (const auto type : {restart_type::temporary, restart_type::transient}) {
        bench b{ending(rule, strategy)};
        boot(b, {spec_of("a"), significant("b", type)});
        CHECK(b.crashes("a") == texts{"stop b#1"});
        b.ends("b", exit_kind::normal);
        CHECK(runs(b));
        CHECK(b.state("a") == child_state::starting);
      }
    }
  }
}

TEST_CASE("G11 the rule is changed live: it holds for the next end, and touches nobody") {
  for (const auto before : every_rule) {
    for (const auto after : every_rule) {
      bench b{ending(before)};
      const auto type = restart_type::transient;
      if (before == auto_shutdown::never) {
        boot(b, {spec_of("a", type), spec_of("b", type)});
      } else {
        boot(b, {significant("a", type), significant("b", type)});
      }
      const bool significant_now = after != auto_shutdown::never;
      const auto rules = [&](const std::string& id) {
        return significant_now ? significant(id, type) : spec_of(id, type);
      };
      CHECK(b.send(event::reconfigure{ending(after), {rules("a"), rules("b")}}).empty());
      CHECK(b.answer == verdict::ok);
      CHECK(b.count().active == 2);
      b.ends("a", exit_kind::normal);
      CHECK(runs(b) == (after != auto_shutdown::any_significant));
      if (!runs(b)) continue;
      b.ends("b", exit_kind::normal);
      CHECK(runs(b) == (after == auto_shutdown::never));
    }
  }
  bench b{ending(auto_shutdown::never)};
  b.boot({});
  b.send(event::add{significant("a", restart_type::transient)});
  CHECK(b.answer == verdict::invalid);
}

TEST_CASE("G11 significant children that run stay when the rule becomes never, and end nothing") {
  bench b{ending(auto_shutdown::any_significant)};
  boot(b, {significant("a", restart_type::transient)});
  b.send(event::reconfigure{ending(auto_shutdown::never), {}});
  CHECK(b.answer == verdict::ok);
  b.ends("a", exit_kind::normal);
  CHECK(runs(b));
}

TEST_CASE(
    "G12 a running child's significance is changed live, and refused where the rule is never") {
  bench b{ending(auto_shutdown::any_significant)};
  boot(b, {spec_of("a", restart_type::transient)});
  b.send(event::reconfigure{ending(auto_shutdown::never),
                            {significant("a", restart_type::transient)}});
  CHECK(b.answer == verdict::invalid);
  CHECK(b.text == "child a is significant and when_significant_ends is never");
  b.send(event::reconfigure{ending(auto_shutdown::any_significant),
                            {significant("a", restart_type::transient)}});
  CHECK(b.answer == verdict::ok);
  CHECK(b.generation("a") == 1);
  CHECK(b.ends("a", exit_kind::normal) == texts{"finish significant"});
}
