// SPDX-License-Identifier: Apache-2.0
// What became of each wall: a page that the launcher shares with the two processes of an instance
// until its program starts. Each process writes of the walls that it raised itself.
#pragma once

#include <cerrno>

#include "actors/launcher/protocol.hpp"

namespace bulkhead::launcher {

struct birth_report {
  std::array<wall_entry, wall_count> walls{};
  stage stopped_at = stage::none;
  std::uint8_t wall = no_wall;
  std::uint8_t placement = no_placement;
  bool trees = false;            // granted directories come as mounts
  bool program_reached = false;  // nothing but execveat was left to do
  int error_number = 0;

  wall_entry& operator[](bulkhead::wall which) { return walls[index_of(which)]; }
};

/// Sets of walls as they travel.
constexpr std::uint64_t bit(bulkhead::wall which) {
  return std::uint64_t{1} << index_of(which);
}
constexpr bool has(std::uint64_t walls, bulkhead::wall which) {
  return (walls & bit(which)) != 0;
}

inline void stands(birth_report& report, bulkhead::wall which, std::int64_t value = 0) {
  report[which] = {static_cast<std::uint8_t>(wall_state::enforced), 0, 0, 0, value};
}

/// Not here, or not for this user: told from a failure by errno.
inline void missing(birth_report& report, bulkhead::wall which, int error, std::int64_t value = 0) {
  const bool absent = error == ENOSYS || error == EINVAL || error == EPERM || error == EACCES ||
                      error == ENOENT || error == ENODEV || error == ENXIO || error == ENOSPC ||
                      error == EOPNOTSUPP || error == EROFS;
  const auto state = absent ? wall_state::unavailable : wall_state::failed;
  report[which] = {static_cast<std::uint8_t>(state), 0, 0, error, value};
}

/// Of a system call's result.
inline bool noted(birth_report& report, bulkhead::wall which, long rc, std::int64_t value = 0) {
  if (rc < 0)
    missing(report, which, errno, value);
  else
    stands(report, which, value);
  return rc >= 0;
}

inline bool is_up(const birth_report& report, bulkhead::wall which) {
  return report.walls[index_of(which)].state == static_cast<std::uint8_t>(wall_state::enforced);
}

/// The first wall of `required` that does not stand, or no_wall.
inline std::uint8_t first_missing(const birth_report& report, std::uint64_t required) {
  for (std::size_t n = 0; n < wall_count; ++n)
    if ((required >> n & 1U) != 0 && !is_up(report, static_cast<bulkhead::wall>(n)))
      return static_cast<std::uint8_t>(n);
  return no_wall;
}

/// Of several failures the first is kept.
inline void stopped(birth_report& report, stage at, int error, std::uint8_t wall = no_wall) {
  if (report.stopped_at != stage::none) return;
  report.wall = wall;
  report.error_number = error;
  report.stopped_at = at;
}

/// Likewise, of what is granted.
inline void not_granted(birth_report& report, int error, std::size_t placement) {
  if (report.stopped_at != stage::none) return;
  report.placement = static_cast<std::uint8_t>(placement);
  stopped(report, stage::grant, error);
}

}  // namespace bulkhead::launcher
