// SPDX-License-Identifier: Apache-2.0
//
// Results as a table for people and as JSON for programs. In both, figures are medians over the
// rounds; the spread is the distance of the best round from the worst, in parts of the median.
#pragma once

#include <string>

#include "tools/bench/results.hpp"

namespace bulkhead::bench {

std::string as_table(const results& found);

/// One object; ends in a newline.
std::string as_json(const results& found);

}  // namespace bulkhead::bench
