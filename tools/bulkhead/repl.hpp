// SPDX-License-Identifier: Apache-2.0
//
// The session on a terminal. Errors do not end it; Ctrl-C stops the running command or drops the
// line, Ctrl-D ends it with status 0. The prompt shows how the mounts are when it is printed.
#pragma once

#include <optional>
#include <string>

#include "tools/bulkhead/environment.hpp"
#include "tools/bulkhead/terminal_input.hpp"

namespace bulkhead::cli {

exit_code run_repl(environment& in, terminal_input& input, std::optional<std::string> history_file);

}  // namespace bulkhead::cli
