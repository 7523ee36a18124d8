// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/settings.hpp"

#include "tools/bulkhead/environment.hpp"

namespace bulkhead::cli {
namespace {

std::optional<std::string> non_empty(const variable_reader& variable, const std::string& name) {
  auto value = variable(name);
  if (value && value->empty()) return std::nullopt;
  return value;
}

}  // namespace

std::string resolve_address(const invocation& command, const variable_reader& variable,
                            const existence_test& exists) {
  if (command.has("address")) return command.value("address");
  if (auto address = non_empty(variable, "BULKHEAD_ADDRESS")) return *address;
  const std::string system(system_socket);
  if (exists(system)) return "unix:" + system;
  if (const auto runtime = non_empty(variable, "XDG_RUNTIME_DIR")) {
    const std::string own = *runtime + "/bulkhead/bulkhead.sock";
    if (exists(own)) return "unix:" + own;
  }
  return "unix:" + system;
}

settings resolve_settings(const invocation& command, const variable_reader& variable,
                          const existence_test& exists) {
  settings result;
  result.address = resolve_address(command, variable, exists);
  const auto format = non_empty(variable, "BULKHEAD_FORMAT");
  if (command.has("output")) {
    result.format = parse_format(command.value("output"));
  } else if (format) {
    result.format = parse_format(*format);
  }
  result.timeout_ms =
      command.has("timeout") ? parse_duration_ms(command.value("timeout")) : command_ms_default;
  result.keep_going = command.has("keep-going");
  return result;
}

bool wants_colour(const variable_reader& variable, bool is_terminal) {
  return is_terminal && !non_empty(variable, "NO_COLOR");
}

std::optional<std::string> history_path(const variable_reader& variable) {
  if (const auto state = non_empty(variable, "XDG_STATE_HOME")) return *state + "/bulkhead/history";
  if (const auto home = non_empty(variable, "HOME")) {
    return *home + "/.local/state/bulkhead/history";
  }
  return std::nullopt;
}

}  // namespace bulkhead::cli
