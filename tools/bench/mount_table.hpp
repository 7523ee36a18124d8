// SPDX-License-Identifier: Apache-2.0
//
// How the broker bears many mounts: what one more costs, what the list, the tree, a look-up and a
// restart of the broker cost, at a quarter of the number, at half of it, and at all. The mounts are
// lazy: no process is started.
//
// Times of one run on one machine say little; how they grow says more. Twice the mounts may take
// twice as long, and noise; four times as long would be quadratic.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/run_options.hpp"

namespace bulkhead::bench {

/// One figure at each size.
struct growth {
  std::string what;
  std::string unit;
  bool per_mount = false;     ///< of one mount: linear growth of the whole keeps it as it is
  std::vector<double> value;  ///< in the order of mount_table_result::sizes

  /// What a doubling of the mounts multiplies it by, from the first size to the last.
  double ratio() const;
};

struct mount_table_result {
  std::vector<unsigned> sizes;
  std::vector<growth> rows;
};

mount_table_result measure_mount_table(const run_options& options, unsigned mounts);

/// No row grows faster than the number of mounts, with room for noise.
bool is_linear(const mount_table_result& found);

std::string as_table(const mount_table_result& found);
std::string as_json(const mount_table_result& found);

}  // namespace bulkhead::bench
