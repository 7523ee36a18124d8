// SPDX-License-Identifier: Apache-2.0
// Uids for instances, when the launcher is root: each living instance has one that nothing else on
// the host has.
//
// They come from 2000203776 to 2147352575: above what directories of users are mapped to (SSSD's
// and FreeIPA's 200000 to 2000200000), and below what systemd gives foreign ones (2147352576).
// Several launchers share the range: each takes a block of 4096, and holds it by a lock on one byte
// of /run/bulkhead-users. The kernel lets go of the lock with the process, however that ended. The
// file is root's with mode 0600, in a directory that only root writes: nobody else can hold a
// block, and so keep root's brokers from having one. A block is looked for from a random one on, so
// that one which was let go a moment ago is seldom the next, and launchers that do not see each
// other's /run, as in containers that share the host's users, seldom meet.
//
// Where the file cannot be had, as /run is read-only, or is or holds somebody else's, no uid is
// given out, which refuses starts by the name of the wall and an errno; it is tried again at each
// start. A uid that was given back is the last one of its block to be given out again.
#pragma once

#include <bitset>
#include <cstdint>

namespace bulkhead::launcher {

class user_range {
 public:
  static constexpr std::uint32_t first = 2'000'203'776;
  static constexpr std::uint32_t block_size = 4096;
  static constexpr std::uint32_t blocks = 35'925;

  /// Once without error. 0, or errno: EUSERS, every block is taken; EINVAL where the range means
  /// nobody, as in most containers; EPERM, the file or its directory is not root's alone; or what
  /// opening it said.
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
