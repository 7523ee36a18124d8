// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/launcher/inside.hpp"

namespace bulkhead::launcher {

/// The second process, up to its program. `ready` reads end of file when the init, which is
/// process `init` in here, has its walls. Never returns.
[[noreturn]] void run_plugin(const instance_plan& plan, int ready, pid_t init);

/// Makes a root: 0, or errno.
using root_maker = int (*)();

/// In this process's mount namespace when it has its own, and the limits on namespaces with it.
void make_root_of(const instance_plan& plan, const root_maker& make);

}  // namespace bulkhead::launcher
