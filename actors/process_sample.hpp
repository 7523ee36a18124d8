// SPDX-License-Identifier: Apache-2.0
// What a process uses, as /proc and its control groups say it.
//
// Within one sample files are opened by the process's directory, which names this one process: once
// it has ended they answer ESRCH, also after its number went to another. Between samples nothing is
// held open; that it is still the same process is told by when it was started. What needs a right
// that the broker does not have is left out, and named with errno. As root all of it is readable.
// Without root, of a plugin in a user namespace that the broker made: all of it too, since the
// namespace is the broker's; of one without (profile no-userns): not `pss`. The count of
// descriptors is there from Linux 6.2 on.
//
// Costs, of one process: 20 to 40 us without `pss`, which has the kernel walk the page tables, so
// it is read when it is asked for only. Never on a reactor: see sampler_worker.hpp. The parsers are
// pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

struct process_sample {
  bool alive = false;               // false: it has ended, and the rest is 0
  std::uint64_t started_ticks = 0;  // since the machine began: tells it from a later one
  std::uint64_t rss_bytes = 0;
  std::uint64_t pss_bytes = 0;
  std::uint64_t cpu_ms = 0;
  std::uint32_t threads = 0;
  std::uint32_t descriptors = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t throttled_ms = 0;
  std::uint64_t oom_kills = 0;
  std::uint64_t tasks_refused = 0;
  std::vector<std::string> unread;  // "pss: EACCES"
};

/// Fills in what /proc/PID/stat says; false when the text makes no sense. The name of the program,
/// which the program chooses, may hold anything.
bool parse_process_stat(std::string_view text, std::uint64_t ticks_per_s, std::uint64_t page_bytes,
                        process_sample& to);

/// The number of a line "NAME: 123 kB", "NAME 123"; empty when there is none.
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view name);

/// The files that tell of the control groups of an instance. Nothing: it has none of its own, as
/// those that it shares with others tell of them too. Empty: it has, and they are mounted nowhere.
struct control_group_files {
  std::optional<std::string> cpu_stat;  // with "throttled_usec" (v2) or "throttled_time" in ns (v1)
  std::optional<std::string> memory_events;  // with "oom_kill"
  std::optional<std::string> pids_events;    // with "max"
};
control_group_files control_group_files_of(const std::string& proc_cgroup,
                                           const std::string& mountinfo);

/// Fills in what they say; what cannot be read is noted.
void read_control_groups(const control_group_files& files, process_sample& to);

/// One process that is sampled again and again.
class sampled_process {
 public:
  /// The process need not live any more.
  explicit sampled_process(pid_t pid);

  process_sample sample(bool with_pss);

 private:
  pid_t pid_;
  std::uint64_t started_ticks_ = 0;
  control_group_files groups_;
};

}  // namespace bulkhead
