// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an instance used at one moment, and what its mount's thresholds say of that. Pure.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/backoff.hpp"
#include "actors/clock.hpp"
#include "actors/process_sample.hpp"
#include "broker/confinement_words.hpp"

namespace bulkhead {

/// So many samples in a row have to be above a threshold before it acts: a peak is none.
inline constexpr std::size_t threshold_samples = 2;

struct usage_sample {
  std::int64_t unix_ms = 0;
  std::int64_t monotonic_ms = 0;
  std::uint64_t generation = 0;
  process_sample process;
  double cpu_percent = 0;  // of one core, since the sample before
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t calls = 0;
};

/// `now` with what the one before it, of the same instance, says beside it. Null: there is none.
void compare_with(usage_sample& now, const usage_sample* before);

enum class threshold_act : std::uint8_t { warn, restart, quarantine };

struct passed_threshold {
  std::string name;  // "rss-restart"
  threshold_act act = threshold_act::warn;
  std::string reason;  // "uses 310 MiB of memory, above 300 MiB (rss-restart)"
};

/// "rss-warn", "rss-restart", ...: all there are.
const std::vector<std::string>& threshold_names();

/// Empty, or what is wrong with them.
std::string threshold_problem(const std::vector<named_number>& thresholds);

/// The gravest threshold above which the newest `threshold_samples` are, all of one instance.
std::optional<passed_threshold> judge_usage(const std::vector<named_number>& thresholds,
                                            const std::deque<usage_sample>& samples);

/// A replacement that does not help is not tried for ever: one that is above a threshold again
/// within `replacement_helps` of its start is replaced after a minute, then two, at most an hour.
inline constexpr std::chrono::milliseconds replacement_helps{60'000};
inline constexpr std::chrono::milliseconds replacement_wait_first{60'000};
inline constexpr std::chrono::milliseconds replacement_wait_max{3'600'000};

/// When a mount's instance may be replaced for what it uses.
class replacement_pace {
 public:
  /// An instance that has been ready for `run` is above a threshold for the first time.
  void above(std::chrono::nanoseconds run);
  bool is_due(instant now) const { return now >= due_; }
  /// How long until then; 0 when it is due.
  std::chrono::nanoseconds wait(instant now) const;
  void replaced(instant now, random_source& random);

 private:
  backoff waits_{{.first = replacement_wait_first,
                  .max = replacement_wait_max,
                  .stable = replacement_helps,
                  .jitter = 0,
                  .first_is_immediate = false}};
  instant due_{};
};

/// "300 MiB", "1.5 GiB", "812 B".
std::string bytes_text(std::uint64_t bytes);

}  // namespace bulkhead
