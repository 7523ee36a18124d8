// SPDX-License-Identifier: Apache-2.0
// Whose a group is, and the end of those that are nobody's any more.
//
// In each hierarchy a launcher has a mark: an empty group, bulkhead-PID.RANDOM, beside those of its
// instances, bulkhead-PID.RANDOM-N. As long as it runs it holds a lock (flock) on the directory of
// its mark, which the kernel takes from it with its last descriptor, however it ended. Who gets the
// lock knows that the owner is no more. A number of a process would not do: another pid namespace
// does not know it, and some day it is another's. A mark is its user's alone (0700), so that no
// other user can hold its lock. A group without a mark is left alone, and a mark is removed after
// its groups.
//
// The sweep looks for marks in all that is mounted of a hierarchy, as a broker that was killed may
// come back in another group; a few entries at a time, so that no start waits for it. What it finds
// of a dead launcher of this user it kills and removes. Those that are still dying are come back to
// for some seconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {

using mark_name = short_text<40>;
using group_name = short_text<64>;

mark_name new_mark();

/// Makes the mark in the directory `base` and locks it, for as long as this process runs. False:
/// without one, as this user may make no groups there, or nothing can be locked.
bool set_mark(int base, const mark_name& mark);

/// False: something in it, or beneath it, is still alive. Never waits.
bool remove_group(int base, const char* name);

/// Kills what is in the group, where the kernel has a way. Never waits.
void kill_group(int base, const char* name);

class group_sweep {
 public:
  static constexpr std::size_t tops_max = 5;  // a tree for each controller, and that of version 2

  /// Also looks in the hierarchy whose topmost group is at `top`. Before the first step.
  void add(const path_text& top);

  /// Milliseconds until the next step is to be made; -1: there is none.
  int due_in(std::int64_t now_ms) const;
  void step(std::int64_t now_ms);

 private:
  static constexpr std::size_t depth_max = 16;

  struct level {
    int directory = -1;
    long size = 0;
    long at = 0;
    alignas(8) std::array<char, 1024> entries;
  };

  /// False: none is left.
  bool enter_next_top();
  void enter(int directory);
  void look_at_next(level& here);
  void judge(int base, std::string_view mark);
  bool remove_groups_of(int base, std::string_view mark);
  void rest(std::int64_t now_ms);

  std::array<path_text, tops_max> tops_;
  std::size_t top_count_ = 0;
  std::size_t next_top_ = 0;
  std::array<level, depth_max> levels_;
  std::size_t depth_ = 0;
  bool left_some_ = false;     // in this round: of a dead launcher, still there
  bool removed_some_ = false;  // in this round
  int rounds_in_vain_ = 0;
  bool over_ = true;
  std::int64_t not_before_ms_ = 0;
};

}  // namespace bulkhead::launcher
