// SPDX-License-Identifier: Apache-2.0
// The file system of an instance: an empty read-only tmpfs, or one that holds what the order names.
#pragma once

#include <span>

#include "actors/launcher/orders.hpp"
#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// Leaves nothing of the host's file system in the mount namespace of this process, which must be
/// its own, and makes an empty root. 0, or errno.
int make_empty_root();

/// A mount of a granted directory or device that is nowhere yet: its descriptor, or -1 and errno.
/// Found by the path that it has now, provided that it leads to what the descriptor is. Without
/// setuid, and without devices but the one; `id_map`, a user namespace, says whose what is.
int make_tree(int what, placement_kind kind, int id_map = -1);

/// An empty root with what the order places in it; `fds` are those of the placements. Files are
/// copied, directories and devices bound; `trees`: the directories are mounts already.
int make_filled_root(const start_order& order, std::span<const int> fds, bool trees);

/// Namespaces of every kind: no more can be made in this user namespace. `directory` is
/// /proc/sys/user, opened before the root went. After the root is made, as that takes a mount
/// namespace itself.
void raise_namespace_limits(birth_report& report, int directory);

}  // namespace bulkhead::launcher
