// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead`: one command from its arguments, a session on a terminal, a script from a pipe.
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "tools/bulkhead/repl.hpp"
#include "tools/bulkhead/session.hpp"
#include "tools/bulkhead/settings.hpp"

namespace bulkhead::cli {
namespace {

/// Nobody reads standard output any more: `bulkhead events | head`. No error of ours.
struct output_closed {};

output::sink stream_sink(std::FILE* stream) {
  return [stream](std::string_view text) {
    const bool written =
        std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
    if (written || stream != stdout) return;
    if (errno == EPIPE) throw output_closed{};
    throw failure(exit_code::failed, "cannot write to standard output",
                  std::generic_category().message(errno));
  };
}

class process_values final : public value_reader {
 public:
  process_values(terminal_input& input, bool holds_commands)
      : input_(input), holds_commands_(holds_commands) {}

  std::string file(const std::string& path) override {
    std::ifstream file(path, std::ios::binary);
    std::string content(input_bytes_max + 1, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(file.gcount()));
    if (content.size() > input_bytes_max) throw usage("'" + path + "' has more than 16 MiB");
    if (!file.eof()) {
      throw failure(exit_code::usage, "cannot read '" + path + "'", {}, "is the file there?");
    }
    return content;
  }

  std::string standard_input() override {
    if (holds_commands_) {
      throw usage("standard input holds the commands, so K=- cannot read it", "use K=@FILE");
    }
    return input_.read_all();
  }

 private:
  terminal_input& input_;
  bool holds_commands_;
};

std::optional<std::string> read_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // one thread
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

exit_code run_one(environment& in, const invocation& command) {
  try {
    return run_command(in, command);
  } catch (failure& error) {
    explain(in, command, error);
    report(in, error, {});
    return error.code;
  }
}

exit_code run_script_from(environment& in, terminal_input& input, bool keep_going) {
  try {
    return run_script(
        in, [&]() { return input.read_line(); }, keep_going);
  } catch (const failure& error) {
    report(in, error, "stdin: ");
    return error.code;
  }
}

exit_code run(const std::vector<std::string>& words, output& out) {
  const bool asks_version = words.size() == 1 && words[0] == "--version";
  const invocation command =
      parse_words(asks_version ? std::vector<std::string>{"version"} : words);
  const settings chosen = resolve_settings(command, read_variable, exists);
  out.format = chosen.format;
  if (command.command == nullptr && command.has("help")) {
    out.text(program_help());
    return exit_code::done;
  }
  kj::UnixEventPort::captureSignal(SIGINT);
  auto io = kj::setupAsyncIo();
  const auto interrupted = [&]() { return io.unixEventPort.onSignal(SIGINT).ignoreResult(); };
  remote::client broker(remote::unix_connector(*io.lowLevelProvider, chosen.address));
  const bool is_script = command.command == nullptr && ::isatty(STDIN_FILENO) == 0;
  terminal_input input(io.unixEventPort, io.waitScope, STDIN_FILENO, interrupted);
  process_values values(input, command.command == nullptr);
  environment in(broker, io.waitScope, io.provider->getTimer(), out, values, interrupted);
  in.timeout_ms = chosen.timeout_ms;
  in.address = chosen.address;
  if (command.command != nullptr) return run_one(in, command);
  if (is_script) return run_script_from(in, input, chosen.keep_going);
  return run_repl(in, input, history_path(read_variable));
}

int run_program(const std::vector<std::string>& words) {
  output out(stream_sink(stdout), stream_sink(stderr),
             wants_colour(read_variable, ::isatty(STDOUT_FILENO) == 1));
  try {
    return static_cast<int>(run(words, out));
  } catch (const failure& error) {
    out.raw_note(error.text());
    return static_cast<int>(error.code);
  } catch (const output_closed&) {
    return static_cast<int>(exit_code::done);
  } catch (const kj::Exception& exception) {
    const failure error(exception);
    out.raw_note(error.text());
    return static_cast<int>(error.code);
  } catch (const std::exception& exception) {
    const failure error(exit_code::failed, wire::escape_line(exception.what()));
    out.raw_note(error.text());
    return static_cast<int>(error.code);
  }
}

}  // namespace
}  // namespace bulkhead::cli

int main(int argc, char** argv) {
  return bulkhead::cli::run_program(std::vector<std::string>(argv + 1, argv + argc));
}
