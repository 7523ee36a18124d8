// SPDX-License-Identifier: Apache-2.0
//
// bulkhead-bench: what a call through the broker costs, next to what it must be compared with.
//
// Exit status: 0 measured (whether the bars were met is in the output; with --strict it is 1 when
// one was not), 2 wrong usage, 3 could not measure.
#include <fmt/format.h>
#include <kj/exception.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "tools/bench/mount_table.hpp"
#include "tools/bench/report.hpp"
#include "tools/bench/roles.hpp"
#include "tools/bench/run.hpp"

namespace {

namespace fs = std::filesystem;
using bulkhead::bench::run_options;

constexpr int exit_bar_missed = 1;
constexpr int exit_usage = 2;
constexpr int exit_failed = 3;

struct command_line {
  run_options run;
  std::string role;
  std::string output = "table";
  bool quick = false;
  bool strict = false;
  unsigned mounts = 0;
};

// Where the build puts things: this program's own folder, and its neighbours.
void fill_defaults(run_options& options) {
  const auto bin = fs::read_symlink("/proc/self/exe").parent_path();
  const auto build = bin.parent_path();
  if (options.daemon.empty()) options.daemon = (bin / "bulkheadd").string();
  if (options.echo_plugin.empty()) {
    options.echo_plugin = (build / "bench-plugin-dir" / "bench-echo").string();
  }
  for (const char* name : {"kv", "calc"}) {
    options.idle_plugins.push_back((build / "plugin-dir" / name).string());
  }
}

void add_options(CLI::App& app, command_line& line) {
  app.add_option("--rounds", line.run.rounds, "Rounds; figures are medians over them")
      ->check(CLI::Range(1, 1000));
  app.add_option("--round-ms", line.run.round_ms, "Length of one measurement, in milliseconds")
      ->check(CLI::Range(1, 60'000));
  app.add_option("--kills", line.run.kills, "Kills for the time to recover; 0: none")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--outstanding", line.run.lanes, "Calls outstanding in the second measurement")
      ->check(CLI::Range(1, 4096));
  app.add_option("--mounts", line.mounts,
                 "Measure nothing but the mount table, at a quarter of so many mounts, half, all")
      ->check(CLI::Range(8, 1'000'000));
  app.add_option("--daemon", line.run.daemon,
                 "The broker; default: bulkheadd next to this program");
  app.add_option("-o,--output", line.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_flag("--quick", line.quick,
               "Short rounds and few kills: a smoke test, not a measurement");
  app.add_flag("!--no-broker", line.run.broker, "The baselines alone");
  app.add_flag("--streams", line.run.link_streams, "Also Bulkhead's stream without a broker");
  app.add_option("--only", line.run.only, "These paths and no memory, by the names in the table");
  app.add_flag("--strict", line.strict, "Exit with 1 when a bar is missed, or there is none");
  app.add_option("--role", line.role, "")->group("");
}

int measure(command_line& line) {
  if (line.quick) {
    line.run.rounds = 3;
    line.run.round_ms = 20;
    line.run.kills = std::min(line.run.kills, 10U);
  }
  fill_defaults(line.run);
  if (line.mounts > 0) {
    const auto found = bulkhead::bench::measure_mount_table(line.run, line.mounts);
    fmt::print("{}", line.output == "json" ? as_json(found) : as_table(found));
    return line.strict && !is_linear(found) ? exit_bar_missed : 0;
  }
  const auto found = bulkhead::bench::run(
      line.run, [](const std::string& what) { fmt::print(stderr, "bulkhead-bench: {}\n", what); });
  fmt::print("{}", line.output == "json" ? as_json(found) : as_table(found));
  const auto all = bars(found);
  // Paths that nobody compares have none, and then nothing was held to anything.
  const bool missed =
      all.empty() || std::any_of(all.begin(), all.end(), [](const auto& b) { return !b.met(); });
  return line.strict && missed ? exit_bar_missed : 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures calls through the broker against what they can be compared with");
  command_line line;
  add_options(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }
  if (!line.role.empty()) return bulkhead::bench::run_role(line.role);
  try {
    return measure(line);
  } catch (const kj::Exception& error) {
    fmt::print(stderr, "error: {}\n", error.getDescription().cStr());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  return exit_failed;
}
