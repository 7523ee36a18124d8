// SPDX-License-Identifier: Apache-2.0
// Starts processes with the descriptors, environment and directory that spawner.hpp promises.
// child_start.hpp is about how a process is born, and why not by fork.
//
// Descriptors: everything is opened close-on-exec; the child's are duplicated to numbers of 10 and
// above first, so that no dup to 0..4 can overwrite the source of a later one, whatever numbers
// were free. All others end with the start of the program, so that a descriptor which some library
// of an embedding service left inheritable does not leak into a plugin.
//
// A program by descriptor is executed by the descriptor itself, which the process does not keep. A
// script by descriptor is given to its interpreter as /dev/fd/4, which the interpreter opens: that
// takes a mounted /proc, and one more descriptor in the process.
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
