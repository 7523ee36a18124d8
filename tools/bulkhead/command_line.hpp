// SPDX-License-Identifier: Apache-2.0
//
// Words into a command to run: the same for the program's arguments, the REPL and scripts. Driven
// by the table of commands. `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`; flags stand
// anywhere; `--` ends them. A word like -9 is no flag, so that `kill kv/ -9` does what it says.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/bulkhead/command_table.hpp"

namespace bulkhead::cli {

enum class output_format { table, json };

struct invocation {
  const command_spec* command = nullptr;  ///< none: only flags were there
  std::vector<std::string> arguments;
  std::map<std::string, std::vector<std::string>, std::less<>> flags;

  bool has(std::string_view flag) const { return flags.find(flag) != flags.end(); }

  /// The last value of a flag, or `otherwise`.
  std::string value(std::string_view flag, std::string otherwise = {}) const;

  /// All its values.
  std::vector<std::string> values(std::string_view flag) const;

  /// An argument, or nothing.
  std::optional<std::string> argument(std::size_t index) const;
};

/// Throws `failure` (usage).
invocation parse_words(const std::vector<std::string>& words);

/// "table" or "json". Throws `failure` (usage).
output_format parse_format(std::string_view text);

/// "500ms", "30s", "2m", "1h"; a bare number is seconds. In milliseconds; 0 means no limit.
std::uint64_t parse_duration_ms(std::string_view text);

/// A count for a flag, 1 to `max`. Throws `failure` (usage) naming the flag.
std::uint64_t parse_count(std::string_view flag, std::string_view text, std::uint64_t min,
                          std::uint64_t max);

/// "KILL", "SIGKILL", "kill", "9", "-9". Throws `failure` (usage).
int parse_signal(std::string_view text);

/// "SIGKILL" for 9; the number for one without a name.
std::string signal_text(int number);

/// All names, without "SIG".
std::vector<std::string> signal_names();

}  // namespace bulkhead::cli
