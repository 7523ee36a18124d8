// SPDX-License-Identifier: Apache-2.0
// What stands between a plugin and the machine: the walls, the profiles that ask for them, and the
// report of what was found standing. Pure: nothing here touches a process.
//
// A wall is one mechanism of the kernel with one name. A profile says which walls are tried
// (`wanted`) and which must stand (`required`): a required wall that is missing refuses the start
// and is named, with errno. An operator may waive a wall, by name: it is still tried, its absence
// is then reported and not fatal. Nothing ever says merely "confined".
//
// Profiles:
//   strict               every wall; all required but `speculation`, which few machines offer, and
//                        `cg.io`, unless a share of the disks is asked for
//   strict-unprivileged  what a broker without root can have: the same, without own uids, dropped
//                        groups, the executable-memfd switch, and control groups being required
//   no-userns            for hosts whose policy forbids user namespaces: no namespaces at all;
//                        Landlock, the system call filter, limits. The host's root stays in sight:
//                        a program that may ask for files (a dynamic one, a script, one with files
//                        granted) can learn of any path that its user may reach whether it is
//                        there, whose and how long it is, though not what is in it. And without
//                        root nothing limits its tasks, as the limit of a user would count all
//                        processes of the broker's user
//   interpreter          strict, for a program that brings a loader or a language runtime: memory
//                        may become executable. Of a script the root holds the interpreter and its
//                        shared libraries as copies, made at the start; the folders of the
//                        language's own library, modules in C included, are the host's, bound
//                        read-only. A plugin sees of them what everybody may read, and also what
//                        their owner changes there while it runs
//
// Where the launcher is root an own uid is required by all of them: what root owns is everything,
// and a plugin without one would be root, with what is left of the walls around it.
//
// Grants open one thing each, and come from the operator alone. A release's manifest may narrow
// what it gets, never widen it. Where the launcher is root a directory is mounted so that the
// plugin is to it what its owner is (actors/launcher/granted.hpp): one of root's is not granted for
// writing.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

/// In the order in which a report lists them. The numbers travel to the launcher: append only.
enum class wall : std::uint8_t {
  user_namespace,
  own_uid,          // no other instance and nothing of the host has it
  no_groups,        // supplementary groups dropped
  pid_namespace,    // with an init of its own, whose end ends all
  mount_namespace,  // with a root that is empty, or holds what the profile puts there
  net_namespace,    // without an interface that is up
  ipc_namespace,
  uts_namespace,
  cgroup_namespace,
  namespace_limits,  // no namespace can be made inside
  memfd_noexec,      // no memory file can be executed
  no_capabilities,   // all sets empty; the bounding set too, where there is the right to
  no_new_privileges,
  landlock,
  seccomp,           // the system call filter; death is the default
  no_writable_code,  // memory is never both written and executed (PR_SET_MDWE)
  resource_limits,   // rlimits
  descriptors,       // 0 to 3 and nothing else
  own_session,       // session, process group, keyring, signals, umask
  not_dumpable,      // neither traced nor read nor dumped by its own uid
  oom_first,         // killed before the broker when memory runs out
  parent_death,      // dies with the launcher
  lifeline,          // dies with the broker
  speculation,       // speculation controls of the processor
  cgroup_memory,
  cgroup_tasks,
  cgroup_cpu,
  cgroup_kill,  // one write kills all of it
  cgroup_io,    // its share of the disks
};

inline constexpr std::size_t wall_count = 29;
using wall_set = std::bitset<wall_count>;

/// As in "user-ns", "seccomp", "cg.memory": the word of waivers, reports and errors.
std::string_view to_string(wall which);
std::optional<wall> wall_named(std::string_view name);

constexpr std::size_t index_of(wall which) {
  return static_cast<std::size_t>(which);
}

enum class wall_state : std::uint8_t {
  off,          // not tried: the profile does not want it
  enforced,     // stands
  unavailable,  // this kernel, or this user, does not have it
  failed,       // should have stood, and did not
};

/// "off", "enforced", "unavailable", "failed".
std::string_view to_string(wall_state state);

struct wall_report {
  wall_state state = wall_state::off;
  bool observed = false;   // seen from outside after the start, not only reported by the child
  int error_number = 0;    // errno; 0: none
  std::int64_t value = 0;  // Landlock's ABI, instructions of the filter, the uid, ...; 0: none

  bool operator==(const wall_report&) const = default;
};

inline constexpr std::uint32_t io_weight_common = 100;  // what who says nothing has
inline constexpr std::uint32_t io_weight_max = 1000;    // that all schedulers of disks know

/// What a plugin may use. 0: no limit of this kind is set.
struct resource_limits {
  std::uint64_t memory_bytes = 256ULL << 20;  // all of the instance; also RLIMIT_DATA
  std::uint64_t swap_bytes = 0;               // beyond memory; here 0 means none
  std::uint64_t stack_bytes = 8ULL << 20;
  std::uint64_t file_bytes = 0;  // RLIMIT_FSIZE; here 0 means none may be written
  std::uint32_t tasks = 64;      // threads and processes
  std::uint32_t descriptors = 64;
  std::uint32_t pending_signals = 64;
  std::uint32_t cpu_percent = 0;               // of one core: 150 is one and a half
  std::uint32_t cpu_weight = 100;              // 1 to 10000, against its neighbours
  std::uint32_t io_weight = io_weight_common;  // 1 to io_weight_max, likewise

  bool operator==(const resource_limits&) const = default;
};

/// RLIMIT_CORE: too short for a file. At 0 a program that core files are piped to would get one all
/// the same, as root and outside all walls; this value, and no other, keeps it from that too.
inline constexpr std::uint64_t no_core_bytes = 1;

/// RLIMIT_NPROC: the init counts as one. Where a group counts tasks too it is to be the one that
/// refuses another, as it tells of that.
constexpr std::uint64_t processes_max(const resource_limits& limits, bool group_counts) {
  return std::uint64_t{limits.tasks} + (group_counts ? 2 : 1);
}

/// RLIMIT_AS of a native program whose memory no control group counts; 0: none. RLIMIT_DATA counts
/// a page only as long as it can be written to, so that a program that takes that right away from
/// its pages has them for nothing. This bounds it, by much more than honest ones use: stacks,
/// arenas, and what the runtimes of some languages reserve at once (Go's: 600 MB) count here too.
constexpr std::uint64_t address_space_bytes(const resource_limits& limits) {
  constexpr std::uint64_t reserved_bytes = 1ULL << 30;
  if (limits.memory_bytes == 0) return 0;
  return 2 * limits.memory_bytes + limits.tasks * limits.stack_bytes + reserved_bytes;
}

enum class grant_kind : std::uint8_t {
  read_directory,
  write_directory,
  device,
  descriptor,
  environment,
  address
};

/// "read-dir", "write-dir", "device", "file", "env", "net".
std::string_view to_string(grant_kind kind);
std::optional<grant_kind> grant_kind_named(std::string_view name);

struct grant {
  grant_kind kind = grant_kind::read_directory;
  std::string what;   // an absolute path of the host; "NAME=value" of a variable; or an address,
                      // which is nothing of the process: the broker connects, see Host.connect
  std::string where;  // the absolute path inside; empty: the same. For a file: empty

  /// Zeroes it, as the value of a variable may be a secret; so it is copied where others are moved.
  ~grant();
  bool operator==(const grant&) const = default;
};

enum class profile : std::uint8_t { strict, strict_unprivileged, no_userns, interpreter };

/// "strict", "strict-unprivileged", "no-userns", "interpreter".
std::string_view to_string(profile which);
std::optional<profile> profile_named(std::string_view name);

/// What one start asks for.
struct confinement {
  profile of = profile::strict;
  wall_set waived;  // may be missing
  resource_limits limits;
  std::vector<grant> grants;

  bool operator==(const confinement&) const = default;
};

/// The walls that are tried, and those that must stand when none is waived; of a launcher that is
/// root those are more.
wall_set wanted_walls(profile which);
wall_set required_walls(profile which, bool as_root = false);
/// Of one start, waivers left out: a share of the disks that was asked for is required too.
wall_set required_walls(const confinement& asked, bool as_root);

struct confinement_report {
  profile of = profile::strict;
  bool as_root = false;  // the launcher was
  wall_set waived;
  std::array<wall_report, wall_count> walls{};

  const wall_report& operator[](wall which) const { return walls[index_of(which)]; }
  wall_report& operator[](wall which) { return walls[index_of(which)]; }
  bool operator==(const confinement_report&) const = default;
};

/// Of the walls that `asked` requires and did not waive, the first that does not stand.
std::optional<wall> missing_wall(const confinement& asked, const confinement_report& found);

/// The waived walls that do not stand: to be logged and counted at each start.
std::vector<wall> missing_by_waiver(const confinement_report& found);

/// What is open to a plugin that runs because walls do not stand, where their names alone do not
/// say it; a sentence each. None of a start that was refused.
std::vector<std::string_view> gaps_in(const confinement_report& found);

/// One line: "landlock: enforced, 7", "cg.cpu: unavailable (EACCES), waived".
std::string line_of(wall which, const confinement_report& report);

}  // namespace bulkhead
