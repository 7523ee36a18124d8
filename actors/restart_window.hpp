// SPDX-License-Identifier: Apache-2.0
// How many restarts are too many.
//
// A supervisor may restart `intensity` times within `period`; one more and it gives up. That is
// OTP's rule (MaxR, MaxT), and it is what keeps a hopeless child from burning the machine for ever:
// giving up is visible, looping is not.
//
// Where it differs from OTP: OTP compares whole seconds, inclusively, so that its window of one
// second is really one to two seconds long. Here a restart counts while it is strictly younger than
// `period`, in nanoseconds: of two restarts exactly `period` apart the first no longer counts.
//
// Memory is bounded: only the newest `intensity + 1` restarts can decide anything, so no more are
// kept. Pure: time is passed in.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <limits>

#include "actors/clock.hpp"

namespace bulkhead {

/// An intensity that is never spent. Such a window records nothing.
inline constexpr std::size_t restart_unlimited = std::numeric_limits<std::size_t>::max();

class restart_window {
 public:
  /// `intensity` restarts are allowed within `period` (above zero). With intensity 0 the first
  /// restart is one too many.
  restart_window(std::size_t intensity, std::chrono::nanoseconds period);

  /// Counts a restart at `now`. True when it is within the intensity, false when it is the one too
  /// many. Instants must not decrease from call to call.
  bool record(instant now);

  /// How many recorded restarts are younger than the period at `now`; at most `intensity() + 1`.
  std::size_t count(instant now) const;

  /// Other bounds for the restarts that were recorded. Of those only the newest `intensity() + 1`
  /// are known: after a higher intensity the window may be up to that much more lenient, once.
  void resize(std::size_t intensity, std::chrono::nanoseconds period);

  /// Forgets all restarts: an operator has acted.
  void clear();

  std::size_t intensity() const { return intensity_; }
  std::chrono::nanoseconds period() const { return period_; }

 private:
  std::size_t intensity_;
  std::chrono::nanoseconds period_;
  std::deque<instant> restarts_;  // oldest first
};

}  // namespace bulkhead
