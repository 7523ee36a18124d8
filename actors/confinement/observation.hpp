// SPDX-License-Identifier: Apache-2.0
// A confined process as it looks from outside, held against what was reported of it.
//
// The report is written by the launcher and by the copies of it that became the instance: code of
// ours, but inside. What /proc shows without any right over the process is looked at after the
// start, so that a wall that stands in the report and not in the kernel refuses the start.
//
// Not all of it can be seen, and what cannot is left as reported and never marked as observed:
//   seen here       the uid, groups, capabilities, no_new_privs, the mode of the filter, the limits
//                   of the process, its session, who may read it, the order of dying of memory,
//                   speculation where the kernel says it, and of the control groups that they are
//                   the instance's and what their files say
//   seen there      that its namespaces are others: by the launcher, before the program is there
//   never shown     Linux shows nobody else the domain of Landlock, what the filter lets through,
//                   MDWE, the signal of a parent's death, and the settings of a namespace, which
//                   are those of limits on namespaces and of executable memory files. Descriptors
//                   and the lifeline are to be seen with a right over the process alone
// Those the launcher takes from the answer of the call that raised them; tests/hostile tries them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "actors/confinement/confinement.hpp"
#include "actors/confinement/group_limits.hpp"

namespace bulkhead {

/// What was read. An empty text, or nothing: it could not be.
struct outside_view {
  std::string status;                        // /proc/PID/status
  std::string limits;                        // /proc/PID/limits
  std::string groups;                        // /proc/PID/cgroup
  group_limits in_groups{};                  // what the files of those groups say
  std::optional<std::uint32_t> files_owner;  // of /proc/PID/status
  std::optional<int> oom_score;
};

outside_view look_at(pid_t process);

/// Marks what the view confirms as observed. What is reported as standing and not seen to is from
/// then on reported as failed; answers all of these.
wall_set hold_against(const outside_view& view, const resource_limits& limits,
                      confinement_report& report);

}  // namespace bulkhead
