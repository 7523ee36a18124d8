// SPDX-License-Identifier: Apache-2.0
//
// The little statistics of the bench. Percentiles are of the nearest rank: values that were
// measured, not interpolated ones.
#pragma once

#include <cstdint>
#include <vector>

namespace bulkhead::bench {

/// The value at `percent` (0 to 100) of the sorted values; 0 when there are none.
double percentile(std::vector<double> values, double percent);

/// Median over rounds, and how far the rounds lie apart.
struct summary {
  double median = 0;
  double least = 0;
  double most = 0;

  /// (most - least) / median; 0 when nothing was measured.
  double spread() const { return median > 0 ? (most - least) / median : 0; }
};

summary summarise(const std::vector<double>& rounds);

}  // namespace bulkhead::bench
