// SPDX-License-Identifier: Apache-2.0
// Runs a system call filter on a call that is not made: the part of classic BPF that filters use,
// by its definition and not by any library's. What it does not know it refuses to run.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

namespace hostile {

/// What the filter answers: an action of seccomp with its data, as in SECCOMP_RET_ERRNO | EPERM.
/// Throws std::runtime_error when the program is none: an unknown instruction, a jump out of it, a
/// load beside the call's data, no return at its end.
std::uint32_t answer_of(std::span<const sock_filter> filter, const seccomp_data& call);

}  // namespace hostile
