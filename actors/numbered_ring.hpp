// SPDX-License-Identifier: Apache-2.0
// The newest entries of something endless, each with a number that never repeats: log lines,
// events.
//
// A reader passes the last number it saw and gets what came after; a gap in the numbers tells it
// that it was too slow. Memory is bounded by the count. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace bulkhead {

template <class Value>
class numbered_ring {
 public:
  struct entry {
    std::uint64_t number = 0;
    Value value;
  };

  /// Keeps the newest `kept` entries, at least 1.
  explicit numbered_ring(std::size_t kept) : kept_{std::max<std::size_t>(kept, 1)} {}

  /// Numbers start at 1.
  std::uint64_t push(Value value) {
    if (entries_.size() == kept_) entries_.pop_front();
    entries_.push_back({++last_, std::move(value)});
    return last_;
  }

  /// The newest `count` entries whose number is above `after`, oldest first.
  std::vector<entry> newest(std::size_t count, std::uint64_t after = 0) const {
    const auto size = std::min(count, above(after));
    return {entries_.end() - static_cast<std::ptrdiff_t>(size), entries_.end()};
  }

  /// The oldest `count` entries whose number is above `after`, oldest first: for following on.
  std::vector<entry> next(std::size_t count, std::uint64_t after) const {
    const auto first = entries_.end() - static_cast<std::ptrdiff_t>(above(after));
    return {first, first + static_cast<std::ptrdiff_t>(std::min(count, above(after)))};
  }

  /// The newest number; 0 before the first entry.
  std::uint64_t last() const { return last_; }
  std::size_t size() const { return entries_.size(); }

 private:
  std::size_t above(std::uint64_t after) const {
    if (after >= last_) return 0;
    return static_cast<std::size_t>(std::min<std::uint64_t>(last_ - after, entries_.size()));
  }

  std::size_t kept_;
  std::uint64_t last_ = 0;
  std::deque<entry> entries_;
};

}  // namespace bulkhead
