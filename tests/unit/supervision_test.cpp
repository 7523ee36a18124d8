// SPDX-License-Identifier: Apache-2.0
#include "actors/supervision.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "actors/dependency_levels.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;

TEST_CASE("A16 the defaults are OTP's") {
  const supervisor_policy policy;
  CHECK(policy.intensity == 1);
  CHECK(policy.period == 5s);
  CHECK(policy.when_spent == give_up::escalate);
  CHECK(policy.strategy == restart_strategy::one_for_one);
  CHECK(policy.when_significant_ends == auto_shutdown::never);
  const child_spec spec;
  CHECK(spec.restart == restart_type::permanent);
  CHECK(spec.shutdown == shutdown_rule::within(5s));
  CHECK(spec.type == child_type::worker);
  const auto inner = supervisor_spec("inner");
  CHECK(inner.type == child_type::supervisor);
  CHECK(inner.shutdown == shutdown_rule::infinity());
  CHECK(check(inner).empty());
}

TEST_CASE("A19 a value that no enumerator has is refused by its field") {
  const auto error_of = [](auto change) {
    child_spec spec;
    spec.id = "a";
    change(spec);
    return check(spec);
  };
  CHECK(error_of([](auto& s) { s.restart = static_cast<restart_type>(9); }) ==
        "restart of child a is 9; it must be one of 0 to 2");
  CHECK(error_of([](auto& s) { s.type = static_cast<child_type>(2); }).find("type of child a") ==
        0);
  CHECK(error_of([](auto& s) {
          s.shutdown.how = static_cast<shutdown_rule::kind>(3);
        }).find("shutdown of child a") == 0);
  CHECK(error_of([](auto& s) { s.after.assign(child_after_max, "b"); }).empty());
  CHECK(error_of([](auto& s) { s.after.assign(child_after_max + 1, "b"); }) ==
        "after of child a names 65 siblings; at most 64");
  CHECK(error_of([](auto& s) { s.after = {"a"}; }) == "after of child a names the child itself");
}

TEST_CASE("A20 two specs of one id are refused by the id") {
  child_spec spec;
  spec.id = "a";
  CHECK(check_all(supervisor_policy{}, {spec}).empty());
  CHECK(check_all(supervisor_policy{}, {spec, spec}) == "child a is there twice");
}

TEST_CASE("A23 what one field asks for and another forbids is refused by both") {
  child_spec spec;
  spec.id = "a";
  spec.significant = true;
  CHECK(check(spec).find("child a is significant and restart is permanent") == 0);
  spec.restart = restart_type::transient;
  CHECK(check(spec).empty());
  supervisor_policy policy;
  CHECK(check(policy, spec) == "child a is significant and when_significant_ends is never");
  policy.when_significant_ends = auto_shutdown::any_significant;
  CHECK(check(policy, spec).empty());
  spec.after = {"b"};
  CHECK(check(policy, spec) ==
        "after of child a names b and order is reverse; only levels knows "
        "of it");
  policy.order = stop_order::levels;
  CHECK(check(policy, spec).empty());
  CHECK(check_all(policy, {spec}) == "after of child a names b, which is not there");
  policy.strategy = restart_strategy::dynamic;
  CHECK(check(policy).find("strategy is dynamic and order is levels") == 0);
}

TEST_CASE("A24 every combination of sound values is accepted, but for what A23 refuses") {
  int accepted = 0;
  int refused = 0;
  supervisor_policy policy;
  for (int bits = 0; bits < 3 * 5 * 2 * 2 * 3 * 4; ++bits) {
    int rest = bits;
    const auto choose = [&rest](int count) {
      const int choice = rest % count;
      rest /= count;
      return choice;
    };
    child_spec spec;
    spec.id = "a";
    spec.restart = static_cast<restart_type>(choose(3));
    const std::array rules = {shutdown_rule::within(0ms), shutdown_rule::within(1ms),
                              shutdown_rule::within(supervision_duration_max),
                              shutdown_rule::brutal(), shutdown_rule::infinity()};
    spec.shutdown = rules.at(static_cast<std::size_t>(choose(5)));
    spec.type = static_cast<child_type>(choose(2));
    spec.significant = choose(2) == 1;
    policy.when_significant_ends = static_cast<auto_shutdown>(choose(3));
    policy.strategy = static_cast<restart_strategy>(choose(4));
    const bool is_bad = spec.significant && (spec.restart == restart_type::permanent ||
                                             policy.when_significant_ends == auto_shutdown::never);
    REQUIRE(check_all(policy, {spec}).empty() == !is_bad);
    ++(is_bad ? refused : accepted);
  }
  CHECK(accepted == 520);
  CHECK(refused == 200);
}

TEST_CASE("levels: who names nobody is of level 0, everybody else one above the highest named") {
  const auto spec = [](std::string id, std::vector<std::string> after) {
    child_spec made;
    made.id = std::move(id);
    made.after = std::move(after);
    return made;
  };
  const auto sound = levels_of({spec("d", {"b", "c"}), spec("a", {}), spec("b", {"a"}),
                                spec("c", {"b", "a"}), spec("e", {"gone"})});
  CHECK(sound.cycle.empty());
  CHECK(sound.levels == std::vector<std::uint32_t>{3, 0, 1, 2, 0});
  CHECK(levels_of({}).levels.empty());
  const auto cycle = levels_of({spec("x", {"a"}), spec("a", {"b"}), spec("b", {"c", "free"}),
                                spec("c", {"a"}), spec("free", {})});
  CHECK(cycle.levels.empty());
  CHECK(cycle.cycle == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("A22 a wrong policy is refused by the field that is wrong") {
  const auto error_of = [](auto change) {
    supervisor_policy policy;
    change(policy);
    return check(policy);
  };
  CHECK(error_of([](auto&) {}).empty());
  CHECK(error_of([](auto& p) { p.period = 0ms; }).find("period is 0 ms") == 0);
  CHECK(error_of([](auto& p) { p.period = 1ms; }).empty());
  CHECK(error_of([](auto& p) { p.period = supervision_duration_max + 1ms; }).find("period") == 0);
  CHECK(error_of([](auto& p) { p.intensity = 0; }).empty());
  CHECK(error_of([](auto& p) { p.intensity = restart_intensity_max; }).empty());
  CHECK(error_of([](auto& p) { p.intensity = restart_intensity_max + 1; }).find("intensity") == 0);
  CHECK(error_of([](auto& p) { p.intensity = restart_unlimited; }).empty());
  CHECK(error_of([](auto& p) { p.strategy = static_cast<restart_strategy>(4); }) ==
        "strategy is 4; it must be one of 0 to 3");
  CHECK(error_of([](auto& p) { p.order = static_cast<stop_order>(3); }).find("order is 3") == 0);
  CHECK(error_of([](auto& p) { p.asked = static_cast<asked_start>(2); }).find("asked is 2") == 0);
  CHECK(error_of([](auto& p) { p.when_spent = static_cast<give_up>(2); }).find("when_spent") == 0);
  CHECK(error_of([](auto& p) {
          p.when_significant_ends = static_cast<auto_shutdown>(3);
        }).find("when_significant_ends is 3") == 0);
  CHECK(error_of([](auto& p) { p.kill_wait = -1ms; }).find("kill_wait") == 0);
  CHECK(error_of([](auto& p) { p.backoff.factor = 0; }).find("backoff factor") == 0);
}

TEST_CASE("durations read well") {
  CHECK(duration_text(0ms) == "0 ms");
  CHECK(duration_text(400ms) == "400 ms");
  CHECK(duration_text(1500ms) == "1.5 s");
  CHECK(duration_text(30s) == "30 s");
  CHECK(duration_text(120s) == "2 min");
  CHECK(duration_text(90s) == "1 min 30 s");
}
