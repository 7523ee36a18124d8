// SPDX-License-Identifier: Apache-2.0
#pragma once

// The messages of an instance and of the spawner: plain structs. Who sends what to whom is in
// protocols.hpp.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "actors/exit_status.hpp"
#include "actors/spawner.hpp"

namespace bulkhead {

struct spawn_request {
  process_spec process;
};

/// A process, or the reason why there is none.
struct spawn_answer {
  std::shared_ptr<spawned_process> process;
  std::string failure;
  bool permanent = false;  // trying again cannot help
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
};

struct instance_end {
  end_cause cause = end_cause::none;
  exit_status status;
  std::string why;
  bool during_start = false;    // it ended before it was ready
  bool permanent = false;       // starting it again cannot help
  std::uint64_t uptime_ms = 0;  // of the process
  std::uint64_t ready_ms = 0;   // that it was ready for; 0 when it never was
};

/// Ends the process in good order: `shutdown` call, after `grace` SIGTERM, after `term_wait`
/// SIGKILL to the group. With both 0: SIGKILL at once, also when a stop in good order is under way.
struct instance_stop {
  std::string unmount_uuid;  // when not empty, the mount is going away: the plugin is told so first
  std::chrono::milliseconds grace{2'000};
  std::chrono::milliseconds term_wait{1'000};
};

/// Ends the process at once: it lives, and its parent has found that it hangs.
struct instance_hung {
  std::string why;
};

/// Other rules for its health check, from now on.
struct instance_rules {
  std::chrono::milliseconds ping_every{0};  // 0: none
  std::chrono::milliseconds ping_wait{0};
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

struct instance_ended {
  std::uint64_t generation = 0;
  instance_end end;
};

}  // namespace bulkhead
