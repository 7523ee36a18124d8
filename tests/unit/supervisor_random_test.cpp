// SPDX-License-Identifier: Apache-2.0
// Long random lives of a core under every strategy, with everything that can be said to it, new
// configurations included. The exhaustive tests know what must follow; this one knows only what
// must always hold, and visits what they are too short for: a configuration in the middle of a
// group's restart, a dynamic child that is terminated in its backoff, a child pruned and wanted
// again.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "actors/supervisor_core.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int lives = 200;
#else
constexpr int lives = 20'000;
#endif

struct life {
  seeded_random dice;
  fixed_random jitter{0.5};
  supervisor_policy policy;
  supervisor_core core;
  instant now{};
  std::map<std::string, std::uint64_t> live;
  std::map<std::string, std::uint64_t> highest;
  std::map<std::uint64_t, instant> timers;
  std::vector<std::string> trace;
  bool finished = false;

  explicit life(std::uint64_t seed) : dice{seed}, policy{random_policy()}, core{policy, jitter} {}

  std::size_t roll(std::size_t sides) { return static_cast<std::size_t>(dice.bits() % sides); }

  supervisor_policy random_policy() {
    supervisor_policy made;
    made.strategy = static_cast<restart_strategy>(roll(4));
    made.order = static_cast<stop_order>(roll(3));
    if (made.strategy == restart_strategy::dynamic) made.order = stop_order::together;
    made.when_spent = static_cast<give_up>(roll(2));
    made.asked = static_cast<asked_start>(roll(2));
    made.when_significant_ends = static_cast<auto_shutdown>(roll(3));
    made.intensity = roll(6);
    made.period = 10s;
    made.backoff.first = std::chrono::milliseconds{roll(2) * 500};
    return made;
  }

  child_spec random_spec(const std::string& id) {
    child_spec spec;
    spec.id = id;
    spec.restart = static_cast<restart_type>(roll(3));
    spec.significant = roll(4) == 0 && spec.restart != restart_type::permanent &&
                       policy.when_significant_ends != auto_shutdown::never;
    spec.autostart = roll(5) != 0;
    spec.type = static_cast<child_type>(roll(2));
    spec.start_max = std::chrono::milliseconds{roll(2) * 900};
    const std::array rules = {shutdown_rule::within(1s), shutdown_rule::brutal(),
                              shutdown_rule::infinity()};
    spec.shutdown = rules.at(roll(3));
    return spec;
  }

  /// Specs of some of five ids, each after some of those before it.
  std::vector<child_spec> random_specs() {
    std::vector<child_spec> specs;
    if (policy.strategy == restart_strategy::dynamic) return {random_spec("w")};
    const auto first = roll(5);
    for (std::size_t i = 0; i < 5; ++i) {
      if (roll(4) == 0) continue;
      auto spec = random_spec(std::string(1, static_cast<char>('a' + (first + i) % 5)));
      if (policy.order == stop_order::levels) {
        for (const auto& each : specs) {
          if (roll(3) == 0) spec.after.push_back(each.id);
        }
      }
      specs.push_back(std::move(spec));
    }
    return specs;
  }

  void require(bool holds, const std::string& what) {
    if (holds) return;
    std::string text = what;
    for (const auto& line : trace) text += "\n  " + line;
    FAIL(text);
  }

  verdict send(const supervisor_event& what, const std::string& name) {
    trace.push_back(fmt::format("{} ms: {}", now.time_since_epoch() / 1ms, name));
    const auto result = core.step(what, now);
    if (result.answer != verdict::ok) require(result.actions.empty(), "a refusal with an effect");
    for (const auto& one : result.actions) account(one);
    check();
    return result.answer;
  }

  void account(const supervisor_action& one) {
    require(!finished, "an action after the finish");
    if (const auto* start = std::get_if<action::start_child>(&one)) {
      require(live.count(start->id) == 0, "two instances of " + start->id);
      require(start->generation > highest[start->id], "a generation that did not grow");
      highest[start->id] = live[start->id] = start->generation;
    } else if (const auto* stop = std::get_if<action::stop_child>(&one)) {
      require(live.count(stop->id) == 1, "a stop of what does not live");
    } else if (const auto* arm = std::get_if<action::arm_timer>(&one)) {
      require(arm->at >= now && timers.emplace(arm->id, arm->at).second, "a timer armed twice");
    } else if (const auto* cancel = std::get_if<action::cancel_timer>(&one)) {
      require(timers.erase(cancel->id) == 1, "a timer cancelled that was not armed");
    } else if (const auto* gone = std::get_if<action::forget_child>(&one)) {
      require(live.count(gone->id) == 0, "a child forgotten while an instance lives");
    } else if (const auto* report = std::get_if<action::report>(&one)) {
      if (report->to == child_state::stopped) live.erase(report->id);  // given up, if it lived
    } else if (std::holds_alternative<action::finish>(one)) {
      require(live.empty(), "a finish while an instance lives");
      finished = true;
    }
  }

  void check() {
    const auto status = core.status(now);
    std::size_t active = 0;
    for (const auto& child : status.children) {
      const bool lives = live.count(child.id) == 1;
      active += lives ? 1 : 0;
      require(lives == (child.state == child_state::starting || child.state == child_state::ready ||
                        child.state == child_state::stopping),
              "the state of " + child.id + " is not the truth");
    }
    require(active == live.size(), "an instance of nobody");
    const auto count = core.count();
    require(count.active == active && count.supervisors + count.workers == status.children.size(),
            "the count is wrong");
    require(timers.size() <= status.children.size() + 1, "more timers than children");
  }

  void fire() {
    const auto next = std::min_element(
        timers.begin(), timers.end(),
        [](const auto& one, const auto& other) { return one.second < other.second; });
    now = std::max(now, next->second);
    const auto id = next->first;
    timers.erase(next);
    send(event::timer{id}, "timer");
  }

  void end_of(const std::string& id, exit_kind kind) {
    const auto generation = live.at(id);
    live.erase(id);
    send(event::exited{id, generation, kind, "ended"},
         fmt::format("{} ends, {}", id, to_string(kind)));
  }

  void something_happens() {
    const auto status = core.status(now);
    if (status.children.empty() || roll(12) == 0) {
      something_is_asked("a");
      return;
    }
    const auto& child = status.children[roll(status.children.size())];
    const auto& id = child.id;
    if (roll(3) == 0) {
      something_is_asked(id);
    } else if (!timers.empty() && roll(3) == 0) {
      fire();
    } else if (child.state == child_state::starting) {
      const auto generation = child.generation;
      const auto what = roll(6);
      if (what > 1) {
        send(event::started{id, generation}, id + " is ready");
        return;
      }
      live.erase(id);
      if (what == 0) {
        send(event::start_ignored{id, generation}, id + " ignores");
      } else {
        send(event::start_failed{id, generation, "failed", roll(4) == 0}, id + " fails");
      }
    } else if (live.count(id) == 1) {
      end_of(id, static_cast<exit_kind>(roll(4)));
    }
  }

  void something_is_asked(const std::string& id) {
    switch (roll(9)) {
      case 0:
        send(event::terminate_child{id}, "terminate " + id);
        break;
      case 1:
        send(event::restart_child{id}, "restart " + id);
        break;
      case 2:
        send(event::start_child{id}, "start " + id);
        break;
      case 3:
        send(event::erase_child{id}, "erase " + id);
        break;
      case 4:
        send(event::reset_child{id}, "reset " + id);
        break;
      case 5:
        send(event::add{random_spec(std::string(1, static_cast<char>('a' + roll(5))))}, "add");
        break;
      case 6:
        reconfigure();
        break;
      default:
        send(event::add_dynamic{}, "add_dynamic");
        break;
    }
  }

  void reconfigure() {
    const auto before = policy;
    policy = random_policy();
    const bool prune = roll(2) == 0;
    const auto answer = send(event::reconfigure{policy, random_specs(), prune},
                             fmt::format("reconfigure to {} {}{}", to_string(policy.strategy),
                                         to_string(policy.order), prune ? ", prune" : ""));
    if (answer != verdict::ok) policy = before;
  }

  /// Lets everything succeed: it must come to rest, with nothing under way.
  void must_rest() {
    for (int i = 0; i < 300; ++i) {
      const auto children = core.status(now).children;
      const auto moving = std::find_if(children.begin(), children.end(), [](const auto& child) {
        return child.state == child_state::starting || child.state == child_state::stopping;
      });
      if (moving == children.end()) {
        if (timers.empty()) break;
        fire();
      } else if (moving->state == child_state::starting) {
        send(event::started{moving->id, moving->generation}, moving->id + " is ready");
      } else {
        end_of(moving->id, exit_kind::shutdown);
      }
    }
    const bool ends = core.phase() == supervisor_phase::stopping;
    require(!ends, "it stops, and does not finish");
    if (finished) return;
    require(core.phase() == supervisor_phase::running, "it does not run");
    for (const auto& child : core.status(now).children) {
      require(core.has_settled(child.id), child.id + " does not come to rest");
    }
  }

  void must_finish() {
    if (!finished) send(event::stop{"enough", now + 3s}, "stop");
    for (int i = 0; i < 100 && !finished; ++i) {
      require(!timers.empty(), "it stops, waits for children, and has no timer");
      fire();
    }
    require(finished, "a stop did not lead to a finish");
  }
};

}  // namespace

TEST_CASE("long random lives under every strategy keep what must hold, come to rest, and end") {
  std::map<restart_strategy, int> rested;
  for (int seed = 0; seed < lives; ++seed) {
    life one{static_cast<std::uint64_t>(seed)};
    INFO("seed " << seed);
    for (const auto& spec : one.random_specs()) one.send(event::add{spec}, "add " + spec.id);
    one.send(event::start{}, "start");
    for (int i = 0; i < 80 && !one.finished; ++i) {
      one.now += std::chrono::milliseconds{one.roll(1'500)};
      one.something_happens();
    }
    if (one.core.phase() != supervisor_phase::stopping) one.must_rest();
    rested[one.core.policy().strategy] += one.finished ? 0 : 1;
    one.must_finish();
  }
  REQUIRE(rested.size() == 4);
  for (const auto& [strategy, count] : rested) CHECK(count > lives / 40);
}
