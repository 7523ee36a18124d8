// SPDX-License-Identifier: Apache-2.0
#pragma once

// The check record of an encrypted state, as text inside of a sealed value:
//
//     bulkhead-key-check 1
//     plain 120 4711
//     keys 0f3a55c2d1e09b77 77e0c9f3a1b2d455
//
// "keys": what values may be sealed with, the newest last. "plain": values whose revision is above
// the first number and not above the second are still as they were before the state was encrypted;
// 0 0 when there are none. Sealed, because whoever could edit these numbers could pass values of
// his own off as plain ones. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

struct key_check {
  std::uint64_t plain_after = 0;
  std::uint64_t plain_until = 0;
  std::vector<std::uint64_t> keys;

  /// Whether a value of this revision was written before the encryption and not yet reached by it.
  bool is_plain(std::uint64_t revision) const {
    return revision > plain_after && revision <= plain_until;
  }
  bool operator==(const key_check&) const = default;
};

std::string print_key_check(const key_check& check);
/// Nothing when it is not such a text.
std::optional<key_check> parse_key_check(std::string_view text);

}  // namespace bulkhead
