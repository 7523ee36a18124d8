// SPDX-License-Identifier: Apache-2.0
// A confined process as it looks from outside, held against what was reported of it.
//
// The report is written by the launcher and by the copies of it that became the instance: code of
// ours, but inside. What /proc shows without any right over the process is looked at after the
// start, so that a wall that stands in the report and not in the kernel refuses the start. What
// cannot be seen (Landlock, the descriptors) is left as reported.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "actors/confinement/confinement.hpp"

namespace bulkhead {

/// What was read. An empty text, or nothing: it could not be.
struct outside_view {
  std::string status;                        // /proc/PID/status
  std::string limits;                        // /proc/PID/limits
  std::string groups;                        // /proc/PID/cgroup
  std::optional<std::uint32_t> files_owner;  // of /proc/PID/status
  std::optional<int> oom_score;
};

outside_view look_at(pid_t process);

/// Marks what the view confirms as observed. Answers the first wall that is reported as standing
/// and is not seen to.
std::optional<wall> hold_against(const outside_view& view, const resource_limits& limits,
                                 confinement_report& report);

}  // namespace bulkhead
