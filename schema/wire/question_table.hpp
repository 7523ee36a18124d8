// SPDX-License-Identifier: Apache-2.0
//
// What is known of each open question of one side of a connection, by its number. libcapnp gives
// the smallest number that is free, so most are found by index; a peer that chooses others costs a
// search in a map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace bulkhead::wire {

/// `Entry` has a member `open`, false in a new one.
template <typename Entry>
class question_table {
 public:
  /// The entry of an open question; null when there is none.
  Entry* find(std::uint32_t question) {
    if (question < near_questions) {
      return question < near_.size() && near_[question].open ? &near_[question] : nullptr;
    }
    const auto at = far_.find(question);
    return at == far_.end() ? nullptr : &at->second;
  }

  /// Its entry, which is a new one unless it is open already. The entries of others may move.
  Entry& open(std::uint32_t question) {
    if (question < near_questions && question >= near_.size()) near_.resize(question + 1);
    auto& entry = question < near_questions ? near_[question] : far_[question];
    if (!entry.open) ++size_;
    entry.open = true;
    return entry;
  }

  /// Forgets an open question.
  void close(std::uint32_t question) {
    --size_;
    if (question < near_questions) {
      near_[question] = Entry{};
    } else {
      far_.erase(question);
    }
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t near_questions = 1024;

  std::vector<Entry> near_;
  std::unordered_map<std::uint32_t, Entry> far_;
  std::size_t size_ = 0;
};

}  // namespace bulkhead::wire
