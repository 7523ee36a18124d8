// SPDX-License-Identifier: Apache-2.0
// Starts processes by posix_spawn, never by fork.
//
// Why: a fork copies page tables, so that it costs 40 ms from a broker of 1 GiB, and in a process
// with threads it runs the child on borrowed locks. glibc's posix_spawn uses CLONE_VM |
// CLONE_VFORK: under 1 ms for a static program, whatever the broker's size, and it reports the
// child's failure to execute as its own result.
//
// Descriptors: everything is opened close-on-exec; the child's four are duplicated to numbers of 10
// and above first, so that no dup2 to 0..3 can overwrite the source of a later one, whatever
// numbers were free. From 4 on all are closed in the child, so that a descriptor which some library
// of an embedding service left inheritable does not leak into a plugin.
//
// The pidfd is opened after the start by number. That is no race: this process is the parent and
// has not reaped the child, so the number cannot have gone to another process.
#pragma once

#include "actors/spawner.hpp"

namespace bulkhead {

/// Stateless: one object may serve all threads.
class posix_spawner final : public spawner {
 public:
  spawn_result spawn(const process_spec& spec) override;
};

/// The error of a failed start with errno `error_number`: looks at the file and the directory to
/// tell apart what the kernel does not. Exposed for tests.
spawn_error explain_spawn_failure(const process_spec& spec, int error_number);

}  // namespace bulkhead
