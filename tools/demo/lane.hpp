// SPDX-License-Identifier: Apache-2.0
#pragma once

// One caller under steady load: a call every interval, whatever became of the ones before.
//
// The load is open-loop: a call that waits does not hold back the next, so a stall shows as many
// slow calls and not as few. Calls in flight are limited all the same (in_flight_max); a tick at
// the limit makes no call and is counted, which the demonstration reports. Times are of the
// monotonic clock, read before a call and after its answer, and so include this process's own turn.
// One thread, that of the event loop.

#include <kj/async.h>
#include <kj/time.h>
#include <kj/timer.h>

#include <cstdint>
#include <functional>
#include <string>

#include "schema/wire/error_text.hpp"

namespace bulkhead::demo {

/// What became of the calls of a lane.
struct lane_report {
  std::uint64_t calls = 0;
  std::uint64_t served = 0;
  std::uint64_t crashed = 0;   // ended as plugin_crashed
  std::uint64_t failed = 0;    // ended in any other error
  std::uint64_t withheld = 0;  // ticks at the limit of calls in flight
  std::uint64_t slowest_us = 0;
  wire::error_info first_crash;    // what the first caller was told
  wire::error_info first_failure;  // of any other kind
};

class lane final : private kj::TaskSet::ErrorHandler {
 public:
  /// Makes call `number`, ascending from 0. Fails as the call does.
  using call = std::function<kj::Promise<void>(std::uint64_t number)>;

  static constexpr std::uint64_t in_flight_max = 512;

  lane(kj::Timer& timer, kj::Duration interval, call make);

  /// Begins; calls are made until stop().
  void start();
  /// Makes no more calls. Done when those in flight have ended.
  kj::Promise<void> stop();
  /// Makes `count` calls at once, on top of the steady ones.
  void burst(std::uint64_t count);
  /// Makes a call by `make` at once, and another one as long as they end as plugin_crashed; they
  /// are counted with the others. Done when one is served; fails as it fails.
  kj::Promise<void> until_served(call make);

  const lane_report& report() const { return report_; }

 private:
  void taskFailed(kj::Exception&& exception) override;
  kj::Promise<void> tick();
  /// One call, counted. Fails as the call does.
  kj::Promise<void> issue(const call& make);

  kj::Timer& timer_;
  kj::Duration interval_;
  call make_;
  kj::TimePoint next_;
  std::uint64_t in_flight_ = 0;
  bool stopped_ = false;
  lane_report report_;
  kj::TaskSet tasks_;
};

}  // namespace bulkhead::demo
