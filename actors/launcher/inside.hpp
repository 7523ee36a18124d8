// SPDX-License-Identifier: Apache-2.0
// What runs inside: the two processes of an instance.
//
// The first becomes its init. It takes on its identity, makes the root, makes the second, and then
// waits: for the end of the plugin, which it writes down, and for the end of a lifeline, with which
// it ends itself. When it ends the kernel ends everything in its pid namespace; without one, the
// plugin has asked to be killed with it.
//
// The second waits until the init has built its own walls, and then for its order; so a pair can
// stand ready before anybody asks for it. It raises the walls around itself, looks whether all that
// are required stand, and becomes the program. Its end of the reins closes with that, which tells
// the launcher.
//
// Both are copies of the launcher, which holds no secret but what the order at hand says: neither
// reads anything of the broker's, or of another instance's.
#pragma once

#include "actors/launcher/cgroups.hpp"
#include "actors/launcher/orders.hpp"
#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// What an instance is born with, before it has its order.
struct instance_plan {
  std::uint64_t wanted = 0;
  std::uint64_t required = 0;
  bool privileged = false;     // the launcher is root
  bool root_by_order = false;  // the root holds things, which the order names
  std::uint32_t user = 0;      // the uid and gid to take on without a user namespace; 0: none
  int reins = -1;     // to the launcher; the first word on it is that the id maps are written
  int status = -1;    // of the pipe for the end_record, the writing end
  int lifeline = -1;  // the broker's, the reading end
  int launcher_lifeline = -1;
  std::array<int, controllers> join{-1, -1, -1, -1};  // control groups to join
  int memory_events = -1;                             // of its group, to be read at its end; or -1
  birth_report* report = nullptr;
};

/// The uid inside a user namespace.
inline constexpr unsigned inner_user = 1000;

/// In the copy of the launcher that is to be an instance. Never returns.
[[noreturn]] void run_instance(const instance_plan& plan);

}  // namespace bulkhead::launcher
