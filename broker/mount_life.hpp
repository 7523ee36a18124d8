// SPDX-License-Identifier: Apache-2.0
#pragma once

// When a ready instance is stopped or replaced although it did not crash: it is idle, it hangs, it
// is old, it has served enough. And how a trial of a new instance is judged. Pure.

#include <cstdint>
#include <optional>
#include <string>

#include "actors/clock.hpp"
#include "broker/broker.hpp"

namespace bulkhead {

struct life_facts {
  instant ready_since{};
  std::uint64_t calls = 0;               // since it was ready
  instant idle_since{};                  // since when no call is in flight; without meaning while
                                         // one is
  std::optional<instant> oldest_call{};  // when the oldest call in flight began
};

struct life_verdict {
  enum class kind : std::uint8_t {
    keep,
    stop_idle,     // stop it; the next call starts another
    replace,       // as by a reload
    replace_hung,  // kill it: it does not answer
  };
  kind what = kind::keep;
  std::string reason;             // one line; empty with `keep`
  std::optional<instant> next{};  // with `keep`: look again then; empty: no rule is set
};

/// What is to become of an instance at `now`. A hung one comes first, then an idle one, then age
/// and count.
life_verdict judge_life(const life_rules& rules, const life_facts& facts, instant now);

/// Calls of one instance while two share a mount's calls.
struct trial_tally {
  std::uint64_t calls = 0;     // that have ended
  std::uint64_t failures = 0;  // of those: no answer, or an error that the plugin's contract does
                               // not name
};

/// Below this many calls a trial is not judged before its time is up.
inline constexpr std::uint64_t trial_calls_min = 20;
/// How much worse the new one may do, in failures per call.
inline constexpr double trial_margin = 0.01;

/// The new instance fails more often than the old one, beyond the margin. `at_end`: the time is up,
/// any number of calls is enough.
bool trial_failed(const trial_tally& fresh, const trial_tally& old, bool at_end);

}  // namespace bulkhead
