// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which groups may be configured. Pure. Problems are told as one line that names the group.

#include <string>
#include <vector>

#include "broker/broker.hpp"

namespace bulkhead {

inline constexpr std::size_t groups_max = 256;
inline constexpr std::size_t group_depth_max = 16;  // parents above one another
inline constexpr std::size_t group_name_bytes_max = 64;

/// What is wrong with a set of groups; empty texts: nothing.
struct group_problem {
  std::string group;  // the group that it is about; empty: all of them
  std::string what;   // as in "group 'a' depends on itself: a -> b -> a"
};

/// Names, numbers, parents and dependencies: every name is known, dependencies are between groups
/// of one parent, and neither parents nor dependencies form a cycle; a cycle is named.
group_problem check_groups(const std::vector<group_spec>& groups);

std::string to_string(group_strategy strategy);

}  // namespace bulkhead
