// SPDX-License-Identifier: Apache-2.0
// The walls that a process raises around itself, one function each. They note in the report what
// became of it and go on: whether that will do is decided once, before the program starts.
#pragma once

#include <cstdint>

#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// Session, process group, session keyring, umask; every signal at its default and none blocked.
void raise_own_session(birth_report& report);

/// As the limits say, but never above what the launcher has: only root could, and not always.
/// `count_tasks`: the uid, or the user namespace, is this instance's alone.
void raise_resource_limits(birth_report& report, const resource_limits& limits, bool count_tasks);

void raise_speculation(birth_report& report);

/// Empties every set; and the bounding set too where there is the right to. Where there is not,
/// what is left in it is the value, and no_new_privileges makes it worthless.
void drop_capabilities(birth_report& report);

void raise_no_writable_code(birth_report& report);

void raise_no_new_privileges(birth_report& report);

/// Denies all that this kernel's Landlock knows. `root`: a directory beneath which files can be
/// read and executed all the same, or -1; `writable`: may they be written too.
void raise_landlock(birth_report& report, int root, bool writable);

/// The filter of a program of this form. `self` is the process's own number.
void raise_seccomp(birth_report& report, program_form form, std::uint64_t once, pid_t self);

/// That of an init.
void raise_init_seccomp(birth_report& report);

}  // namespace bulkhead::launcher
