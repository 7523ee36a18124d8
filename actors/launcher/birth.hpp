// SPDX-License-Identifier: Apache-2.0
// The launcher's side of a birth: the clone with its namespaces, the id maps, and the wait until
// the program runs.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <span>

#include "actors/launcher/cgroups.hpp"
#include "actors/launcher/orders.hpp"
#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

inline constexpr int start_ms_max = 5000;
inline constexpr int oom_score = 800;

/// The namespaces of this process, to see that a child's are others.
struct namespace_ids {
  std::array<std::uint64_t, 7> inodes{};
};
namespace_ids own_namespaces();

/// What all instances of a launcher share.
struct surroundings {
  bool privileged = false;
  std::uint32_t user = 0;  // the launcher's
  std::uint32_t group = 0;
  std::uint32_t broker = 0;  // its user, where that is not to have root's powers by this launcher
  int lifeline = -1;
  int launcher_lifeline = -1;
  namespace_ids namespaces;
  cgroups groups;
};

/// What an instance is to be born with; from its order, and from the launcher.
struct birth_plan {
  std::uint64_t wanted = 0;
  std::uint64_t required = 0;
  bool root_by_order = false;
  std::uint32_t user = 0;  // of its own; 0: none was to be had
  int user_error = 0;      // and why
  group_name group;

  /// Both are born alike.
  bool same_birth(const birth_plan& other) const {
    return wanted == other.wanted && required == other.required &&
           root_by_order == other.root_by_order;
  }
};

/// An instance on its way. All descriptors are the launcher's; -1 when there is none.
struct newborn {
  pid_t init = -1;
  int init_handle = -1;
  int reins = -1;
  int status = -1;  // reading end
  birth_report* report = nullptr;
};

/// Makes the processes, up to where they wait for their order. When that fails the report says
/// where; a newborn without `init` has no process.
newborn give_birth(const surroundings& around, const birth_plan& plan);

/// Hands over the order and its descriptors, and returns when the program runs, with its number in
/// `plugin_id`, or will not, which the report says. `plugin`, -1 before, is a handle on the process
/// that was to become the program, in either case in which there was one.
void send_on_its_way(const newborn& child, const start_order& order, std::span<const int> fds,
                     int& plugin, pid_t& plugin_id);

/// Closes what is open, but for the process, which may still run.
void forget(newborn& child);

}  // namespace bulkhead::launcher
