// SPDX-License-Identifier: Apache-2.0
#pragma once

// The messages of a mount's actor: plain structs. Who sends what to whom is in
// actors/protocols.hpp.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "actors/instance_messages.hpp"
#include "actors/supervision.hpp"
#include "broker/broker.hpp"
#include "broker/crash_report.hpp"
#include "broker/usage.hpp"

namespace bulkhead {

/// Answered when the first start has ended, well or badly.
struct mount_await_start {};
/// Ends the instance in good order and starts another.
struct mount_restart {};
/// Leaves quarantine: clears the window and starts.
struct mount_reset {};
/// Opens the breaker, until it is closed so too.
struct mount_hold_breaker {
  bool open = false;
};
struct mount_query {
  bool limited = false;  // not before the limits that were asked for are those of what runs, or not
};
/// Stops the instance in good order and leaves the mount stopped.
struct mount_halt {};
/// Starts a mount that is stopped: with what its name means now, or with what ran before.
struct mount_start {
  bool as_before = false;
};
/// What the mount runs may not run any more: its instance is stopped, and its next start, which is
/// tried at once, says why it is refused.
struct mount_condemn {
  std::string reason;
};
/// Replaces the instance, if there is one, as reload_request says.
struct mount_reload {
  reload_request how;
};

/// The entry's spec, or its path, is another than it was: goes by it from now on.
struct mount_changed {};

struct mount_signal {
  int number = 0;
};

/// Lets calls in flight finish for `drain_max`, stops the instance, ends the actor. The slot
/// refuses already.
struct mount_stop {
  std::chrono::milliseconds drain_max{0};
  std::string reason;
  bool forget = false;  // the mount is going away for good: the plugin is told
};

/// The instance uses more than a threshold of the mount allows.
struct mount_passed {
  std::uint64_t generation = 0;
  passed_threshold what;
};

/// INTERNAL: a timer of the supervision core is due.
struct mount_tick {
  std::uint64_t timer = 0;
};
/// INTERNAL: the generation may be used; start it.
struct mount_launch {
  std::uint64_t generation = 0;
};
/// INTERNAL: nothing is in flight any more, or waited for long enough.
struct mount_drained {};
/// INTERNAL: a call came to a mount that sleeps.
struct mount_wake {};
/// INTERNAL: judge the life of the instance of this generation.
struct mount_check {
  std::uint64_t generation = 0;
};
/// INTERNAL: judge the trial of a reload; `over` when its time is up.
struct mount_trial {
  std::uint64_t generation = 0;
  bool over = false;
};
/// INTERNAL: an instance that was replaced has no call in flight any more, or was waited for.
struct mount_retired {
  std::uint64_t generation = 0;
};
/// INTERNAL: the instance that must be alone has finished its calls: restart it.
struct mount_handover {
  std::uint64_t generation = 0;
  std::string reason;
};
/// INTERNAL: the mount's breaker changed.
struct mount_breaker {
  breaker_state state = breaker_state::closed;
  bool by_hand = false;
};

/// Everything there is to say of a mount at one moment.
struct mount_snapshot {
  mount_status status;
  std::uint64_t uptime_ms = 0;
  std::size_t restarts_in_window = 0;
  std::chrono::nanoseconds backoff_left{0};
  std::chrono::nanoseconds oldest_call{0};
  instance_stats instance;
  breaker_state breaker = breaker_state::closed;
  std::chrono::nanoseconds breaker_left{0};
  bool breaker_held = false;
  bool refused = false;  // answer to mount_restart and mount_start: it is quarantined
  bool asleep = false;   // stopped, and its next call starts it
  std::string reload;    // what a reload is at; empty when none is under way
  std::optional<crash_report> last_crash;
  std::optional<std::vector<option>> options_running;  // where the spec's are others
  std::shared_ptr<const confinement> confined;         // what runs was started with; null: nothing
  std::optional<std::vector<std::string>> addresses;   // where what runs may connect to, sorted
  std::shared_ptr<const confinement_report> report;    // of what runs, or of a start refused for it
  std::string start_remedy;                            // what to try then; may be empty
  std::string start_failure;  // answer to mount_await_start and mount_restart: why the start
                              // failed; empty when it did not
};

/// Answer to mount_signal.
struct mount_signalled {
  std::uint32_t pid = 0;  // 0: no process runs
  std::uint64_t generation = 0;
};

}  // namespace bulkhead
