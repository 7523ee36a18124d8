// SPDX-License-Identifier: Apache-2.0
// What the files of an instance's control groups say of its limits, of version 1 or 2. Everybody
// may read them where the trees are mounted as they commonly are, so a broker without root can.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

/// Of a file that says that there is no limit.
inline constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// Nothing: it could not be read, or is not there in this version.
struct group_limits {
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> memory_and_swap_bytes;
  std::optional<std::uint64_t> tasks;
  std::optional<std::uint64_t> cpu_quota_us;
  std::optional<std::uint64_t> cpu_period_us;
  std::optional<std::uint64_t> cpu_weight;  // version 2: 100 is common
  std::optional<std::uint64_t> cpu_shares;  // version 1: 1024 is
  std::optional<std::uint64_t> io_weight;   // 100 is common
};

/// ".../bulkhead-PID.RANDOM-N", as the launcher names the group of an instance; the broker's own
/// may begin alike.
bool is_group_of_instance(std::string_view group);

/// The group of a line such as "4:memory:/some/group" of version 1, or, without a controller,
/// "0::/some/group" of version 2. Nothing when there is no such line.
std::optional<std::string> group_of(const std::string& proc_cgroup, std::string_view controller);

/// Where the group of a controller lies among the mounts of /proc/PID/mountinfo: that of version 1,
/// or else that of version 2, told by `unified`. Empty: it is not mounted, or is none of an
/// instance's, told by `own`.
struct group_directory {
  std::string path;
  bool unified = false;
  bool own = false;  // the instance's
};
group_directory directory_of(const std::string& proc_cgroup, const std::string& mountinfo,
                             std::string_view controller);

/// Reads what there is of the groups in a process's /proc/PID/cgroup.
group_limits read_group_limits(const std::string& proc_cgroup, const std::string& mountinfo);

}  // namespace bulkhead
