// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "actors/launcher/inside.hpp"

namespace bulkhead::launcher {

/// The rest of the first process's life. `plugin` is a handle on process `child`; closing `ready`
/// lets that go on. Never returns.
[[noreturn]] void run_init(const instance_plan& plan, pid_t child, int plugin, int ready);

}  // namespace bulkhead::launcher
