// SPDX-License-Identifier: Apache-2.0
// The words of supervision: what a child is, what a supervisor is told to do about it, and what it
// says of both.
//
// They are OTP's where OTP has them. Where a rule of ours differs the comment says so. Plain
// values: no actor, no process, no time source. `supervisor_core` decides with them, the supervisor
// actor and the mount actor carry out what it decides.
//
// Checks (supervision_checks.cpp) refuse what cannot be meant, by the name of the field and its
// value, before anything is started.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/backoff.hpp"
#include "actors/clock.hpp"
#include "actors/restart_window.hpp"

namespace bulkhead {

/// When a child that ended by itself is started again.
enum class restart_type : std::uint8_t {
  permanent,  // always
  transient,  // only after an abnormal end: `exit_kind::killed` or `abnormal`
  temporary,  // never; when it ends it is forgotten
};

/// How a child ended.
enum class exit_kind : std::uint8_t {
  normal,    // by itself, with success
  shutdown,  // because it was asked to
  killed,    // by SIGKILL, or an actor by exit reason `kill`
  abnormal,  // anything else
};

/// How a child is stopped: asked and then killed, killed at once, or asked and waited for.
struct shutdown_rule {
  enum class kind : std::uint8_t { timeout, brutal, infinity };

  kind how = kind::timeout;
  std::chrono::milliseconds timeout{5'000};  // with `timeout` alone; 0 is allowed

  static shutdown_rule within(std::chrono::milliseconds limit) { return {kind::timeout, limit}; }
  static shutdown_rule brutal() { return {kind::brutal, {}}; }
  static shutdown_rule infinity() { return {kind::infinity, {}}; }

  friend bool operator==(const shutdown_rule&, const shutdown_rule&) = default;
};

enum class child_type : std::uint8_t { worker, supervisor };

struct child_spec {
  std::string id;  // unique within its supervisor; 1 to `child_id_bytes_max` bytes
  restart_type restart = restart_type::permanent;
  shutdown_rule shutdown{};
  std::chrono::milliseconds start_max{0};  // a start that takes longer has failed; 0: no limit
  std::uint64_t first_generation = 1;  // the generation of the first instance; then one more each
  child_type type = child_type::worker;
  bool significant = false;  // its end may end the supervisor (`auto_shutdown`); never permanent
  bool autostart = true;     // false: known, and started by request alone
  std::vector<std::string> after{};  // siblings that start before it and stop after it; with
                                     // `stop_order::levels` alone. It orders, it does not require:
                                     // it starts also when one of them is down for good

  friend bool operator==(const child_spec&, const child_spec&) = default;
};

/// The spec of a child that is a supervisor itself, with OTP's defaults: it is waited for when it
/// stops, because its children have limits of their own.
child_spec supervisor_spec(std::string id);

inline constexpr std::size_t child_id_bytes_max = 512;
/// Siblings that one child may name in `after`.
inline constexpr std::size_t child_after_max = 64;
/// The longest reason that is kept; a longer one is cut.
inline constexpr std::size_t reason_bytes_max = 4'096;

/// Whom the end of a child concerns.
enum class restart_strategy : std::uint8_t {
  one_for_one,   // it alone is started again
  one_for_all,   // all children are stopped and started again
  rest_for_one,  // it, and the children that were started after it (with `stop_order::levels`: that
                 // depend on it, directly or not)
  dynamic,       // OTP's simple_one_for_one: any number of children of one template
};

/// Whether the supervisor ends, with its children, when significant children have ended by
/// themselves and are not restarted. A child that was stopped, by request or with its group, does
/// not count.
enum class auto_shutdown : std::uint8_t {
  never,
  any_significant,  // when the first of them has ended
  all_significant,  // when the last of them has ended
};

/// What happens when a child may not be restarted any more.
enum class give_up : std::uint8_t {
  escalate,    // the supervisor stops all children and ends: its own supervisor decides (OTP). One
               // window for all children.
  quarantine,  // that child stays down until `reset` or `restart`, the others go on. A window for
               // each child, so that one child's crashes cannot cost another its restarts. With
               // one_for_all and rest_for_one, whose children share their fate, one window for all,
               // and those that would have been restarted are quarantined together.
};

/// What a start that somebody asked for (at boot, by add, start, restart) leads to when it fails. A
/// failing automatic restart is always counted and tried again.
enum class asked_start : std::uint8_t {
  must_succeed,  // OTP: at boot the supervisor ends; a child that was added is forgotten; one that
                 // was known stays stopped
  may_fail,      // it counts as a crash: backoff, window, and in the end `give_up`
};

/// In which order children stop, and start. Dynamic children always stop together.
enum class stop_order : std::uint8_t {
  reverse,   // the newest first, each after the one before has ended (OTP's static children)
  together,  // all at once, each within its own limit (OTP's dynamic children)
  levels,  // by `child_spec::after`: who depends on nobody is of level 0, everybody else one above
           // the highest that he names. A level stops at once, the highest first; a level starts
           // at once, the lowest first, when the one below is ready or down for good
};

/// The most restarts within a period that can be allowed, apart from `restart_unlimited`: a window
/// keeps that many instants.
inline constexpr std::size_t restart_intensity_max = 10'000;
/// The longest duration in a spec or policy: ten thousand days, so that no sum of instants
/// overflows.
inline constexpr std::chrono::milliseconds supervision_duration_max = backoff_max_limit;

struct supervisor_policy {
  std::size_t intensity = 1;                // so many restarts are allowed (0: none) ...
  std::chrono::milliseconds period{5'000};  // ... in this time; above 0
  backoff_policy backoff;
  give_up when_spent = give_up::escalate;
  asked_start asked = asked_start::must_succeed;
  stop_order order = stop_order::reverse;
  std::chrono::milliseconds kill_wait{
      5'000};  // from a kill to the end of waiting for it (a process stuck in the kernel)
  restart_strategy strategy = restart_strategy::one_for_one;
  auto_shutdown when_significant_ends = auto_shutdown::never;
};

/// Empty when sound, else one line that names the field and its value.
std::string check(const child_spec& spec);
std::string check(const supervisor_policy& policy);
/// The policy, one spec, and the two together: what one of them asks for and the other forbids.
std::string check(const supervisor_policy& policy, const child_spec& spec);
/// All of it: each spec, ids, the template of a dynamic supervisor, names and cycles in `after`.
std::string check_all(const supervisor_policy& policy, const std::vector<child_spec>& specs);

enum class child_state : std::uint8_t {
  stopped,      // nothing runs and nothing will start by itself
  starting,     // started, not yet ready
  ready,        // in service
  stopping,     // asked to end, or killed, and not yet gone
  backoff,      // the next start is timed
  quarantined,  // given up
};

enum class supervisor_phase : std::uint8_t {
  idle,      // not yet told to start
  booting,   // its first children start, one after another
  running,   //
  stopping,  // its children end
  finished,  //
};

/// OTP's count_children.
struct child_count {
  std::size_t specs = 0;        // children that are known; of a dynamic supervisor 1, the template
  std::size_t active = 0;       // of which an instance lives
  std::size_t supervisors = 0;  // children by type, running or not
  std::size_t workers = 0;

  friend bool operator==(const child_count&, const child_count&) = default;
};

struct child_status {
  std::string id;
  restart_type restart = restart_type::permanent;
  child_state state = child_state::stopped;
  std::string reason;            // why it is in this state, one line
  instant since{};               // when it entered it
  std::uint64_t generation = 0;  // of the newest instance; 0 before the first
  std::uint64_t restarts = 0;    // automatic and by operators, ever
  std::size_t restarts_in_window =
      0;  // of its own window, or of the supervisor's when that is shared
  std::chrono::nanoseconds backoff_left{0};  // 0 outside `backoff`
  std::optional<instant> ready_since{};      // while `ready`
  child_type type = child_type::worker;
  bool significant = false;
};

struct supervisor_status {
  supervisor_phase phase = supervisor_phase::idle;
  std::string reason;  // why it stops or finished
  std::size_t intensity = 0;
  std::chrono::milliseconds period{0};
  std::size_t restarts_in_window = 0;    // 0 when windows are per child
  std::vector<child_status> children{};  // in start order
  restart_strategy strategy = restart_strategy::one_for_one;
};

/// The words above in lower case, as in "one of: permanent, transient, temporary".
std::string_view to_string(restart_type value);
std::string_view to_string(restart_strategy value);
std::string_view to_string(auto_shutdown value);
std::string_view to_string(stop_order value);
std::string_view to_string(child_type value);
std::string_view to_string(exit_kind value);
std::string_view to_string(child_state value);
std::string_view to_string(supervisor_phase value);

/// "5 s", "brutal", "infinity".
std::string to_text(const shutdown_rule& rule);

/// `reason` within `reason_bytes_max` bytes, cut between characters of UTF-8 and marked when cut.
std::string bounded_reason(std::string reason);

/// "400 ms", "30 s", "2 min", "1.5 s": a duration for people.
std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace bulkhead
