// SPDX-License-Identifier: Apache-2.0
//
// The name that was meant, for the "try:" of an error text: the nearest by edit distance with swaps
// of neighbours (optimal string alignment). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::wire {

/// Further away is another word, not a slip of the finger.
inline constexpr std::size_t suggest_distance_max = 2;
/// Nothing is suggested for a longer word: the search takes time by the product of the lengths.
inline constexpr std::size_t suggest_bytes_max = 256;

/// How many letters to insert, drop, change or swap to make `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest name, the first of equals; empty when none is within `suggest_distance_max` slips
/// and half of the letters.
std::string nearest(std::string_view typed, const std::vector<std::string>& names);

}  // namespace bulkhead::wire
