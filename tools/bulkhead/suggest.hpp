// SPDX-License-Identifier: Apache-2.0
//
// "did you mean": the nearest of some names, by edit distance with swaps of neighbours (optimal
// string alignment), at most `suggest_distance_max` and less than half of what was typed. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

/// Further away is another word, not a slip of the finger.
inline constexpr unsigned suggest_distance_max = 2;

/// How many letters to insert, drop, change or swap to make `a` into `b`.
unsigned edit_distance(std::string_view a, std::string_view b);

/// The nearest name, the first of equals; empty when none is near enough.
std::string nearest(std::string_view typed, const std::vector<std::string>& names);

/// "did you mean 'NAME'?", or nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

/// Names joined by commas, at most `names_max` of them.
std::string join_names(const std::vector<std::string>& names, std::size_t names_max = 20);

}  // namespace bulkhead::cli
