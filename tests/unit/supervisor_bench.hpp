// SPDX-License-Identifier: Apache-2.0
// Drives a supervisor_core by hand: one event at a time, time moves when told, actions become
// lines.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>

#include "actors/supervisor_core.hpp"

namespace bulkhead::testing {

using texts = std::vector<std::string>;

inline std::string text_of(const supervisor_action& what) {
  struct printer {
    std::string operator()(const action::start_child& a) const {
      return fmt::format("start {}#{}", a.id, a.generation);
    }
    std::string operator()(const action::stop_child& a) const {
      return fmt::format("{} {}#{}", a.kill ? "kill" : "stop", a.id, a.generation);
    }
    std::string operator()(const action::forget_child& a) const {
      return fmt::format("forget {}", a.id);
    }
    std::string operator()(const action::booted& /*a*/) const { return "booted"; }
    std::string operator()(const action::finish& a) const {
      static constexpr std::array names = {"stopped", "gave_up", "start_failed", "significant"};
      return fmt::format("finish {}", names.at(static_cast<std::size_t>(a.why)));
    }
    std::string operator()(const action::arm_timer& /*a*/) const { return {}; }
    std::string operator()(const action::cancel_timer& /*a*/) const { return {}; }
    std::string operator()(const action::report& /*a*/) const { return {}; }
    std::string operator()(const action::problem& /*a*/) const { return {}; }
  };
  return std::visit(printer{}, what);
}

/// Drives a core: keeps its timers, remembers reports, moves time.
struct bench {
  fixed_random random{0.0};
  supervisor_core core;
  instant now{};
  std::map<std::uint64_t, instant> timers;
  std::vector<action::report> reports;
  std::vector<action::problem> problems;
  std::optional<action::finish> finish;
  verdict answer = verdict::ok;
  std::string text;
  std::string id;

  explicit bench(supervisor_policy policy) : core{policy, random} {
    REQUIRE(check(policy).empty());
  }

  texts send(const supervisor_event& what) {
    auto result = core.step(what, now);
    answer = result.answer;
    text = result.text;
    id = result.id;
    texts done;
    for (const auto& one : result.actions) {
      if (const auto* arm = std::get_if<action::arm_timer>(&one)) timers[arm->id] = arm->at;
      if (const auto* cancel = std::get_if<action::cancel_timer>(&one)) timers.erase(cancel->id);
      if (const auto* report = std::get_if<action::report>(&one)) reports.push_back(*report);
      if (const auto* what_failed = std::get_if<action::problem>(&one)) {
        problems.push_back(*what_failed);
      }
      if (const auto* end = std::get_if<action::finish>(&one)) finish = *end;
      if (auto line = text_of(one); !line.empty()) done.push_back(std::move(line));
    }
    return done;
  }

  /// Moves on by `step`, firing what is due on the way, in time order.
  texts advance(std::chrono::nanoseconds step) {
    const instant end = now + step;
    texts done;
    for (;;) {
      auto due = timers.end();
      for (auto it = timers.begin(); it != timers.end(); ++it) {
        if (it->second <= end && (due == timers.end() || it->second < due->second)) due = it;
      }
      if (due == timers.end()) break;
      now = std::max(now, due->second);
      const auto id = due->first;
      timers.erase(due);
      for (auto& line : send(event::timer{id})) done.push_back(std::move(line));
    }
    now = end;
    return done;
  }

  texts add(const std::string& id, restart_type type = restart_type::permanent,
            shutdown_rule rule = {}) {
    child_spec spec;
    spec.id = id;
    spec.restart = type;
    spec.shutdown = rule;
    return send(event::add{spec});
  }
  std::uint64_t generation(const std::string& id) { return status(id).generation; }
  child_status status(const std::string& id) {
    auto found = core.status(id, now);
    REQUIRE(found);
    return *found;
  }
  child_state state(const std::string& id) { return status(id).state; }
  bool known(const std::string& id) { return core.status(id, now).has_value(); }

  texts ready(const std::string& id) { return send(event::started{id, generation(id)}); }
  texts ends(const std::string& id, exit_kind kind, const std::string& why = "ended") {
    return send(event::exited{id, generation(id), kind, why});
  }
  texts crashes(const std::string& id) { return ends(id, exit_kind::abnormal, "crashed"); }
  texts fails(const std::string& id, bool permanent = false) {
    return send(event::start_failed{id, generation(id), "no luck", permanent});
  }
  texts ignored(const std::string& id) { return send(event::start_ignored{id, generation(id)}); }
  texts asked(const std::string& id) { return ends(id, exit_kind::shutdown); }
  texts restart(const std::string& id) { return send(event::restart_child{id}); }
  texts terminate(const std::string& id) { return send(event::terminate_child{id}); }
  child_count count() const { return core.count(); }
  /// Ids in start order.
  texts list() const {
    texts ids;
    for (const auto& child : core.status(now).children) ids.push_back(child.id);
    return ids;
  }
  /// Starts the supervisor with these children, all ready.
  void boot(const texts& ids) {
    for (const auto& id : ids) add(id);
    send(event::start{});
    for (const auto& id : ids) ready(id);
    REQUIRE(core.phase() == supervisor_phase::running);
  }
};

inline supervisor_policy otp(std::size_t intensity = 1,
                             std::chrono::milliseconds period = std::chrono::seconds{5}) {
  supervisor_policy policy;
  policy.intensity = intensity;
  policy.period = period;
  policy.backoff.jitter = 0;
  return policy;
}

/// As a mount has it: one child, quarantine, starts may fail.
inline supervisor_policy mount(std::size_t intensity = 3,
                               std::chrono::milliseconds period = std::chrono::seconds{30}) {
  auto policy = otp(intensity, period);
  policy.when_spent = give_up::quarantine;
  policy.asked = asked_start::may_fail;
  return policy;
}

inline child_spec spec_of(const std::string& id, restart_type type = restart_type::permanent) {
  child_spec spec;
  spec.id = id;
  spec.restart = type;
  return spec;
}

/// A policy of OTP's defaults with another strategy, and restarts without delay.
inline supervisor_policy group(restart_strategy strategy, std::size_t intensity = 9) {
  auto policy = otp(intensity, std::chrono::seconds{60});
  policy.strategy = strategy;
  policy.backoff.first = {};
  policy.backoff.max = {};
  return policy;
}

}  // namespace bulkhead::testing
