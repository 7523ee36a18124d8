// SPDX-License-Identifier: Apache-2.0
//
// Lines of a REPL or of a script, one command each. A line that ends inside quotes or brackets goes
// on in the next one. It may begin with the word `bulkhead`, as the "try:" of error texts does.
// `exit` and `quit` end the session; a line of flags alone (`-o json`) sets them for the rest of
// it.
//
// A script stops at its first error, which includes a command that ends well with a code other than
// 0 (`status` of a mount that is down), and exits with that error's code. With `keep_going` it runs
// to its end and exits with the code of the first. Errors say where: `stdin:3: error: ...`.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tools/bulkhead/environment.hpp"

namespace bulkhead::cli {

/// What became of one line.
struct line_result {
  exit_code code = exit_code::done;
  bool ends_session = false;
  bool open = false;      ///< the line is incomplete; nothing was run
  bool reported = false;  ///< an error was written
};

/// Runs one line; `prefix` stands before its error, as in "stdin:3: ". Does not throw `failure`.
line_result run_line(environment& in, const std::string& line, const std::string& prefix);

/// The next line without its newline; nothing at the end of the input.
using next_line = std::function<std::optional<std::string>()>;

exit_code run_script(environment& in, const next_line& next, bool keep_going);

/// Writes an error to the notes.
void report(environment& in, const failure& error, const std::string& prefix);

}  // namespace bulkhead::cli
