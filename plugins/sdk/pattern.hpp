// SPDX-License-Identifier: Apache-2.0
//
// Path patterns of the request style: "data/{path*}", "metadata/{name}", "config".
//
// A pattern is segments between slashes. {x} matches one segment that is not empty, {x*} matches
// all that is left, also nothing, and may only stand last. When several patterns match a path, the
// most specific wins: compared segment by segment, a literal beats {x}, and {x} beats {x*}. So
// reserved words beside a catch-all need no order and no care.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::sdk {

class pattern {
 public:
  using captures = std::vector<std::pair<std::string, std::string>>;

  /// Parses. Throws std::invalid_argument for a pattern that is none: an author's mistake, so it
  /// ends the program.
  explicit pattern(std::string text);

  /// What the captures matched, or nothing. `path` has no leading and no trailing slash.
  std::optional<captures> match(std::string_view path) const;
  /// Orders two patterns that match the same path: true when this one is the more specific.
  bool beats(const pattern& other) const { return rank_ > other.rank_; }
  const std::string& text() const { return text_; }

 private:
  enum class segment_kind : char { rest = '0', capture = '1', literal = '2' };
  struct segment {
    segment_kind kind;
    std::string name;
  };

  std::string text_;
  std::vector<segment> segments_;
  std::string rank_;  // One character of segment_kind per segment.
};

}  // namespace bulkhead::sdk
