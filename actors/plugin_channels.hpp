// SPDX-License-Identifier: Apache-2.0
// The channels between the broker and a process that it starts, as both spawners make them.
#pragma once

#include "actors/unique_fd.hpp"

namespace bulkhead {

/// No dup to a lower number can overwrite these: they are above every descriptor that a child gets.
inline constexpr int first_safe_fd = 10;

/// `ours` is nonblocking; `theirs` blocks, and is at `first_safe_fd` or above. Both close on exec.
struct two_ends {
  unique_fd ours;
  unique_fd theirs;
};

/// The same file at a safe descriptor. Throws std::system_error.
unique_fd copy_out_of_the_way(const unique_fd& fd);
unique_fd out_of_the_way(unique_fd fd);

/// A stream socketpair. Throws std::system_error.
two_ends make_link_channel();

/// A pipe that `theirs` writes. Throws std::system_error.
two_ends make_output_channel();

/// Does the file begin with "#!"?
bool is_script(const unique_fd& program);

}  // namespace bulkhead
