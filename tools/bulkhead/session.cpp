// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/session.hpp"

#include <fmt/format.h>

#include "tools/bulkhead/tokenizer.hpp"

namespace bulkhead::cli {
namespace {

void change_settings(environment& in, const invocation& flags) {
  if (flags.has("output")) in.out.format = parse_format(flags.value("output"));
  if (flags.has("timeout")) in.timeout_ms = parse_duration_ms(flags.value("timeout"));
  if (flags.has("help")) in.out.text(program_help());
}

}  // namespace

void report(environment& in, const failure& error, const std::string& prefix) {
  in.out.raw_note(error.text(prefix));
}

line_result run_line(environment& in, const std::string& line, const std::string& prefix) {
  line_result result;
  invocation command;
  try {
    const words found = tokenize(line);
    result.open = found.open;
    if (!found.error.empty()) throw usage(found.error);
    auto texts = found.texts();
    if (!texts.empty() && texts.front() == "bulkhead") texts.erase(texts.begin());
    if (texts.empty()) return result;
    if (texts.size() == 1 && (texts.front() == "exit" || texts.front() == "quit")) {
      result.ends_session = true;
      return result;
    }
    command = parse_words(texts);
    if (command.has("address")) {
      throw usage("--address cannot change inside a session", "start another `bulkhead`");
    }
    if (command.command == nullptr) {
      change_settings(in, command);
    } else {
      result.code = run_command(in, command);
    }
  } catch (failure& error) {
    result.code = error.code;
    if (result.open) return result;
    explain(in, command, error);
    report(in, error, prefix);
    result.reported = true;
  }
  return result;
}

exit_code run_script(environment& in, const next_line& next, bool keep_going) {
  exit_code first = exit_code::done;
  std::size_t number = 0;
  std::size_t begun_at = 0;
  std::string line;
  while (auto more = next()) {
    ++number;
    if (line.empty()) {
      begun_at = number;
      line = std::move(*more);
    } else {
      line += "\n" + *more;
    }
    const std::string prefix = fmt::format("stdin:{}: ", begun_at);
    if (line.size() > input_bytes_max) {
      report(in, usage("a command has more than 16 MiB"), prefix);
      return first == exit_code::done ? exit_code::usage : first;
    }
    const line_result result = run_line(in, line, prefix);
    if (result.open) continue;
    line.clear();
    if (result.ends_session) return first;
    if (result.code == exit_code::done) continue;
    if (first == exit_code::done) first = result.code;
    if (!result.reported) {
      in.out.note(
          fmt::format("{}the command ended with {}", prefix, static_cast<int>(result.code)));
    }
    if (!keep_going || result.code == exit_code::interrupted) return result.code;
  }
  if (line.empty()) return first;
  report(in, usage("the script ends inside quotes or brackets"),
         fmt::format("stdin:{}: ", begun_at));
  return first == exit_code::done ? exit_code::usage : first;
}

}  // namespace bulkhead::cli
