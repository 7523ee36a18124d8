// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/command_table.hpp"

#include <algorithm>

#include "tools/bulkhead/config_commands.hpp"
#include "tools/bulkhead/mount_flags.hpp"
#include "tools/bulkhead/plugin_commands.hpp"
#include "tools/bulkhead/trust_commands.hpp"

namespace bulkhead::cli {
namespace {

std::vector<command_spec> mount_commands() {
  const argument_spec path{"PATH", false, false, word_kind::mount};
  return {
      {command_id::mount,
       "mount",
       "Mounts",
       {{"PATH"}, {"PLUGIN", false, false, word_kind::plugin}},
       mount_flags(),
       "Mount a plugin at a path and start it",
       "PLUGIN is [KIND/]NAME[@VERSION], of the catalog (`plugin list`); in development mode also\n"
       "a file in the broker's plugin directory. A count or time that is left out is the one in\n"
       "brackets, or the broker's limit (`limits`), or none.\n",
       {"mount kv/ kv", "mount kv/ secrets/kv@1.4.2",
        "mount calc/ calc --option precision=6 --restart transient",
        "mount report/ report --lazy --idle-stop 10m"}},
      {command_id::unmount,
       "unmount",
       "Mounts",
       {path},
       {},
       "Stop a mount, forget it and delete its data",
       "Calls in flight may finish first; new ones are refused.\n",
       {"unmount kv/"}},
      {command_id::tune,
       "tune",
       "Mounts",
       {path},
       tune_flags(),
       "Change the rules of a mount",
       "Only what is given changes, all of it or nothing. Rules of calls, life and restarts, and\n"
       "limits, count at once, and so do grants of addresses; options and the rest of confinement\n"
       "with the next process, or now with --reload: when that process does not come up, nothing\n"
       "has changed.\n",
       {"tune kv/ --option max_versions=20 --reload", "tune kv/ --idle-stop 10m --in-flight 64"}},
      {command_id::move,
       "move",
       "Mounts",
       {{"FROM", false, false, word_kind::mount}, {"TO"}},
       {},
       "Give a mount another path",
       "Its data, its process and the calls under way stay; FROM is found no more.\n",
       {"move kv/ team/kv/"}},
      {command_id::mounts, "mounts", "Mounts", {}, {}, "List all mounts", "", {"mounts -o json"}},
      {command_id::status,
       "status",
       "Mounts",
       {{"PATH", true, false, word_kind::mount}},
       {},
       "Show one mount, or the broker and all mounts",
       "With PATH, exits with 3 when the mount is stopped, in backoff or quarantined.\n",
       {"status", "status kv/"}},
      {command_id::tree, "tree", "Mounts", {}, {}, "Show the supervision tree", "", {"tree"}},
  };
}

/// What an operator tells a mount to do.
std::vector<command_spec> order_commands() {
  const argument_spec path{"PATH", false, false, word_kind::mount};
  return {
      {command_id::kill,
       "kill",
       "Mounts",
       {path, {"SIGNAL", true, false, word_kind::signal}},
       {},
       "Send a signal to a mount's process",
       "SIGNAL is a name or a number; KILL when it is left out.\n",
       {"kill kv/", "kill kv/ TERM"}},
      {command_id::restart,
       "restart",
       "Mounts",
       {path},
       {},
       "Stop a mount's process in good order and start a new one",
       "Does not count as a failure, and cuts a backoff short.\n",
       {"restart kv/"}},
      {command_id::reset,
       "reset",
       "Mounts",
       {path},
       {},
       "Take a mount out of quarantine and start it",
       "",
       {"reset kv/"}},
      {command_id::breaker,
       "breaker",
       "Mounts",
       {path, {"open|close", false, false, word_kind::any}},
       {},
       "Refuse calls to a mount for now, or take them again",
       "An open breaker fails new calls at once; calls in flight go on, and the process stays.\n"
       "`close` also closes one that opened by itself. A new start of the broker closes it.\n",
       {"breaker kv/ open", "breaker kv/ close"}},
      {command_id::stop,
       "stop",
       "Mounts",
       {path},
       {},
       "Stop a mount's process and leave the mount stopped",
       "Calls to it fail at once until `start`, `restart`, or a new start of the broker.\n",
       {"stop kv/"}},
      {command_id::start,
       "start",
       "Mounts",
       {path},
       {},
       "Start a mount that is stopped",
       "Exits with 3 when it is quarantined: that takes a `reset`.\n",
       {"start kv/"}},
  };
}

/// How one process of a mount gives way to another release's.
std::vector<command_spec> replace_commands() {
  const argument_spec path{"PATH", false, false, word_kind::mount};
  return {
      {command_id::reload,
       "reload",
       "Mounts",
       {{"PATH", true, false, word_kind::mount}},
       {{"plugin", '\0', "NAME", "Every mount of this plugin, in place of PATH"},
        {"version", '\0', "V", "Take the new process only when it is of this version"},
        {"canary", '\0', "PERCENT", "First give it so many of a hundred calls, 1 to 99 ..."},
        {"canary-time", '\0', "TIME", "... for this long (10s); it must not do worse"}},
       "Replace a mount's process without a failed call",
       "Starts the new one beside the old one, switches over, and lets the old one finish its\n"
       "calls. When the new one fails, the old one serves on. One line for each mount; exits\n"
       "with 1 when any failed. --timeout does not count the time of a canary.\n",
       {"reload kv/", "reload --plugin kv --version 1.1.0", "reload kv/ --canary 10"}},
      {command_id::rollback,
       "rollback",
       "Mounts",
       {path},
       {},
       "Take back the last upgrade that migrated a mount's storage",
       "The data is put back as it was before, and the version with it; what was written since is\n"
       "lost, and the snapshot is gone then. `status` shows what it returns to; without a "
       "snapshot\n"
       "nothing happens. Pins and the configuration file stay: the next reload goes by them.\n",
       {"rollback kv/"}},
  };
}

/// What concerns the broker's state as a whole.
std::vector<command_spec> state_commands() {
  return {
      {command_id::backup,
       "backup",
       "State",
       {{"FILE"}},
       {},
       "Copy the broker's state into a new file, while everything goes on",
       "FILE is made by the broker, on its machine, and never replaces one that is there. What\n"
       "is encrypted stays so: keep the key file too, elsewhere. `bulkheadd --restore FILE` puts\n"
       "a copy back; `bulkheadd --check-state` judges one. Waits for the end without --timeout.\n",
       {"backup /var/backups/bulkhead.db"}},
      {command_id::rotate_state_key,
       "rotate-state-key",
       "State",
       {},
       {},
       "Encrypt what plugins store with the newest key of the key file",
       "Append a key first, with `bulkheadd --new-state-key FILE`. The broker reads the file\n"
       "anew; when this has ended, older keys may be taken out of it, but backups made before\n"
       "need them. Waits for the end without --timeout.\n",
       {"rotate-state-key"}},
  };
}

std::vector<command_spec> data_commands() {
  const argument_spec path{"PATH", false, false, word_kind::path};
  const argument_spec fields{"K=V", true, true};
  return {
      {command_id::read,
       "read",
       "Data",
       {path, fields},
       {},
       "Read what is at a path",
       "",
       {"read kv/data/app", "read kv/data/app version:=2 -o json"}},
      {command_id::write,
       "write",
       "Data",
       {path, fields},
       {},
       "Write values to a path",
       "K=V is text; K=@FILE takes a file's content, K=- standard input; K:=JSON is typed.\n"
       "K=\\@TEXT is text that begins with an at sign.\n",
       {"write kv/data/app user=alice password=-", "write kv/data/app cert=@app.pem cas:=3"}},
      {command_id::list,
       "list",
       "Data",
       {path, fields},
       {},
       "List the keys below a path",
       "A key that ends in a slash is a folder.\n",
       {"list kv/metadata/"}},
      {command_id::remove,
       "delete",
       "Data",
       {path, fields},
       {},
       "Delete what is at a path",
       "",
       {"delete kv/data/app"}},
      {command_id::call,
       "call",
       "Data",
       {{"TARGET", false, false, word_kind::target},
        {"METHOD", false, false, word_kind::method},
        {"ARGS", true, true, word_kind::method_args}},
       {{"reveal", '\0', "", "Show fields that the schema marks as secret"}},
       "Call a method of a plugin's own interface",
       "TARGET is a mount, or a capability that an earlier result held ($1, $2, ...).\n"
       "ARGS are Cap'n Proto text, (a = 1, b = \"x\"), or JSON, {\"a\": 1, \"b\": \"x\"}. $1 "
       "passes a\n"
       "capability on; $print passes one that prints the calls it gets.\n",
       {"call calc/ evaluate (expression = \"1 + 2\")", "call $1 call {\"params\": [1, 2]}"}},
      {command_id::describe,
       "describe",
       "Data",
       {path},
       {},
       "Show what a mount serves: methods, paths, fields",
       "",
       {"describe calc/", "describe kv/"}},
  };
}

/// What plugins use, and how the machine is hardened.
std::vector<command_spec> health_commands() {
  const argument_spec path{"PATH", false, false, word_kind::mount};
  return {
      {command_id::top,
       "top",
       "Watching",
       {},
       {{"follow", 'f', "", "Go on until interrupted"},
        {"rounds", 'n', "N", "So many tables, one every two seconds"}},
       "Show what the processes of all mounts use, the busiest first",
       "Figures are those of the newest sample; the broker takes one every `sample_ms`. A dash is\n"
       "one that is not known yet, or that this broker may not read.\n",
       {"top", "top -f", "top -o json"}},
      {command_id::usage,
       "usage",
       "Watching",
       {path},
       {{"samples", 'n', "N", "The newest N samples; all that are kept when left out"}},
       "Show what a mount's process used over time",
       "",
       {"usage kv/ -n 30"}},
      {command_id::doctor,
       "doctor",
       "Watching",
       {},
       {{"all", 'a', "", "Show what is as it should be too"}},
       "Show where the broker's machine could be hardened",
       "Each finding says what was found, what is wanted, why, and what to do. Exits with 1 when\n"
       "plugins or secrets are exposed.\n",
       {"doctor", "doctor --all -o json"}},
  };
}

std::vector<command_spec> watching_commands() {
  const argument_spec path{"PATH", false, false, word_kind::mount};
  return {
      {command_id::logs,
       "logs",
       "Watching",
       {path},
       {{"lines", 'n', "N", "The newest N lines (100; at most 1000)"},
        {"follow", 'f', "", "Go on until interrupted"}},
       "Show the newest lines of a mount's log",
       "",
       {"logs kv/ -n 20", "logs kv/ -f"}},
      {command_id::events,
       "events",
       "Watching",
       {},
       {{"follow", 'f', "", "Go on until interrupted"},
        {"since", '\0', "N", "Only events with a number above N"}},
       "Show what happened to mounts, oldest first",
       "A line begins with the event's number. `events --since N -f` goes on after N, also in\n"
       "another session; when the broker has forgotten events after N, it says how many are\n"
       "gone. A broker that was started anew counts from 1.\n",
       {"events", "events --since 120 -f -o json"}},
      {command_id::why,
       "why",
       "Watching",
       {path},
       {{"reports", 'n', "N", "The newest N reports (1; 0: all that are kept)"}},
       "Show how a mount's process ended, what it took along, and what followed",
       "",
       {"why kv/", "why kv/ -n 5"}},
      {command_id::limits,
       "limits",
       "Watching",
       {},
       {},
       "Show every limit of the broker",
       "",
       {"limits"}},
      {command_id::version,
       "version",
       "Watching",
       {},
       {},
       "Show the versions of this program and of the broker",
       "",
       {"version"}},
      {command_id::help,
       "help",
       "Watching",
       {{"COMMAND", true, true, word_kind::command}},
       {},
       "Explain a command, or list all",
       "",
       {"help mount"}},
  };
}

}  // namespace

const std::vector<command_spec>& command_table() {
  static const std::vector<command_spec> table = []() {
    std::vector<command_spec> all = mount_commands();
    for (auto& spec : order_commands()) all.push_back(std::move(spec));
    for (auto& spec : replace_commands()) all.push_back(std::move(spec));
    for (auto& spec : state_commands()) all.push_back(std::move(spec));
    for (auto& spec : config_commands()) all.push_back(std::move(spec));
    for (auto& spec : data_commands()) all.push_back(std::move(spec));
    for (auto& spec : health_commands()) all.push_back(std::move(spec));
    for (auto& spec : watching_commands()) all.push_back(std::move(spec));
    for (auto& spec : plugin_commands()) all.push_back(std::move(spec));
    for (auto& spec : trust_commands()) all.push_back(std::move(spec));
    for (auto& spec : trust_store_commands()) all.push_back(std::move(spec));
    return all;
  }();
  return table;
}

const std::vector<flag_spec>& global_flags() {
  static const std::vector<flag_spec> flags = {
      {"output", 'o', "FORMAT", "table or json; also BULKHEAD_FORMAT", false, {"table", "json"}},
      {"address", '\0', "ADDRESS",
       "The broker's socket, unix:PATH; also BULKHEAD_ADDRESS. Not inside a session"},
      {"timeout", '\0', "TIME", "How long a command may take: 500ms, 30s (the default), 2m, 0"},
      {"keep-going", '\0', "", "In a script: do not stop at the first error"},
      {"help", 'h', "", "Explain the command"},
  };
  return flags;
}

const command_spec* find_command(std::string_view name) {
  for (const auto& command : command_table()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

namespace {

template <typename Matches>
const flag_spec* first_flag(const command_spec* command, Matches matches) {
  if (command != nullptr) {
    for (const auto& flag : command->flags) {
      if (matches(flag)) return &flag;
    }
  }
  for (const auto& flag : global_flags()) {
    if (matches(flag)) return &flag;
  }
  return nullptr;
}

}  // namespace

const flag_spec* find_flag(const command_spec* command, std::string_view name) {
  return first_flag(command, [&](const flag_spec& flag) { return flag.name == name; });
}

const flag_spec* find_flag(const command_spec* command, char letter) {
  return first_flag(
      command, [&](const flag_spec& flag) { return flag.letter != '\0' && flag.letter == letter; });
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& command : command_table()) names.emplace_back(command.name);
  return names;
}

std::vector<std::string> command_words(std::string_view group) {
  std::vector<std::string> words;
  for (const auto& command : command_table()) {
    const auto blank = std::min(command.name.find(' '), command.name.size());
    if (group.empty()) {
      words.emplace_back(command.name.substr(0, blank));
    } else if (blank < command.name.size() && command.name.substr(0, blank) == group) {
      words.emplace_back(command.name.substr(blank + 1));
    }
  }
  return words;
}

}  // namespace bulkhead::cli
