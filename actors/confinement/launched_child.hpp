// SPDX-License-Identifier: Apache-2.0
// A confined plugin as a child_process.
//
// It is no child of this process: its init is the launcher's child, and reaped there. How it ended
// comes through the status pipe, as the init's record; the pipe's end without one means that the
// init was killed, and the plugin with it. So `exit_fd` is that pipe, `peek` reads it, and there is
// nothing left for `reap` to do. A signal goes to the plugin by its handle, or by the launcher
// where this process has not the right to. The group is everything in the instance: SIGKILL ends
// the init, and the kernel ends the rest; other signals reach the plugin, which is all there is.
#pragma once

#include <memory>

#include "actors/child_process.hpp"
#include "actors/confinement/launcher_link.hpp"

namespace bulkhead {

/// Of a start that succeeded. Keeps the link.
std::unique_ptr<child_process> make_launched_child(std::shared_ptr<launcher_link> link,
                                                   launcher_link::start_result started);

}  // namespace bulkhead
