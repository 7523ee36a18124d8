// SPDX-License-Identifier: Apache-2.0
// Control groups: one of its own for each instance, beneath the one that the launcher is in.
//
// What is there is found once, at the start. A controller of version 2 is used when the launcher
// may hand it on: in its own group, when that is empty but for the root's, or in the one above when
// that was delegated (systemd sets user.delegate on it; DelegateSubgroup= puts the daemon below).
// An instance is born into it, which costs nothing. Controllers of version 1 are used otherwise:
// the first process of an instance moves itself into one of their groups, while it has one thread
// and the launcher goes on. The group that one write kills is version 2's, with controllers or
// without.
//
// A group is removed when its init has been reaped, and what is left in it has died. What a
// launcher that was killed left behind, the next one of its user removes (cgroup_owners.hpp).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "actors/launcher/cgroup_owners.hpp"
#include "actors/launcher/kernel.hpp"
#include "actors/launcher/limit_files.hpp"
#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// The groups that one instance joins: open descriptors, for its birth. -1 where there is none.
struct group_entry {
  std::array<int, controllers> join{-1, -1, -1, -1};  // of version 1: tasks
  int unified = -1;        // of version 2: the directory, to be born into
  int memory_events = -1;  // tells of those that ran out of memory

  void close_all() const;
};

class cgroups {
 public:
  /// Looks for what is there, and takes possession. Before anything is made.
  void find();

  /// A name that no group has yet.
  group_name next_group();

  /// Makes the groups of a new instance, and notes those walls of `wanted` that have none.
  group_entry make(birth_report& report, std::uint64_t wanted, const group_name& name) const;

  /// Notes that the instance could not be born into its group of version 2.
  void not_entered(birth_report& report, std::uint64_t wanted, int error) const;

  /// Of the walls of `wanted` that stand: writes the limits; what cannot be written is noted.
  void limit(birth_report& report, std::uint64_t wanted, const group_name& name,
             const resource_limits& limits) const;

  /// Likewise, of a living instance. 0, or errno, and which wall.
  int change(const group_name& name, const resource_limits& limits, std::uint8_t& which) const;

  /// Kills what is in them, and removes them. False: some of it is still dying, so that it is to be
  /// called again. Never waits.
  bool remove(const group_name& name) const;

  /// When all groups have been removed, and no other is made.
  void leave() const;

  /// The end of what dead launchers left.
  group_sweep& sweep() { return sweep_; }

 private:
  struct hierarchy {
    int base = -1;         // the directory that holds the instances' groups
    int error = ENOENT;    // why there is none
    bool unified = false;  // version 2
    bool marked = false;   // as this launcher's
  };
  const hierarchy& of(controller which) const {
    return controllers_[static_cast<std::size_t>(which)];
  }
  int write(controller which, const group_name& name, const resource_limits& limits) const;
  void find_unified();
  void find_old(controller which);
  void mark(hierarchy& where, const path_text& top);

  std::array<hierarchy, controllers> controllers_;
  hierarchy unified_;  // for cgroup.kill
  mark_name mark_;
  std::uint64_t made_ = 0;
  group_sweep sweep_;
};

/// The wall that a controller is.
constexpr wall wall_of(controller which) {
  return which == controller::memory  ? wall::cgroup_memory
         : which == controller::tasks ? wall::cgroup_tasks
         : which == controller::cpu   ? wall::cgroup_cpu
                                      : wall::cgroup_io;
}

}  // namespace bulkhead::launcher
