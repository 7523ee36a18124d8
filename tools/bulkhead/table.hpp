// SPDX-License-Identifier: Apache-2.0
//
// Rows of text as aligned columns, two blanks apart. Widths count characters, not bytes (no
// double-width ones). A cell never breaks a line: control characters are escaped. Colour is only
// added when asked for. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

enum class tint { none, good, warn, bad, faint, heading };

/// `text` in the colour, as an ECMA-48 sequence; as it is when `colour` is false.
std::string tinted(std::string_view text, tint colour_of, bool colour);

class table {
 public:
  explicit table(std::vector<std::string> headings);

  /// A row; missing cells are empty. `state_tint` colours the cell under the heading "STATE".
  void add(std::vector<std::string> cells, tint state_tint = tint::none);

  bool empty() const { return rows_.empty(); }

  /// All lines, each ending in a newline, without blanks at their ends.
  std::string render(bool colour) const;

 private:
  struct row {
    std::vector<std::string> cells;
    tint state_tint;
  };
  std::vector<std::string> headings_;
  std::vector<row> rows_;
};

/// Characters in UTF-8 text.
std::size_t character_count(std::string_view text);

/// A duration in a few characters: "412 ms", "3 s", "2 m 5 s", "3 h 4 m", "9 d 2 h".
std::string short_duration(std::uint64_t ms);

/// A size: "512 B", "1.5 KiB", "3.0 MiB".
std::string short_bytes(std::uint64_t bytes);

/// A moment in UTC, as in "2026-11-22 23:35:17.042".
std::string utc_time(std::int64_t unix_ms);

}  // namespace bulkhead::cli
