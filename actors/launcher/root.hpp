// SPDX-License-Identifier: Apache-2.0
// The file system of an instance: an empty read-only tmpfs, or one that holds what the order names.
#pragma once

#include "actors/launcher/protocol.hpp"
#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// Leaves nothing of the host's file system in the mount namespace of this process, which must be
/// its own, and makes a root of it. 0, or errno.
int make_empty_root();

/// Namespaces of every kind: no more can be made in this user namespace. `directory` is
/// /proc/sys/user, opened before the root went. After the root is made, as that takes a mount
/// namespace itself.
void raise_namespace_limits(birth_report& report, int directory);

}  // namespace bulkhead::launcher
