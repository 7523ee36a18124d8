// SPDX-License-Identifier: Apache-2.0
//
// All commands as data: what they are called, what they take, and how they are explained. The
// parser, the help texts and the completion of the REPL read this one table; what a command does
// stands in commands_*.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

/// What a word can be, for completion.
enum class word_kind {
  any,
  command,
  mount,        // a mount's path
  path,         // a path below a mount
  target,       // a mount with a typed interface, or a kept capability
  method,       // of the target before it
  method_args,  // fields of the method before it
  signal,
  plugin,   // of the catalog
  release,  // one version of it
  kind,     // of plugins
};

struct argument_spec {
  std::string_view name;
  bool optional = false;
  bool repeated = false;
  word_kind kind = word_kind::any;
};

struct flag_spec {
  std::string_view name;  ///< without dashes
  char letter = '\0';
  std::string_view value;  ///< what its value is called; empty for a switch
  std::string_view summary;
  bool repeated = false;
  std::vector<std::string_view> choices = {};  ///< the values that it takes, when they are few
};

enum class command_id {
  mount,
  unmount,
  tune,
  move,
  mounts,
  status,
  tree,
  kill,
  restart,
  reset,
  breaker,
  rollback,
  stop,
  start,
  reload,
  backup,
  rotate_state_key,
  read,
  write,
  list,
  remove,
  call,
  describe,
  logs,
  events,
  why,
  top,
  usage,
  doctor,
  limits,
  version,
  help,
  key_generate,
  key_sign,
  key_verify,
  plugin_manifest,
  plugin_register,
  plugin_list,
  plugin_info,
  plugin_deregister,
  plugin_pin,
  plugin_unpin,
  key_trust,
  key_untrust,
  key_list,
  key_policy,
  config_check,
  config_diff,
  config_apply,
  config_show,
};

struct command_spec {
  command_id id;
  std::string_view name;  ///< one word, or two: a group and a word of it, "key generate"
  std::string_view group;
  std::vector<argument_spec> arguments;
  std::vector<flag_spec> flags;
  std::string_view summary;
  std::string_view details;  ///< may be empty; lines end in newlines
  std::vector<std::string_view> examples;
};

const std::vector<command_spec>& command_table();

/// Flags that every command takes, and the program before its command.
const std::vector<flag_spec>& global_flags();

/// Nothing when there is no such command.
const command_spec* find_command(std::string_view name);
const flag_spec* find_flag(const command_spec* command, std::string_view name);
const flag_spec* find_flag(const command_spec* command, char letter);

std::vector<std::string> command_names();

/// The words that may follow `group`, "key"; with an empty group, those that a command may begin
/// with. None when there is no such group.
std::vector<std::string> command_words(std::string_view group);

/// "mount PATH PLUGIN [--option K=V]...".
std::string synopsis(const command_spec& command);

/// The page of one command, and the overview of all.
std::string command_help(const command_spec& command);

/// The commands of a group, "key", one a line.
std::string group_help(std::string_view group);
std::string program_help();

}  // namespace bulkhead::cli
