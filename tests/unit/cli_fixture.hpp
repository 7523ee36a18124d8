// SPDX-License-Identifier: Apache-2.0
//
// Commands of `bulkhead` against a broker in memory, without a terminal, files or processes.
#pragma once

#include <catch2/catch.hpp>

#include "tests/unit/cli_fake_broker.hpp"
#include "tools/bulkhead/session.hpp"

namespace bulkhead::testing {

struct no_files final : cli::value_reader {
  std::string file(const std::string& path) override { throw cli::usage("no file " + path); }
  std::string standard_input() override { return "from stdin"; }
};

/// Runs lines as a script or a person would; what they print is in `out` and `notes`.
struct cli_fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  fake_broker broker{io};
  bulkhead::remote::client client{broker.connector()};
  no_files files;
  std::string out;
  std::string notes;
  bool interrupt = false;
  cli::output sinks{[this](std::string_view text) { out += text; },
                    [this](std::string_view text) { notes += text; }, false};
  cli::environment in{
      client, io.waitScope, io.provider->getTimer(), sinks, files, [this]() -> kj::Promise<void> {
        if (interrupt) return kj::READY_NOW;
        return kj::NEVER_DONE;
      }};

  cli::exit_code run(const std::string& line) {
    out.clear();
    notes.clear();
    return cli::run_line(in, line, {}).code;
  }

  std::string text(const std::string& line) {
    CHECK(run(line) == cli::exit_code::done);
    return out;
  }

  cli::exit_code script(const std::string& lines, bool keep_going = false) {
    out.clear();
    notes.clear();
    std::size_t at = 0;
    return cli::run_script(
        in,
        [&]() -> std::optional<std::string> {
          if (at >= lines.size()) return std::nullopt;
          const std::size_t end = std::min(lines.find('\n', at), lines.size());
          std::string line = lines.substr(at, end - at);
          at = end + 1;
          return line;
        },
        keep_going);
  }
};

}  // namespace bulkhead::testing
