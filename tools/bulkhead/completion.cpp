// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/completion.hpp"

#include <algorithm>
#include <set>

#include "tools/bulkhead/command_line.hpp"
#include "tools/bulkhead/tokenizer.hpp"

namespace bulkhead::cli {
namespace {

/// What stands before the word being completed, without flags and their values.
struct position {
  const command_spec* command = nullptr;
  std::vector<std::string> arguments;
  const flag_spec* flag = nullptr;  // whose value is being completed
};

bool looks_like_flag(const std::string& word) {
  return word.size() >= 2 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

position find_position(const std::vector<word>& words) {
  position found;
  for (const auto& each : words) {
    if (found.flag != nullptr) {
      found.flag = nullptr;
    } else if (looks_like_flag(each.text)) {
      const bool is_long = each.text[1] == '-';
      const auto* flag = is_long ? find_flag(found.command, std::string_view(each.text).substr(2))
                                 : find_flag(found.command, each.text[1]);
      const bool attached = !is_long && each.text.size() > 2;
      if (flag != nullptr && !flag->value.empty() && !attached) found.flag = flag;
    } else if (found.command == nullptr) {
      const bool second = found.arguments.size() == 1;
      found.command = find_command(second ? found.arguments[0] + " " + each.text : each.text);
      if (found.command != nullptr) found.arguments.clear();
      if (found.command == nullptr) found.arguments.push_back(each.text);
    } else {
      found.arguments.push_back(each.text);
    }
  }
  return found;
}

std::vector<std::string> flag_words(const command_spec* command) {
  std::vector<std::string> words;
  if (command != nullptr) {
    for (const auto& flag : command->flags) words.push_back("--" + std::string(flag.name));
  }
  for (const auto& flag : global_flags()) words.push_back("--" + std::string(flag.name));
  return words;
}

/// Mounts; or, once the word names one, what is below it.
std::vector<std::string> path_words(const std::string& typed, completion_source& source) {
  const auto slash = typed.rfind('/');
  std::vector<std::string> words = source.mounts();
  if (slash == std::string::npos) return words;
  const std::string folder = typed.substr(0, slash + 1);
  const bool below_a_mount = std::any_of(words.begin(), words.end(), [&](const auto& mount) {
    return folder.compare(0, mount.size(), mount) == 0;
  });
  if (below_a_mount) words = source.paths(folder);
  return words;
}

/// Each plugin of the catalog, by its name and with its kind.
std::vector<std::string> plugin_words(completion_source& source) {
  std::set<std::string> words;
  for (const auto& release : source.releases()) {
    const auto plugin = release.substr(0, release.rfind('@'));
    words.insert(plugin);
    words.insert(plugin.substr(plugin.find('/') + 1));
  }
  return {words.begin(), words.end()};
}

std::vector<std::string> argument_words(const position& at, const std::string& typed,
                                        completion_source& source) {
  const auto& specs = at.command->arguments;
  if (specs.empty()) return {};
  const std::size_t index = std::min(at.arguments.size(), specs.size() - 1);
  if (at.arguments.size() >= specs.size() && !specs.back().repeated) return {};
  switch (specs[index].kind) {
    case word_kind::any:
      return {};
    case word_kind::command:
      return at.arguments.empty() ? command_words({}) : command_words(at.arguments[0]);
    case word_kind::mount:
      return source.mounts();
    case word_kind::path:
      return path_words(typed, source);
    case word_kind::target: {
      auto words = source.mounts();
      for (auto& name : source.capabilities()) words.push_back(std::move(name));
      return words;
    }
    case word_kind::method:
      return source.methods(at.arguments[0]);
    case word_kind::method_args:
      return at.arguments.size() == 2 ? source.parameters(at.arguments[0], at.arguments[1])
                                      : std::vector<std::string>();
    case word_kind::signal:
      return signal_names();
    case word_kind::plugin:
      return plugin_words(source);
    case word_kind::release:
      return source.releases();
    case word_kind::kind:
      return {"auth", "database", "generic", "secrets"};
  }
  return {};
}

}  // namespace

completions complete(std::string_view line, completion_source& source) {
  words found = tokenize(line);
  completions result;
  result.begin = line.size();
  std::string typed;
  const bool in_word = !found.list.empty() && found.list.back().end == line.size();
  if (in_word) {
    typed = found.list.back().text;
    result.begin = found.list.back().begin;
    found.list.pop_back();
    if (line.substr(result.begin) != typed) return result;  // quotes, or a backslash
  }
  const position at = find_position(found.list);
  if (at.flag != nullptr) {
    for (const auto choice : at.flag->choices) result.list.emplace_back(choice);
  } else if (typed.substr(0, 1) == "-") {
    result.list = flag_words(at.command);
  } else if (at.command != nullptr) {
    result.list = argument_words(at, typed, source);
  } else if (at.arguments.empty()) {
    result.list = command_words({});
  } else if (at.arguments.size() == 1) {
    result.list = command_words(at.arguments[0]);
  }
  std::erase_if(result.list,
                [&](const std::string& word) { return word.compare(0, typed.size(), typed) != 0; });
  std::sort(result.list.begin(), result.list.end());
  result.list.erase(std::unique(result.list.begin(), result.list.end()), result.list.end());
  return result;
}

std::string common_prefix(const std::vector<std::string>& words) {
  if (words.empty()) return {};
  std::string prefix = words.front();
  for (const auto& word : words) {
    const auto [end, other] = std::mismatch(prefix.begin(), prefix.end(), word.begin(), word.end());
    prefix.erase(end, prefix.end());
  }
  return prefix;
}

}  // namespace bulkhead::cli
