// SPDX-License-Identifier: Apache-2.0
// What confinement costs at the start, layer by layer: from the call of spawn() to the first byte
// that the program writes. The configurations take turns, so that whatever else the machine does
// meets all of them alike. Prints a table; the bars are, for the median of all walls over a plain
// spawn, 3 ms, and 6 ms for the third of three starts without a pause, which finds no spare. They
// are held to with BULKHEAD_STRICT=1 on a quiet machine, and to five times that otherwise.
// BULKHEAD_CONFINEMENT_ROUNDS says how many rounds.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "actors/confinement/program_file.hpp"
#include "tests/bars.hpp"
#include "tests/confinement/confined.hpp"

using namespace bulkhead;
using namespace confined;
using namespace std::chrono_literals;

namespace {

constexpr double bar_ms = 3.0;
constexpr double no_spare_bar_ms = 6.0;
constexpr double loose_factor = 5.0;
constexpr std::size_t spares = 2;  // that a launcher keeps

int rounds() {
  const char* const value = std::getenv("BULKHEAD_CONFINEMENT_ROUNDS");
  return value != nullptr ? std::max(1, std::atoi(value)) : 15;
}

struct configuration {
  std::string name;
  std::unique_ptr<bulkhead::spawner> by;
  bool confined = true;
  bool spares = true;  // one is there by the time of the next start
  std::vector<double> ms;

  double at(double part) const {
    auto sorted = ms;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  }
};

wall_set up_to(std::size_t layers) {
  const std::vector<std::vector<wall>> all{
      {},
      {wall::descriptors, wall::own_session, wall::resource_limits, wall::no_capabilities,
       wall::no_new_privileges, wall::no_writable_code, wall::not_dumpable, wall::oom_first,
       wall::parent_death, wall::lifeline, wall::own_uid, wall::no_groups, wall::speculation},
      {wall::landlock, wall::seccomp},
      {wall::user_namespace, wall::pid_namespace},
      {wall::mount_namespace},
      {wall::ipc_namespace, wall::uts_namespace, wall::cgroup_namespace},
      {wall::net_namespace},
      {wall::namespace_limits, wall::memfd_noexec},
      {wall::cgroup_memory, wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill,
       wall::cgroup_io}};
  wall_set set;
  for (std::size_t n = 0; n <= layers; ++n)
    for (const auto each : all[n]) set.set(index_of(each));
  return set;
}

void add(std::vector<configuration>& all, const std::string& name, std::size_t layers) {
  configuration made;
  made.name = name;
  made.by = std::make_unique<launched_spawner>(options(~up_to(layers)));
  all.push_back(std::move(made));
}

std::vector<configuration> configurations() {
  std::vector<configuration> all;
  configuration plain;
  plain.name = "plain spawn";
  plain.by = std::make_unique<posix_spawner>();
  plain.confined = false;
  all.push_back(std::move(plain));
  add(all, "by the launcher, no wall", 0);
  add(all, "+ identity, limits, rights", 1);
  add(all, "+ Landlock, system call filter", 2);
  add(all, "+ user and pid namespaces", 3);
  add(all, "+ mount namespace, empty root", 4);
  add(all, "+ ipc, uts, cgroup namespaces", 5);
  add(all, "+ net namespace", 6);
  add(all, "+ limits on namespaces, memory files", 7);
  add(all, "+ control groups: all walls", 8);
  add(all, "all walls, without a spare", 8);
  all.back().spares = false;
  return all;
}

void run_once(configuration& which, process_spec spec, const confinement& how, int round) {
  spec.confined = which.confined ? std::make_shared<const confinement>(how) : nullptr;
  // Starts without a pause: the spares are used up, and no time to make others.
  std::vector<spawned_process> ahead;
  while (!which.spares && ahead.size() < spares) ahead.push_back(start(*which.by, spec));
  const auto before = std::chrono::steady_clock::now();
  auto child = start(*which.by, spec);
  REQUIRE(readable(child.standard_output.get()));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
  if (round >= 0) which.ms.push_back(took.count());
  ahead.push_back(std::move(child));
  for (auto& each : ahead) each.process->signal_group(SIGKILL);
  for (auto& each : ahead) end_of(each);
}

}  // namespace

TEST_CASE("all walls cost less than the bar") {
  auto all = configurations();
  const auto how = whole();
  auto spec = inside({"greet"}, how);
  extension_libraries extensions;
  const auto program = program_of(spec, extensions);
  spec.program = program.file;  // sealed memory for all, as the broker has it
  constexpr int unmeasured = 2;
  for (int round = -unmeasured; round < rounds(); ++round)
    for (auto& each : all) run_once(each, spec, how, round);

  const double plain = all.front().at(0.5);
  std::printf("start to first byte, ms, %d rounds, as %s%34s%8s%8s%8s\n", rounds(),
              as_root() ? "root" : "nobody", "median", "p95", "p10", "over");
  for (const auto& each : all)
    std::printf("  %-58s%8.2f%8.2f%8.2f%+8.2f\n", each.name.c_str(), each.at(0.5), each.at(0.95),
                each.at(0.1), each.at(0.5) - plain);
  std::fflush(stdout);
  const double slack = bars::strict() ? 1 : loose_factor;
  const auto& full = all[all.size() - 2];
  CHECK(full.at(0.5) - plain <= bar_ms * slack);
  CHECK(all.back().at(0.5) - plain <= no_spare_bar_ms * slack);
}
