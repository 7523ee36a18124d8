// SPDX-License-Identifier: Apache-2.0
//
// What flags and the environment say about a run of the program. A flag wins over the environment,
// and that over the default. Pure: the environment and the file system are handed in.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tools/bulkhead/command_line.hpp"

namespace bulkhead::cli {

inline constexpr std::string_view system_socket = "/run/bulkhead/bulkhead.sock";

using variable_reader = std::function<std::optional<std::string>(const std::string& name)>;
using existence_test = std::function<bool(const std::string& path)>;

struct settings {
  std::string address;
  output_format format = output_format::table;
  std::uint64_t timeout_ms = 0;
  bool keep_going = false;
};

/// --address, BULKHEAD_ADDRESS, the system's socket, or the user's ($XDG_RUNTIME_DIR) where only
/// that exists.
std::string resolve_address(const invocation& command, const variable_reader& variable,
                            const existence_test& exists);

/// Throws `failure` (usage) for values that cannot be read.
settings resolve_settings(const invocation& command, const variable_reader& variable,
                          const existence_test& exists);

/// A terminal gets colour unless NO_COLOR says otherwise.
bool wants_colour(const variable_reader& variable, bool is_terminal);

/// $XDG_STATE_HOME/bulkhead/history, else ~/.local/state/bulkhead/history; nothing without a home.
std::optional<std::string> history_path(const variable_reader& variable);

}  // namespace bulkhead::cli
