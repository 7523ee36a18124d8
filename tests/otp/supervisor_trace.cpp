// SPDX-License-Identifier: Apache-2.0
// supervisor_trace FILE: runs the scenarios of a file on our supervisor and prints what happened,
// for compare.py, which has the same done by OTP.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/otp/trace_world.hpp"

namespace {

using bulkhead::otp::trace_world;
using bulkhead::otp::words;

words split(const std::string& line) {
  std::istringstream stream{line};
  words found;
  for (std::string word; stream >> word;) found.push_back(word);
  return found;
}

bool is_declaration(const words& line) {
  return line[0] == "top" || line[0] == "child" || line[0] == "supervisor";
}

void run(const std::vector<words>& lines) {
  trace_world world;
  auto line = lines.begin();
  for (; line != lines.end() && is_declaration(*line); ++line) world.declare(*line);
  std::puts("> start");
  world.start_top();
  for (; line != lines.end(); ++line) {
    std::printf("> %s\n", fmt::format("{}", fmt::join(*line, " ")).c_str());
    world.step(*line);
  }
  world.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: supervisor_trace FILE\n", stderr);
    return 2;
  }
  std::ifstream file{argv[1]};
  std::vector<words> lines;
  bool in_scenario = false;
  try {
    for (std::string text; std::getline(file, text);) {
      const auto line = split(text);
      if (line.empty()) continue;
      if (line[0] != "scenario") {
        lines.push_back(line);
        continue;
      }
      if (in_scenario) run(lines);
      lines.clear();
      in_scenario = true;
      std::puts(text.c_str());
    }
    if (in_scenario) run(lines);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "supervisor_trace: %s\n", problem.what());
    return 1;
  }
  return in_scenario ? 0 : 1;
}
