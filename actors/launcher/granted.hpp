// SPDX-License-Identifier: Apache-2.0
// Granted directories, where the launcher is root.
//
// Each instance has a uid of its own there, and what one wrote the next could not read. So a
// directory is mounted with a map of ids: to the plugin, what belongs to the directory's owner and
// group is its own, and what it makes belongs to those on the disk; the ids of everybody else stay
// as they are. The mount is made here, as the map takes root's powers, and travels to the plugin
// instead of the directory.
//
// Root is never mapped: nothing on the disk becomes root's by a plugin, and no plugin reads with
// root's eyes. A directory of root's that is granted for reading lets it do what it lets everybody
// do; granted for writing it is refused. A group of root's is left to the number of the instance.
// Where there is no such mount, as the file system has none or there is no mount namespace,
// writing is refused, and reading too unless everybody may read the directory: a grant that is
// nothing, or that the next instance cannot read, is not given.
#pragma once

#include <array>
#include <span>

#include "actors/launcher/messages.hpp"
#include "actors/launcher/orders.hpp"

namespace bulkhead::launcher {

/// The descriptors of one start, with mounts in place of directories. Closes those that it made.
class granted_directories {
 public:
  /// Of a `broker` that is not root (0: it is) no directory of somebody else's is more than it is
  /// to everybody.
  explicit granted_directories(std::span<const int> descriptors, std::uint32_t broker = 0);
  granted_directories(const granted_directories&) = delete;
  granted_directories& operator=(const granted_directories&) = delete;
  ~granted_directories();

  /// For an instance with this uid and gid of the host; `mounts`: it has a mount namespace. 0, or
  /// errno, and failed() is the placement's number: EPERM, root's; EOPNOTSUPP, no mount; EACCES,
  /// closed to everybody, or not the broker's; or what the kernel says.
  int open(const start_order& order, std::uint32_t user, bool mounts);

  std::span<const int> descriptors() const { return {fds_.data(), count_}; }
  std::uint8_t failed() const { return failed_; }

 private:
  int open_one(int& fd, placement_kind kind, std::uint32_t user, bool mounts);
  int id_map(std::uint32_t owner, std::uint32_t group, std::uint32_t user);

  std::array<int, message_fds_max> fds_{};
  std::size_t count_ = 0;
  std::uint32_t broker_ = 0;
  std::array<int, placements_max> made_{};
  std::size_t made_count_ = 0;
  std::uint8_t failed_ = no_placement;
  int map_ = -1;  // of the owner and the group below
  std::uint32_t map_owner_ = 0;
  std::uint32_t map_group_ = 0;
};

}  // namespace bulkhead::launcher
