// SPDX-License-Identifier: Apache-2.0
#pragma once

// The checksum of a row of history. SQLite keeps none for its pages, so a bit that flips inside a
// value passes its own checks.
//
// Eight bytes at a time are mixed in by a step that is a bijection of the state, so damage within
// one word never goes unseen; other damage does with probability 2^-64. It is no defence against an
// attacker, who can compute it as well.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "broker/store/store.hpp"

namespace bulkhead {

class row_mixer {
 public:
  row_mixer& number(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9e3779b97f4a7c15ULL;
    state_ ^= state_ >> 32;
    return *this;
  }

  row_mixer& bytes(std::string_view value) {
    number(value.size());
    while (!value.empty()) {
      std::uint64_t word = 0;
      const auto size = value.size() < sizeof word ? value.size() : sizeof word;
      std::memcpy(&word, value.data(), size);
      number(word);
      value.remove_prefix(size);
    }
    return *this;
  }

  std::uint64_t sum() const { return state_; }

 private:
  std::uint64_t state_ = 0x42554c4b48454144ULL;
};

inline std::uint64_t row_checksum(std::uint64_t id, std::string_view key, bool erased,
                                  std::uint64_t create_revision, std::uint64_t version,
                                  std::uint64_t lease, std::string_view value) {
  return row_mixer()
      .number(id)
      .bytes(key)
      .number(erased ? 1 : 0)
      .number(create_revision)
      .number(version)
      .number(lease)
      .bytes(value)
      .sum();
}

inline std::uint64_t row_checksum(const store_row& row, bool erased, std::uint64_t id) {
  return row_checksum(id, row.key, erased, row.create_revision, row.version, row.lease, row.value);
}

}  // namespace bulkhead
