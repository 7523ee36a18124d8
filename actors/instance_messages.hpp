// SPDX-License-Identifier: Apache-2.0
#pragma once

// The messages of an instance and of the spawner: plain structs. Who sends what to whom is in
// protocols.hpp.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "actors/exit_status.hpp"
#include "actors/spawner.hpp"
#include "schema/wire/wire_limits.hpp"

namespace bulkhead {

struct spawn_request {
  process_spec process;
};

/// A process, or the reason why there is none.
struct spawn_answer {
  std::shared_ptr<spawned_process> process;
  std::string failure;
  bool permanent = false;                              // trying again cannot help
  std::string remedy{};                                // what to try; may be empty
  std::shared_ptr<const confinement_report> report{};  // of a start refused for a missing wall
  std::optional<wall> missing{};                       // likewise
};

/// Other limits for a process that was started (spawner::set_limits).
struct limits_request {
  std::uint64_t ticket = 0;
  resource_limits limits;
};

struct limits_answer {
  int error_number = 0;  // 0: they count
};

/// Why an instance ended.
enum class end_cause : std::uint8_t {
  none,          // it has not
  process,       // the process ended by itself: see `status`
  start_failed,  // it never became ready: see `why`
  violation,     // it broke the protocol: see `why`
  link_closed,   // it closed its link and lived on
  stopped,       // we asked it to and it obeyed
  stop_killed,   // we asked it to and had to kill it
  unknown,       // the status could not be had in time
  unresponsive,  // it lived and did not answer: see `why`
  over_limit,    // it used more than its owner allows: see `why`
};

struct instance_end {
  end_cause cause = end_cause::none;
  exit_status status;
  std::string why;
  bool during_start = false;    // it ended before it was ready
  bool permanent = false;       // starting it again cannot help
  std::uint64_t uptime_ms = 0;  // of the process
  std::uint64_t ready_ms = 0;   // that it was ready for; 0 when it never was
  bool out_of_memory = false;   // the kernel killed it: its memory was used up
  std::string remedy{};         // what to try; may be empty
  // The limit that the violation was about, if it was one.
  std::optional<wire::limit_breach> breach{};
};

/// Ends the process in good order: `shutdown` call, after `grace` SIGTERM, after `term_wait`
/// SIGKILL to the group. With both 0: SIGKILL at once, also when a stop in good order is under way.
struct instance_stop {
  std::string unmount_uuid;  // when not empty, the mount is going away: the plugin is told so first
  std::chrono::milliseconds grace{2'000};
  std::chrono::milliseconds term_wait{1'000};
};

/// Ends the process at once: it lives, and its parent has found that it hangs, or uses too much.
struct instance_hung {
  std::string why;
  end_cause cause = end_cause::unresponsive;
  bool permanent = false;  // starting it again cannot help
};

/// Other rules for its health check, from now on; and, when they are set, other limits.
struct instance_rules {
  std::chrono::milliseconds ping_every{0};  // 0: none
  std::chrono::milliseconds ping_wait{0};
  std::optional<resource_limits> limits{};
};

struct instance_signal {
  int number = 0;
};

struct instance_sample {};

struct instance_stats {
  std::uint32_t pid = 0;  // 0 when no process runs
  std::uint64_t uptime_ms = 0;
  std::uint64_t bytes_in = 0;  // from the plugin
  std::uint64_t bytes_out = 0;
};

struct instance_ready {
  std::uint64_t generation = 0;
  std::uint32_t pid = 0;
};

/// Other limits were asked for by instance_rules.
struct instance_limited {
  std::uint64_t generation = 0;
  int error_number = 0;  // 0: they count
};

struct instance_ended {
  std::uint64_t generation = 0;
  instance_end end;
};

}  // namespace bulkhead
