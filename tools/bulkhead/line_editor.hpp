// SPDX-License-Identifier: Apache-2.0
//
// A line of a terminal, edited: libedit with history, search (Ctrl-R) and completion. Only made
// when standard input is a terminal: libedit echoes its prompt into a pipe.
//
// History is a plain file, one line each, readable by its owner alone; lines that begin with a
// blank, and repetitions of the last, are not kept. A session begins with the newest
// `history_lines_max`, and cuts a file of twice as many down to them. Ctrl-C drops the line.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tools/bulkhead/completion.hpp"
#include "tools/bulkhead/terminal_input.hpp"

namespace bulkhead::cli {

inline constexpr int history_lines_max = 1000;

class line_editor {
 public:
  line_editor(terminal_input& input, completion_source& source,
              std::optional<std::string> history_file);
  ~line_editor();
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;
  line_editor(line_editor&&) = delete;
  line_editor& operator=(line_editor&&) = delete;

  enum class result { line, end, interrupted };

  /// Reads a line, without its newline.
  result read(const std::string& prompt, std::string& line);

  /// Adds a command to the history, and to its file.
  void remember(const std::string& line);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace bulkhead::cli
