// SPDX-License-Identifier: Apache-2.0
// Time as a parameter.
//
// Supervision decides by durations alone: how often something ended within a period, how long it
// ran, when it is to be started again. So the only clock here is the monotonic one, in nanoseconds.
// A jump of the wall clock has no effect on any decision. CLOCK_MONOTONIC stands still while the
// machine is suspended: a suspend of ten minutes does not age the restarts in a window and does not
// shorten a backoff.
//
// The pure parts (restart_window, backoff, supervisor_core) take the instant as an argument. What
// has to ask for it takes a `monotonic_clock&`; tests pass a `manual_clock`, which moves only when
// told. `instant` is the time point of CAF's actor clock too, so that values pass between both
// without conversion.
#pragma once

#include <chrono>

namespace bulkhead {

using instant = std::chrono::steady_clock::time_point;

/// A source of monotonic time. `now` never goes backwards and may be called on any thread.
class monotonic_clock {
 public:
  monotonic_clock() = default;
  monotonic_clock(const monotonic_clock&) = delete;
  monotonic_clock& operator=(const monotonic_clock&) = delete;
  virtual ~monotonic_clock() = default;

  virtual instant now() const = 0;
};

/// The clock of the machine.
class real_clock final : public monotonic_clock {
 public:
  instant now() const override { return std::chrono::steady_clock::now(); }
};

/// A clock for tests: stands still until it is moved. For one thread.
class manual_clock final : public monotonic_clock {
 public:
  explicit manual_clock(instant start = instant{}) : now_{start} {}

  instant now() const override { return now_; }

  /// Moves on by `step`, which must not be negative.
  void advance(std::chrono::nanoseconds step) { now_ += step; }

 private:
  instant now_;
};

}  // namespace bulkhead
