// SPDX-License-Identifier: Apache-2.0
//
// "did you mean": what an error suggests in place of what was typed. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/wire/suggest.hpp"

namespace bulkhead::cli {

using wire::nearest;

/// "did you mean 'NAME'?", or nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

/// Names joined by commas, at most `names_max` of them.
std::string join_names(const std::vector<std::string>& names, std::size_t names_max = 20);

}  // namespace bulkhead::cli
