// SPDX-License-Identifier: Apache-2.0
//
// A run: all paths are up at once, and take turns within each round, so that whatever else the
// machine does meets all of them. Pinned and free placement take turns, too.
#pragma once

#include <functional>
#include <string>

#include "tools/bench/results.hpp"
#include "tools/bench/run_options.hpp"

namespace bulkhead::bench {

/// Measures. `say` gets one line of progress at a time.
results run(const run_options& options, const std::function<void(const std::string&)>& say);

}  // namespace bulkhead::bench
