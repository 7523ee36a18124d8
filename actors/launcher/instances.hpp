// SPDX-License-Identifier: Apache-2.0
// The instances that live, and what each of them holds of the host's: a place in this table, a uid,
// two handles, control groups. The handles are given back when its init has been reaped; the rest
// when its groups could be removed too. Without a pid namespace a plugin outlives its init a
// moment, and until then its uid may be nobody else's.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "actors/launcher/cgroups.hpp"
#include "actors/launcher/walls.hpp"

namespace bulkhead::launcher {

inline constexpr std::size_t instances_max = 4096;

struct instance {
  std::uint64_t number = 0;  // that of its start order; 0: it is a spare, or the place is free
  pid_t init = -1;           // -1: the place is free, or what was there is leaving
  bool leaving = false;      // its init has been reaped
  int init_handle = -1;
  int plugin_handle = -1;  // -1 until its program runs
  pid_t plugin = -1;
  bool has_rlimits = false;
  countable counted;
  std::uint32_t user = 0;  // 0: none of its own
  group_name group;
};

class instance_table {
 public:
  /// Null when it is full.
  instance* free_place() {
    for (auto& each : places_)
      if (each.init < 0 && !each.leaving) return &each;
    return nullptr;
  }
  instance* numbered(std::uint64_t number) {
    for (auto& each : places_)
      if (each.init >= 0 && each.number == number) return &each;
    return nullptr;
  }
  instance* with_init(pid_t init) {
    for (auto& each : places_)
      if (each.init == init) return &each;
    return nullptr;
  }

  bool any() const {
    for (const auto& each : places_)
      if (each.init >= 0 || each.leaving) return true;
    return false;
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& each : places_)
      if (each.init >= 0) visit(each);
  }
  template <class Visit>
  void for_each_leaving(Visit&& visit) {
    for (auto& each : places_)
      if (each.leaving) visit(each);
  }

 private:
  std::array<instance, instances_max> places_{};
};

}  // namespace bulkhead::launcher
