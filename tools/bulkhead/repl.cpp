// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/repl.hpp"

#include <algorithm>

#include "tools/bulkhead/broker_words.hpp"
#include "tools/bulkhead/line_editor.hpp"
#include "tools/bulkhead/session.hpp"

namespace bulkhead::cli {

namespace {

/// The same command, for the history.
std::string on_one_line(std::string command) {
  for (auto at = command.find("\\\n"); at != std::string::npos; at = command.find("\\\n", at)) {
    command.erase(at, 2);
  }
  std::replace(command.begin(), command.end(), '\n', ' ');
  return command;
}

}  // namespace

exit_code run_repl(environment& in, terminal_input& input,
                   std::optional<std::string> history_file) {
  broker_words words(in);
  line_editor editor(input, words, std::move(history_file));
  std::string pending;  // the beginning of a command that goes on
  while (true) {
    const std::string prompt = pending.empty() ? "bulkhead " + words.health() + "> " : "... ";
    std::string line;
    switch (editor.read(prompt, line)) {
      case line_editor::result::end:
        in.out.text("\n");
        return exit_code::done;
      case line_editor::result::interrupted:
        pending.clear();
        continue;
      case line_editor::result::line:
        break;
    }
    if (!pending.empty()) pending += '\n';
    const std::string command = pending + line;
    const line_result result = run_line(in, command, {});
    if (result.open && !line.empty()) {
      pending = command;
      continue;
    }
    if (result.open) in.out.note("the command is incomplete; dropped");
    editor.remember(on_one_line(command));
    pending.clear();
    if (result.ends_session) return exit_code::done;
  }
}

}  // namespace bulkhead::cli
