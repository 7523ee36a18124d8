// SPDX-License-Identifier: Apache-2.0
// What the limits of an instance are in the files of its control groups, of either version.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "actors/confinement/confinement.hpp"

namespace bulkhead::launcher {

enum class controller : std::uint8_t { memory, tasks, cpu, io };
inline constexpr std::size_t controllers = 4;
inline constexpr std::array all_controllers{controller::memory, controller::tasks, controller::cpu,
                                            controller::io};

/// By the names that version 2 has for them.
inline constexpr std::array<const char*, controllers> controller_names{"memory", "pids", "cpu",
                                                                       "io"};

/// Writes those of one controller for `group`, a directory beneath `base`. `unified`: it is of
/// version 2. 0, or errno: of the io controller ENOENT, when no scheduler shares disks by weight.
int write_limits(int base, std::string_view group, controller which, bool unified,
                 const resource_limits& limits);

}  // namespace bulkhead::launcher
