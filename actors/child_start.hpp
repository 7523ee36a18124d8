// SPDX-License-Identifier: Apache-2.0
// The start of a process on the memory of its parent: what posix_spawn does, and what it cannot.
//
// Why not fork: it copies page tables, which costs 40 ms from a broker of 1 GiB, and in a process
// with threads it runs the child on borrowed locks. Why not posix_spawn: it executes paths only,
// and a program that was checked must be executed by its descriptor, as a path may lead elsewhere
// by then (and /proc/self/fd/N is a path that needs a mounted /proc). Programs with a path are
// started in the same way, so that there is one.
//
// How: clone(CLONE_VM | CLONE_VFORK), as glibc's posix_spawn does it. The calling thread stands
// still until the child has its program or has failed to get it; other threads run on. The child
// uses the parent's memory, so it makes system calls and nothing else: no allocation, no lock, no
// function of a library that could be intercepted or could hold state. All signals are blocked
// around it, glibc's internal ones too, so that no handler of the parent runs in the child; there,
// all dispositions are set to their default before the mask is emptied. The child's handle comes
// from the kernel with its birth (CLONE_PIDFD): never a number that could name somebody else.
//
// The cost does not depend on the size of the parent. Needs Linux 5.11 (CLOSE_RANGE_CLOEXEC).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "actors/unique_fd.hpp"

namespace bulkhead {

/// What the child is to be. All pointers and descriptors are those of the parent.
struct child_plan {
  struct placement {
    int source;
    int target;
  };

  std::vector<placement> descriptors;  // duplicated in this order; a source is no later target
  int first_closed = 0;                // descriptors from here on end with the start of the program
  std::string directory;               // entered before the start; empty: the parent's
  std::string path;                    // of the program, when `program` is negative
  int program = -1;  // as the child numbers it, after `descriptors`; executed by descriptor
  std::vector<char*> arguments;    // null-terminated, beginning with argument zero
  std::vector<char*> environment;  // null-terminated
};

struct born_child {
  pid_t pid = -1;
  unique_fd pidfd;
};

/// Starts the program in a session of its own, with no signal blocked, ignored or handled. Throws
/// std::system_error with the errno of the first step that failed; then no process is left.
born_child start_child(const child_plan& plan);

}  // namespace bulkhead
