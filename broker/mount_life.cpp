// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_life.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "actors/supervision.hpp"

namespace bulkhead {
namespace {

double failure_rate(const trial_tally& of) {
  return of.calls == 0 ? 0.0 : static_cast<double>(of.failures) / static_cast<double>(of.calls);
}

}  // namespace

life_verdict judge_life(const life_rules& rules, const life_facts& facts, instant now) {
  using kind = life_verdict::kind;
  life_verdict verdict;
  const auto look_again = [&verdict](instant at) {
    verdict.next = verdict.next ? std::min(*verdict.next, at) : at;
  };
  if (rules.call_age_max.count() > 0) {
    const auto due = facts.oldest_call.value_or(now) + rules.call_age_max;
    if (due <= now)
      return {kind::replace_hung,
              fmt::format("had a call in flight for {} (call_age_max)",
                          duration_text(now - *facts.oldest_call)),
              {}};
    look_again(due);
  }
  if (rules.idle_stop.count() > 0) {
    const auto due = (facts.oldest_call ? now : facts.idle_since) + rules.idle_stop;
    if (due <= now)
      return {kind::stop_idle, fmt::format("idle for {}", duration_text(rules.idle_stop)), {}};
    look_again(due);
  }
  if (rules.lifetime_max.count() > 0) {
    const auto due = facts.ready_since + rules.lifetime_max;
    if (due <= now)
      return {kind::replace,
              fmt::format("served for {} (lifetime_max)", duration_text(rules.lifetime_max)),
              {}};
    look_again(due);
  }
  if (rules.calls_max > 0 && facts.calls >= rules.calls_max)
    return {kind::replace, fmt::format("served {} calls (calls_max)", facts.calls), {}};
  return verdict;
}

bool trial_failed(const trial_tally& fresh, const trial_tally& old, bool at_end) {
  if (!at_end && fresh.calls < trial_calls_min) return false;
  return failure_rate(fresh) > failure_rate(old) + trial_margin;
}

}  // namespace bulkhead
