// SPDX-License-Identifier: Apache-2.0
#include "actors/backoff.hpp"

#include <fmt/format.h>

#include <cmath>

namespace bulkhead {

using std::chrono::nanoseconds;

std::string check(const backoff_policy& policy) {
  if (policy.first.count() < 0) {
    return fmt::format("backoff first is {} ms; it must not be negative", policy.first.count());
  }
  if (policy.max < policy.first) {
    return fmt::format("backoff max is {} ms, below first ({} ms)", policy.max.count(),
                       policy.first.count());
  }
  if (policy.max > backoff_max_limit) {
    return fmt::format("backoff max is {} ms; at most {} ms", policy.max.count(),
                       backoff_max_limit.count());
  }
  if (policy.stable.count() < 0) {
    return fmt::format("backoff stable is {} ms; it must not be negative", policy.stable.count());
  }
  if (!(policy.factor >= 1.0) || !std::isfinite(policy.factor)) {
    return fmt::format("backoff factor is {}; it must be 1 or more", policy.factor);
  }
  if (!(policy.jitter >= 0.0 && policy.jitter <= 1.0)) {
    return fmt::format("backoff jitter is {}; it must be within 0 and 1", policy.jitter);
  }
  return {};
}

nanoseconds backoff_delay(std::uint64_t failures, nanoseconds first, nanoseconds max,
                          double factor) {
  if (first >= max) return max;
  if (failures == 0 || first.count() == 0) return first;
  // Infinity when the power overflows, which compares as it should.
  const double grown =
      static_cast<double>(first.count()) * std::pow(factor, static_cast<double>(failures));
  if (!(grown < static_cast<double>(max.count()))) return max;
  return nanoseconds{static_cast<nanoseconds::rep>(grown)};
}

nanoseconds add_jitter(nanoseconds delay, double jitter, double unit) {
  const double extra = static_cast<double>(delay.count()) * jitter * unit;
  const double room = static_cast<double>((nanoseconds::max() - delay).count());
  if (!(extra < room)) return nanoseconds::max();
  return delay + nanoseconds{static_cast<nanoseconds::rep>(extra)};
}

nanoseconds backoff::next(random_source& random) {
  const std::uint64_t failures = failures_++;
  if (policy_.first_is_immediate && failures == 0) return nanoseconds::zero();
  const std::uint64_t step = policy_.first_is_immediate ? failures - 1 : failures;
  const nanoseconds delay = backoff_delay(step, policy_.first, policy_.max, policy_.factor);
  return add_jitter(delay, policy_.jitter, random.unit());
}

void backoff::ran(nanoseconds good_run) {
  if (good_run >= policy_.stable) reset();
}

}  // namespace bulkhead
