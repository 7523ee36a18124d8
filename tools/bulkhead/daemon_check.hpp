// SPDX-License-Identifier: Apache-2.0
//
// The daemon's own word on a configuration file: `bulkheadd --config FILE --check`, which starts
// nothing. So there is one reader of such files, and this program links nothing of the broker.
#pragma once

#include <string>

namespace bulkhead::cli {

/// What a good file holds, "2 groups, 1 mount". Runs the bulkheadd that stands beside this program,
/// else that of PATH. Throws `failure`: what the daemon said, or that there is none.
std::string check_config_file(const std::string& file);

}  // namespace bulkhead::cli
