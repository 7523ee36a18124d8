// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lines of the supervision tree, as people read them. Pure.

#include <string>

#include "actors/supervision.hpp"
#include "broker/mount_messages.hpp"
#include "broker/tree_node.hpp"

namespace bulkhead {

/// What a mount says of itself, and the rules that it has.
struct mount_line {
  mount_snapshot now;
  restart_limits rules;
};

/// "1 mount", "2 mounts".
std::string count_text(std::size_t count, const char* thing);

/// "rest_for_one, 2 of 3 restarts in 30 s"; without the window where each child has its own.
std::string supervisor_text(const supervisor_status& status);

/// "restarted once", "restarted 3 times", or nothing.
std::string restarts_text(std::uint64_t restarts);

/// A mount with its instance.
tree_node mount_node(const mount_line& from);

}  // namespace bulkhead
