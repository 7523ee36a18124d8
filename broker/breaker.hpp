// SPDX-License-Identifier: Apache-2.0
#pragma once

// The circuit breaker of a mount: leaves a plugin in peace that lives but does not answer.
//
//     closed ──(failures_max in a row)──> open ──(its time is up)──> half open ──(probe well)──>
//     closed
//                                           ^                            │
//                                           └───(probe badly: longer)────┘
//
// It counts what supervision cannot see: calls that were not answered in time. A crash is no
// failure here, because the supervisor deals with it and the next instance may well be sound; for
// the same reason a new instance takes an open breaker to half open at once, without waiting for
// its time. Half open lets exactly one call through; all others are refused until that one has
// ended. Results of calls that were let through in an earlier state change nothing.
//
// An operator can hold it open, whatever its policy: then nothing but the operator closes it.
//
// Pure: time is passed in. Not for several threads.

#include <chrono>
#include <cstdint>

#include "actors/clock.hpp"
#include "broker/broker.hpp"

namespace bulkhead {

struct breaker_policy {
  std::uint32_t failures_max = 10;  // in a row, to open; 0: it stays closed for ever
  std::chrono::nanoseconds open{15'000'000'000};
  std::chrono::nanoseconds open_max{300'000'000'000};
  double growth = 2.0;  // what a failing probe multiplies the time by, up to open_max; at least 1
};

class breaker {
 public:
  enum class admission : std::uint8_t { pass, probe, refuse };

  explicit breaker(breaker_policy policy) : policy_(policy), open_for_(policy.open) {}

  /// Another policy, from the next failure on. Without failures_max it closes, unless it is held.
  void use(const breaker_policy& policy);

  /// May a call go through now? Who got `pass` or `probe` tells later how it ended: answered,
  /// unanswered, or dropped.
  admission admit(instant now);

  /// The plugin answered, with a result or with an error of its own.
  void answered(admission as);
  /// No answer in time.
  void unanswered(admission as, instant now);
  /// The call ended for a reason that says nothing of the plugin: its caller went away, its
  /// instance crashed.
  void dropped(admission as);
  /// A new instance serves.
  void renewed();

  /// By hand: no call goes through until close(), not even a probe.
  void hold_open();
  /// By hand: calls go through, and nothing is counted yet.
  void close();
  bool held() const { return held_; }

  breaker_state state(instant now) const;
  /// While open and not held: until the next probe. Zero otherwise.
  std::chrono::nanoseconds open_left(instant now) const;

 private:
  void trip(instant now);

  breaker_policy policy_;
  breaker_state state_ = breaker_state::closed;
  std::uint32_t failures_ = 0;
  std::chrono::nanoseconds open_for_;
  instant probe_at_{};
  bool probing_ = false;
  bool held_ = false;
};

}  // namespace bulkhead
