// SPDX-License-Identifier: Apache-2.0
//
// A line of the REPL or of a script, cut into words as a shell would: words are separated by
// blanks; 'single quotes' keep everything; "double quotes" keep everything but \" and \\; a
// backslash keeps the next character, and at the end of a line joins the next one to it; # at the
// start of a word begins a comment. There are no variables and no substitution.
//
// One thing a shell does not do: a word that begins with ( or { or [, and what follows `:=`, goes
// on to the matching bracket and is kept as it is, quotes and blanks included. So arguments of
// `call` need no quoting: `call calc/ evaluate (expression = "1 + 2")`.
//
// Pure. Words know where they stood, for completion and for error texts.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

struct word {
  std::string text;
  std::size_t begin = 0;  ///< offsets into the line
  std::size_t end = 0;
};

struct words {
  std::vector<word> list;
  /// What is wrong with the line; empty when nothing is.
  std::string error;
  /// The line ends inside quotes or brackets: more input may complete it.
  bool open = false;

  std::vector<std::string> texts() const;
};

words tokenize(std::string_view line);

/// `text` so that `tokenize` reads it as one word.
std::string quote(std::string_view text);

}  // namespace bulkhead::cli
