// SPDX-License-Identifier: Apache-2.0
// From the bytes of a pipe to lines that are safe to show.
//
// What an untrusted process writes to stdout and stderr ends on an operator's terminal, so nothing
// of it may act there, nor hide there: control characters (C0, DEL, C1), the characters that
// reorder text (U+202A..202E, U+2066..2069 and the marks), those without width (U+200B..200F,
// U+2060..206F, U+FEFF, tags), the line and paragraph separators, and bytes that are not UTF-8
// become escapes, as in \x1b and \u202e. A tab becomes \t. A carriage return before the newline
// goes. The backslash itself stays: the escapes are for eyes, not for parsing back.
//
// Two limits hold a flood: a line has at most `line_bytes_max` bytes, escapes included (the rest up
// to the newline is dropped, and the line ends in `log_cut_mark`); and at most `lines_per_s_max`
// lines pass a second, after a burst of as many. What is above is dropped and counted; one line
// saying how many were dropped stands before the next line that passes, and at the end. Memory: one
// line. Pure: time is passed in. One splitter per pipe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/clock.hpp"

namespace bulkhead {

/// Ends a line that was too long.
inline constexpr std::string_view log_cut_mark = "[cut]";
/// The smallest line limit: room for the mark and one escape.
inline constexpr std::size_t log_line_bytes_min = 16;

/// `raw` with everything escaped that could act on a terminal, cut with the mark where it would
/// exceed `bytes_max`, which is at least `log_line_bytes_min`.
std::string printable(std::string_view raw, std::size_t bytes_max);

struct log_line_limits {
  std::size_t line_bytes_max = 4096;   // longer lines are cut; at least `log_line_bytes_min`
  std::size_t lines_per_s_max = 1000;  // more are dropped and counted; 0: no limit
};

class line_splitter {
 public:
  explicit line_splitter(log_line_limits limits = {});

  /// Takes bytes as they were read, and answers the lines that are complete, ready to show.
  std::vector<std::string> feed(std::string_view bytes, instant now);

  /// The pipe has ended: what is left is a line, and drops not yet told are told.
  std::vector<std::string> finish(instant now);

  /// Lines dropped by the rate limit, ever.
  std::uint64_t dropped() const { return dropped_; }

 private:
  void end_line(instant now, std::vector<std::string>& lines);
  bool may_pass(instant now);
  void tell_drops(std::vector<std::string>& lines);

  log_line_limits limits_;
  std::string line_;       // raw, at most line_bytes_max + 1 bytes
  bool skipping_ = false;  // in the rest of a line that was cut
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;  // of those, not yet told in a line
  std::chrono::nanoseconds credit_{};
  instant last_{};
  bool seen_any_ = false;
};

}  // namespace bulkhead
