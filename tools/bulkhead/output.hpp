// SPDX-License-Identifier: Apache-2.0
//
// Where a command's words go. Standard output carries what was asked for and nothing else; notes,
// warnings and errors go to standard error. With JSON, each command writes one record on one line
// (each line of a followed log is a record of its own), which begins with `schema_version`. It
// grows when a key changes its meaning; new keys may come at any time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tools/bulkhead/command_line.hpp"
#include "tools/bulkhead/datum.hpp"

namespace bulkhead::cli {

inline constexpr int json_schema_version = 1;

class output {
 public:
  using sink = std::function<void(std::string_view)>;

  /// `colour` is for standard output.
  output(sink out, sink notes, bool colour)
      : out_(std::move(out)), notes_(std::move(notes)), colour_(colour) {}

  output_format format = output_format::table;

  bool json() const { return format == output_format::json; }
  bool colour() const { return colour_ && !json(); }

  void text(std::string_view text) { out_(text); }

  /// Writes `record` with the version before its first key.
  void record(const datum& record);

  /// A line for people.
  void note(std::string_view line) { notes_(std::string(line) + "\n"); }

  /// As it is, to where notes go.
  void raw_note(std::string_view text) { notes_(text); }

 private:
  sink out_;
  sink notes_;
  bool colour_;
};

}  // namespace bulkhead::cli
