// SPDX-License-Identifier: Apache-2.0
// Uids for instances, when the launcher is root: each living instance has one that nothing else on
// the host has.
//
// They come from 1879048192 to 2147483647, which no distribution and no systemd hands out. Several
// launchers share the range: each takes a block of 4096 and holds it by a name in the abstract
// namespace of Unix sockets, which goes when the launcher does. A uid that was given back is the
// last one of its block to be given out again.
#pragma once

#include <bitset>
#include <cstdint>

namespace bulkhead::launcher {

class user_range {
 public:
  static constexpr std::uint32_t first = 1'879'048'192;
  static constexpr std::uint32_t block_size = 4096;
  static constexpr std::uint32_t blocks = 65'536;

  /// 0, or errno: every block is taken, no socket can be had; EINVAL where the range means nobody,
  /// as in most containers.
  int claim_block();

  /// 0 when none is free, or no block was claimed.
  std::uint32_t take();
  void give_back(std::uint32_t user);

 private:
  std::uint32_t base_ = 0;
  std::uint32_t next_ = 0;
  std::bitset<block_size> taken_;
};

}  // namespace bulkhead::launcher
