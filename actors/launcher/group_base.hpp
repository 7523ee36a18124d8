// SPDX-License-Identifier: Apache-2.0
// The group of version 2 beneath which a launcher makes those of its instances.
//
// The kernel has no group of version 2 both hold processes and limit groups beneath it, the topmost
// of all aside. (It does not refuse that for tasks and cpu, but then no process can be born into a
// group beneath.) The launcher is in a group, so that is not the one, as a rule. It is
//  - the one above, where systemd has handed that over (DelegateSubgroup=);
//  - its own, where systemd has handed that over (Delegate=), or where nothing above it is to be
//    seen, as in a container: what is in it goes into a group `rest` beneath it first;
//  - its own, where that is the topmost of all, or version 2 has no controllers;
//  - else `bulkhead`, in the nearest group above that holds no process, which a slice of systemd's
//    never does, and is no other user's. The controllers are handed on to there from the top, as
//    far as this user may. systemd takes none away again that a group beneath hands on itself, as
//    `bulkhead` does.
// `rest` and `bulkhead` are left where they are, empty.
#pragma once

#include "actors/launcher/cgroup_places.hpp"

namespace bulkhead::launcher {

/// Of a group: root's, or this user's.
inline bool is_safe_owner(uid_t owner) {
  return owner == 0 || owner == ::geteuid();
}

/// Into an empty `base`. 0, or errno: EBUSY when every group above has processes,
/// or is another user's.
int find_group_base(const group_place& place, path_text& base);

}  // namespace bulkhead::launcher
