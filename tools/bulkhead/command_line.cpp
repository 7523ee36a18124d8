// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <limits>

#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/suggest.hpp"

namespace bulkhead::cli {
namespace {

constexpr int signal_max = 64;

bool is_flag(const std::string& word) {
  return word.size() >= 2 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

std::string help_hint(const command_spec* command) {
  return command == nullptr ? "bulkhead help" : fmt::format("bulkhead help {}", command->name);
}

class reader {
 public:
  explicit reader(const std::vector<std::string>& words) : words_(words) {}

  invocation read() {
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (!flags_ended_ && word == "--") {
        flags_ended_ = true;
      } else if (!flags_ended_ && is_flag(word)) {
        read_flag(word);
      } else if (result_.command == nullptr) {
        read_command(word);
      } else {
        result_.arguments.push_back(word);
      }
    }
    if (result_.command == nullptr && !group_.empty() && !result_.has("help")) {
      incomplete_command();
    }
    if (result_.command != nullptr && !result_.has("help")) check_arguments();
    return std::move(result_);
  }

 private:
  void read_command(const std::string& word) {
    const std::string name = group_.empty() ? word : group_ + " " + word;
    result_.command = find_command(name);
    if (result_.command != nullptr) return;
    if (group_.empty() && !command_words(word).empty()) {
      group_ = word;
      return;
    }
    std::string remedy = did_you_mean(name, command_names());
    if (remedy.empty()) remedy = group_.empty() ? "bulkhead help" : "bulkhead help " + group_;
    throw usage(fmt::format("unknown command '{}'", wire::escape_line(name)), remedy);
  }

  [[noreturn]] void incomplete_command() const {
    throw usage(fmt::format("'{}' is half a command", group_),
                fmt::format("one of: {} {}", group_,
                            fmt::join(command_words(group_), fmt::format(", {} ", group_))));
  }

  void read_flag(const std::string& word) {
    const bool is_long = word[1] == '-';
    const std::size_t equals = is_long ? word.find('=') : std::string::npos;
    const std::string name = is_long
                                 ? word.substr(2, equals == std::string::npos ? equals : equals - 2)
                                 : word.substr(1, 1);
    const flag_spec* flag =
        is_long ? find_flag(result_.command, name) : find_flag(result_.command, name[0]);
    if (flag == nullptr) unknown_flag(word, name);
    auto& values = result_.flags[std::string(flag->name)];
    const bool attached = is_long ? equals != std::string::npos : word.size() > 2;
    if (flag->value.empty()) {
      if (attached) throw usage(fmt::format("--{} takes no value", flag->name));
      values.emplace_back();
    } else if (attached) {
      values.push_back(is_long ? word.substr(equals + 1) : word.substr(2));
    } else if (at_ + 1 < words_.size()) {
      values.push_back(words_[++at_]);
    } else {
      throw usage(fmt::format("--{} needs a value: {}", flag->name, flag->value),
                  help_hint(result_.command));
    }
    check_choice(*flag, values.back());
    if (values.size() > 1 && !flag->repeated && !flag->value.empty()) {
      throw usage(fmt::format("--{} is given twice", flag->name));
    }
  }

  static void check_choice(const flag_spec& flag, const std::string& value) {
    if (flag.choices.empty()) return;
    if (std::find(flag.choices.begin(), flag.choices.end(), value) != flag.choices.end()) return;
    throw usage(fmt::format("'{}' is no value for --{}", wire::escape_line(value), flag.name),
                fmt::format("one of: {}", fmt::join(flag.choices, ", ")));
  }

  [[noreturn]] void unknown_flag(const std::string& word, const std::string& name) const {
    std::vector<std::string> names;
    if (result_.command != nullptr) {
      for (const auto& flag : result_.command->flags) names.emplace_back(flag.name);
    }
    for (const auto& flag : global_flags()) names.emplace_back(flag.name);
    const std::string near = nearest(name, names);
    throw usage(
        fmt::format("unknown flag '{}'", wire::escape_line(word)),
        near.empty() ? help_hint(result_.command) : fmt::format("did you mean '--{}'?", near));
  }

  void check_arguments() const {
    const auto& specs = result_.command->arguments;
    const auto& given = result_.arguments;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (i >= given.size() && !specs[i].optional) {
        throw usage(fmt::format("{}: {} is missing", result_.command->name, specs[i].name),
                    fmt::format("bulkhead {}", synopsis(*result_.command)));
      }
    }
    const bool open_end = !specs.empty() && specs.back().repeated;
    if (given.size() > specs.size() && !open_end) {
      throw usage(fmt::format("{}: '{}' is too much", result_.command->name,
                              wire::escape_line(given[specs.size()])),
                  fmt::format("bulkhead {}", synopsis(*result_.command)));
    }
  }

  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
  bool flags_ended_ = false;
  std::string group_;  // the first word of a command of two, until the second is there
  invocation result_;
};

bool read_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string invocation::value(std::string_view flag, std::string otherwise) const {
  const auto found = flags.find(flag);
  if (found == flags.end()) return otherwise;
  return found->second.back();
}

std::vector<std::string> invocation::values(std::string_view flag) const {
  const auto found = flags.find(flag);
  return found == flags.end() ? std::vector<std::string>() : found->second;
}

std::optional<std::string> invocation::argument(std::size_t index) const {
  if (index >= arguments.size()) return std::nullopt;
  return arguments[index];
}

invocation parse_words(const std::vector<std::string>& words) {
  return reader(words).read();
}

output_format parse_format(std::string_view text) {
  if (text == "table") return output_format::table;
  if (text == "json") return output_format::json;
  throw usage(fmt::format("'{}' is no output format", wire::escape_line(text)),
              "one of: table, json");
}

std::uint64_t parse_duration_ms(std::string_view text) {
  const auto unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(unit_at);
  std::uint64_t number = 0;
  std::uint64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s" || unit.empty()) factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  constexpr std::uint64_t days_max_ms = 366ULL * 24 * 3'600'000;
  if (factor == 0 || !read_number(text.substr(0, unit_at), number) ||
      number > days_max_ms / factor) {
    throw usage(fmt::format("'{}' is no duration", wire::escape_line(text)),
                "as in 500ms, 30s, 2m; 0 is no limit");
  }
  return number * factor;
}

std::uint64_t parse_count(std::string_view flag, std::string_view text, std::uint64_t min,
                          std::uint64_t max) {
  std::uint64_t number = 0;
  if (read_number(text, number) && number >= min && number <= max) return number;
  throw usage(fmt::format("'{}' is no value for --{}", wire::escape_line(text), flag),
              max == std::numeric_limits<std::uint64_t>::max()
                  ? std::string("a whole number")
                  : fmt::format("a whole number, {} to {}", min, max));
}

int parse_signal(std::string_view text) {
  std::string name(text);
  if (!name.empty() && name.front() == '-') name.erase(0, 1);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  if (name.compare(0, 3, "SIG") == 0) name.erase(0, 3);
  std::uint64_t number = 0;
  if (read_number(name, number) && number >= 1 && number <= signal_max) {
    return static_cast<int>(number);
  }
  for (int signal = 1; signal <= signal_max; ++signal) {
    const char* known = sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  const std::string remedy = did_you_mean(name, signal_names());
  throw usage(fmt::format("'{}' is no signal", wire::escape_line(text)),
              remedy.empty() ? "a name as KILL or TERM, or a number from 1 to 64" : remedy);
}

std::string signal_text(int number) {
  const char* name = sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

std::vector<std::string> signal_names() {
  std::vector<std::string> names;
  for (int signal = 1; signal <= signal_max; ++signal) {
    const char* known = sigabbrev_np(signal);
    if (known != nullptr) names.emplace_back(known);
  }
  return names;
}

}  // namespace bulkhead::cli
