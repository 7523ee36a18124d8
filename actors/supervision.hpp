// SPDX-License-Identifier: Apache-2.0
// The words of supervision: what a child is, what a supervisor is told to do about it, and what it
// says of both.
//
// They are OTP's where OTP has them. Where a rule of ours differs the comment says so. Plain
// values: no actor, no process, no time source. `supervisor_core` decides with them, the supervisor
// actor and the mount actor carry out what it decides.
//
// Room left on purpose, and where it goes: one_for_all and rest_for_one are a second reason to stop
// and start siblings, which the stop sequence of `supervisor_core` already orders; dynamic children
// are children with generated ids; a significant child is a field of `child_spec` and one more way
// to finish; stop levels are a finer `stop_order`.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/backoff.hpp"
#include "actors/clock.hpp"

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

struct child_spec {
  std::string id;  // unique within its supervisor; 1 to `child_id_bytes_max` bytes
  restart_type restart = restart_type::permanent;
  shutdown_rule shutdown;
  std::chrono::milliseconds start_max{0};  // a start that takes longer has failed; 0: no limit
  std::uint64_t first_generation = 1;  // the generation of the first instance; then one more each
};

inline constexpr std::size_t child_id_bytes_max = 512;

/// What happens when a child may not be restarted any more.
enum class give_up : std::uint8_t {
  escalate,    // the supervisor stops all children and ends: its own supervisor decides (OTP). One
               // window for all children.
  quarantine,  // that child stays down until `reset` or `restart`, the others go on. A window for
               // each child, so that one child's crashes cannot cost another its restarts.
};

/// What a start that somebody asked for (at boot, by add, start, restart) leads to when it fails. A
/// failing automatic restart is always counted and tried again.
enum class asked_start : std::uint8_t {
  must_succeed,  // OTP: at boot the supervisor ends; a child that was added is forgotten; one that
                 // was known stays stopped
  may_fail,      // it counts as a crash: backoff, window, and in the end `give_up`
};

enum class stop_order : std::uint8_t {
  reverse,   // the newest first, each after the one before has ended (OTP's static children)
  together,  // all at once, each within its own limit (OTP's dynamic children)
};

/// The most restarts within a period that can be allowed: a window keeps that many instants.
inline constexpr std::size_t restart_intensity_max = 10'000;
/// The longest duration in a spec or policy: ten thousand days, so that no sum of instants
/// overflows.
inline constexpr std::chrono::milliseconds supervision_duration_max = backoff_max_limit;

struct supervisor_policy {
  std::size_t intensity = 1;                // so many restarts are allowed ...
  std::chrono::milliseconds period{5'000};  // ... in this time; above 0
  backoff_policy backoff;
  give_up when_spent = give_up::escalate;
  asked_start asked = asked_start::must_succeed;
  stop_order order = stop_order::reverse;
  std::chrono::milliseconds kill_wait{
      5'000};  // from a kill to the end of waiting for it (a process stuck in the kernel)
};

/// Empty when sound, else one line that names the field and its value.
std::string check(const child_spec& spec);
std::string check(const supervisor_policy& policy);

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
};

struct supervisor_status {
  supervisor_phase phase = supervisor_phase::idle;
  std::string reason;  // why it stops or finished
  std::size_t intensity = 0;
  std::chrono::milliseconds period{0};
  std::size_t restarts_in_window = 0;    // 0 when windows are per child
  std::vector<child_status> children{};  // in start order
};

/// The words above in lower case, as in "one of: permanent, transient, temporary".
std::string_view to_string(restart_type value);
std::string_view to_string(exit_kind value);
std::string_view to_string(child_state value);
std::string_view to_string(supervisor_phase value);

/// "400 ms", "30 s", "2 min", "1.5 s": a duration for people.
std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace bulkhead
