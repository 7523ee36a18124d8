// SPDX-License-Identifier: Apache-2.0
// What cannot be meant, refused by the name of the field and its value.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "actors/dependency_levels.hpp"
#include "actors/supervision.hpp"

namespace bulkhead {
namespace {

bool in_range(std::chrono::milliseconds duration) {
  return duration.count() >= 0 && duration <= supervision_duration_max;
}

std::string range_text() {
  return fmt::format("it must be within 0 and {}", supervision_duration_max.count());
}

// An enumerator that was made of a number, say of a message, may be none.
template <class Enum>
std::string check_one_of(std::string_view field, Enum value, Enum last) {
  const auto number = static_cast<unsigned>(value);
  if (number <= static_cast<unsigned>(last)) return {};
  return fmt::format("{} is {}; it must be one of 0 to {}", field, number,
                     static_cast<unsigned>(last));
}

std::string check_choices(const child_spec& spec) {
  const auto name = [&](std::string_view field) {
    return fmt::format("{} of child {}", field, spec.id);
  };
  auto wrong = check_one_of(name("restart"), spec.restart, restart_type::temporary);
  if (wrong.empty()) wrong = check_one_of(name("type"), spec.type, child_type::supervisor);
  if (wrong.empty()) {
    wrong = check_one_of(name("shutdown"), spec.shutdown.how, shutdown_rule::kind::infinity);
  }
  return wrong;
}

std::string check_after(const child_spec& spec) {
  if (spec.after.size() > child_after_max) {
    return fmt::format("after of child {} names {} siblings; at most {}", spec.id,
                       spec.after.size(), child_after_max);
  }
  if (std::find(spec.after.begin(), spec.after.end(), spec.id) != spec.after.end()) {
    return fmt::format("after of child {} names the child itself", spec.id);
  }
  return {};
}

std::string check_choices(const supervisor_policy& policy) {
  auto wrong = check_one_of("strategy", policy.strategy, restart_strategy::dynamic);
  if (wrong.empty()) wrong = check_one_of("order", policy.order, stop_order::levels);
  if (wrong.empty()) {
    wrong = check_one_of("when_spent", policy.when_spent, give_up::quarantine);
  }
  if (wrong.empty()) wrong = check_one_of("asked", policy.asked, asked_start::may_fail);
  if (wrong.empty()) {
    wrong = check_one_of("when_significant_ends", policy.when_significant_ends,
                         auto_shutdown::all_significant);
  }
  return wrong;
}

/// Every spec by itself, and that no id is there twice.
std::string check_each(const supervisor_policy& policy, const std::vector<child_spec>& specs) {
  std::unordered_set<std::string_view> ids;
  for (const auto& spec : specs) {
    if (auto wrong = check(policy, spec); !wrong.empty()) return wrong;
    if (!ids.insert(spec.id).second) return fmt::format("child {} is there twice", spec.id);
  }
  for (const auto& spec : specs) {
    for (const auto& name : spec.after) {
      if (ids.count(name) == 0) {
        return fmt::format("after of child {} names {}, which is not there", spec.id, name);
      }
    }
  }
  return {};
}

}  // namespace

std::string check(const child_spec& spec) {
  if (spec.id.empty()) return "the child's id is empty";
  if (spec.id.size() > child_id_bytes_max) {
    return fmt::format("the child's id has {} bytes; at most {}", spec.id.size(),
                       child_id_bytes_max);
  }
  if (auto wrong = check_choices(spec); !wrong.empty()) return wrong;
  if (!in_range(spec.shutdown.timeout)) {
    return fmt::format("shutdown of child {} is {} ms; {}", spec.id, spec.shutdown.timeout.count(),
                       range_text());
  }
  if (!in_range(spec.start_max)) {
    return fmt::format("start_max of child {} is {} ms; {}", spec.id, spec.start_max.count(),
                       range_text());
  }
  if (spec.first_generation == 0) {
    return fmt::format("first_generation of child {} is 0; generations start at 1", spec.id);
  }
  if (spec.significant && spec.restart == restart_type::permanent) {
    return fmt::format(
        "child {} is significant and restart is permanent; what is always started again never ends",
        spec.id);
  }
  return check_after(spec);
}

std::string check(const supervisor_policy& policy) {
  if (auto wrong = check_choices(policy); !wrong.empty()) return wrong;
  if (policy.intensity > restart_intensity_max && policy.intensity != restart_unlimited) {
    return fmt::format("intensity is {}; at most {}", policy.intensity, restart_intensity_max);
  }
  if (policy.period.count() <= 0 || !in_range(policy.period)) {
    return fmt::format("period is {} ms; it must be within 1 and {}", policy.period.count(),
                       supervision_duration_max.count());
  }
  if (!in_range(policy.kill_wait)) {
    return fmt::format("kill_wait is {} ms; {}", policy.kill_wait.count(), range_text());
  }
  if (policy.strategy == restart_strategy::dynamic && policy.order == stop_order::levels) {
    return "strategy is dynamic and order is levels; children of one template have no order";
  }
  return check(policy.backoff);
}

std::string check(const supervisor_policy& policy, const child_spec& spec) {
  if (auto wrong = check(policy); !wrong.empty()) return wrong;
  if (auto wrong = check(spec); !wrong.empty()) return wrong;
  if (spec.significant && policy.when_significant_ends == auto_shutdown::never) {
    return fmt::format("child {} is significant and when_significant_ends is never", spec.id);
  }
  if (!spec.after.empty() && policy.order != stop_order::levels) {
    return fmt::format("after of child {} names {} and order is {}; only levels knows of it",
                       spec.id, spec.after.front(), to_string(policy.order));
  }
  return {};
}

std::string check_all(const supervisor_policy& policy, const std::vector<child_spec>& specs) {
  if (auto wrong = check(policy); !wrong.empty()) return wrong;
  if (policy.strategy == restart_strategy::dynamic && specs.size() != 1) {
    return fmt::format("strategy is dynamic and there are {} children; it has one, the template",
                       specs.size());
  }
  if (auto wrong = check_each(policy, specs); !wrong.empty()) return wrong;
  const auto order = levels_of(specs);
  if (order.cycle.empty()) return {};
  std::string text = "children wait for each other: " + order.cycle.front();
  for (std::size_t i = 1; i < order.cycle.size(); ++i) text += " after " + order.cycle[i];
  return text + " after " + order.cycle.front();
}

}  // namespace bulkhead
