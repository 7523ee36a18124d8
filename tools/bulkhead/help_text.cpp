// SPDX-License-Identifier: Apache-2.0
//
// Help, written from the table of commands.
#include <fmt/format.h>

#include <algorithm>

#include "tools/bulkhead/command_table.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::size_t flag_columns_min = 22;
constexpr std::size_t synopsis_flags_max = 3;  // of more only the first is spelt out

constexpr std::string_view exit_codes =
    "Exit codes:\n"
    "  0 done                          5 the broker cannot be reached\n"
    "  1 failed at broker or plugin    6 not permitted\n"
    "  2 wrong usage                   7 timed out\n"
    "  3 not in that state           130 interrupted\n"
    "  4 no such target\n";

std::string flag_text(const flag_spec& flag) {
  std::string text = flag.letter != '\0' ? fmt::format("-{}, ", flag.letter) : std::string();
  text += fmt::format("--{}", flag.name);
  if (!flag.value.empty()) text += fmt::format(" {}", flag.value);
  return text;
}

std::string flag_lines(const std::vector<flag_spec>& flags) {
  std::string text;
  std::size_t width = flag_columns_min;
  for (const auto& flag : flags) width = std::max(width, flag_text(flag).size());
  for (const auto& flag : flags) {
    std::string summary(flag.summary);
    if (!flag.choices.empty() && flag.name != "output") {
      summary += fmt::format(" ({})", fmt::join(flag.choices, ", "));
    }
    text += fmt::format("  {:<{}}  {}\n", flag_text(flag), width, summary);
  }
  return text;
}

}  // namespace

std::string synopsis(const command_spec& command) {
  std::string text(command.name);
  for (const auto& argument : command.arguments) {
    text += fmt::format(" {}{}{}{}", argument.optional ? "[" : "", argument.name,
                        argument.optional ? "]" : "", argument.repeated ? "..." : "");
  }
  const bool many = command.flags.size() > synopsis_flags_max;
  for (const auto& flag : command.flags) {
    const std::string shown =
        flag.letter != '\0' ? fmt::format("-{}", flag.letter) : fmt::format("--{}", flag.name);
    text += fmt::format(" [{}{}{}]{}", shown, flag.value.empty() ? "" : " ", flag.value,
                        flag.repeated ? "..." : "");
    if (many) return text + " [FLAGS]";
  }
  return text;
}

std::string command_help(const command_spec& command) {
  std::string text;
  for (const auto& example : command.examples) text += fmt::format("  bulkhead {}\n", example);
  text += fmt::format("\n{}.\n\nUsage: bulkhead {}\n", command.summary, synopsis(command));
  if (!command.details.empty()) text += fmt::format("\n{}", command.details);
  if (!command.flags.empty()) text += "\n" + flag_lines(command.flags);
  return text + "\nFor every command:\n" + flag_lines(global_flags());
}

std::string group_help(std::string_view group) {
  std::string text = "Usage:\n";
  const std::string begin = std::string(group) + " ";
  for (const auto& command : command_table()) {
    if (command.name.substr(0, begin.size()) != begin) continue;
    text += fmt::format("  bulkhead {}\n      {}\n", synopsis(command), command.summary);
  }
  return text + fmt::format("\n`help {} WORD` says more.\n", group);
}

std::string program_help() {
  std::string text =
      "Talk to a Bulkhead broker: mount plugins, call them, see how they are.\n\n"
      "Usage: bulkhead [FLAGS] COMMAND [ARGS]    one command\n"
      "       bulkhead [FLAGS]                   a session; from a pipe, a script\n"
      "In a session `exit` or Ctrl-D ends it, Tab completes, flags alone hold for all that "
      "follows.\n";
  std::size_t width = 0;
  for (const auto& command : command_table()) width = std::max(width, command.name.size());
  std::string_view group;
  for (const auto& command : command_table()) {
    if (command.group != group) text += fmt::format("\n{}:\n", command.group);
    group = command.group;
    text += fmt::format("  {:<{}}  {}\n", command.name, width, command.summary);
  }
  text += "\nFlags:\n" + flag_lines(global_flags());
  return text + "\n" + std::string(exit_codes) + "\n`help COMMAND` says more.\n";
}

}  // namespace bulkhead::cli
