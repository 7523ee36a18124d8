// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/samples.hpp"

#include <algorithm>
#include <cmath>

namespace bulkhead::bench {

double percentile(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  const auto rank = std::ceil(percent / 100 * static_cast<double>(values.size()));
  const auto index = static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<std::size_t>(index)];
}

summary summarise(const std::vector<double>& rounds) {
  if (rounds.empty()) return {};
  const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
  return {percentile(rounds, 50), *least, *most};
}

}  // namespace bulkhead::bench
