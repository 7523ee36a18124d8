// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next start.
//
// The first restart is immediate: a single crash should cost milliseconds. Then the delay is
// `first`, and grows by `factor` with every further failure up to `max`. Jitter is added after the
// cap, so that children which all sit at the cap still spread: a delay d becomes one in [d, d * (1
// + jitter)). A child that was good for `stable` starts again at the beginning.
//
// The shape is Akka's (jitter after the cap, reset by a good run) and Kubernetes's (a first restart
// without delay); the figures are ours, chosen for processes that start in milliseconds: 100 ms,
// doubling, at most 30 s, 20 % jitter, good after 60 s.
//
// It never refuses: giving up is the restart window's business. Both apply to every restart.
// Pure; arithmetic saturates instead of overflowing, for any number of failures.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "actors/random.hpp"

namespace bulkhead {

struct backoff_policy {
  std::chrono::milliseconds first{100};      // the delay after the immediate restart
  std::chrono::milliseconds max{30'000};     // the cap, before jitter; at most `backoff_max_limit`
  std::chrono::milliseconds stable{60'000};  // a run this long resets the sequence
  double factor = 2.0;                       // growth by failure; at least 1
  double jitter = 0.2;                       // in [0, 1]
  bool first_is_immediate = true;            // false: the first restart waits `first` too
};

/// The longest `max` that a policy may ask for: ten thousand days.
inline constexpr std::chrono::milliseconds backoff_max_limit{std::chrono::hours{240'000}};

/// Empty when `policy` is sound, else one line that names the field and its value.
std::string check(const backoff_policy& policy);

/// min(max, first * factor^failures), exact where the result is below 2^53 ns (104 days) or is one
/// of the bounds.
std::chrono::nanoseconds backoff_delay(std::uint64_t failures, std::chrono::nanoseconds first,
                                       std::chrono::nanoseconds max, double factor);

/// `delay` and up to `jitter` of it more: a value in [delay, delay * (1 + jitter)). `unit` in [0,
/// 1).
std::chrono::nanoseconds add_jitter(std::chrono::nanoseconds delay, double jitter, double unit);

/// The sequence of delays of one child. Copyable.
class backoff {
 public:
  explicit backoff(backoff_policy policy) : policy_{policy} {}

  /// The delay before the next start, and one failure more.
  std::chrono::nanoseconds next(random_source& random);

  /// The child was ready for `good_run` before it ended: resets the sequence when that is `stable`
  /// or longer.
  void ran(std::chrono::nanoseconds good_run);

  void reset() { failures_ = 0; }

  /// Another policy, from the next delay on; failures stay counted.
  void use(const backoff_policy& policy) { policy_ = policy; }

  /// Failures since the last reset.
  std::uint64_t failures() const { return failures_; }

 private:
  backoff_policy policy_;
  std::uint64_t failures_ = 0;
};

}  // namespace bulkhead
