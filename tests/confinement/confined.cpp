// SPDX-License-Identifier: Apache-2.0
#include "tests/confinement/confined.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace confined {
namespace {

using bulkhead::confinement;
using bulkhead::exit_status;
using bulkhead::process_spec;
using bulkhead::spawn_error;
using bulkhead::spawned_process;
using bulkhead::wall;

std::string from_environment(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

std::string launcher_path() {
  return from_environment("BULKHEAD_TEST_LAUNCHER", BULKHEAD_BUILT_LAUNCHER);
}

std::string inside_path() {
  return from_environment("BULKHEAD_TEST_INSIDE", BULKHEAD_BUILT_INSIDE);
}

std::string dynamic_inside_path() {
  return inside_path() + "-dynamic";
}

std::string plugin_path() {
  return from_environment("BULKHEAD_TEST_PLUGIN", BULKHEAD_BUILT_PLUGIN);
}

bool as_root() {
  return ::geteuid() == 0;
}

confinement whole(bulkhead::profile of) {
  confinement how;
  how.of = of;
  if (as_root()) return how;
  for (const auto each : {wall::own_uid, wall::no_groups, wall::memfd_noexec, wall::cgroup_memory,
                          wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill})
    how.waived.set(bulkhead::index_of(each));
  return how;
}

process_spec inside(std::vector<std::string> words, const confinement& how) {
  process_spec spec;
  spec.executable = inside_path();
  spec.arguments = std::move(words);
  spec.confined = std::make_shared<const confinement>(how);
  return spec;
}

bulkhead::launched_spawner_options options(const bulkhead::wall_set& without) {
  bulkhead::launched_spawner_options chosen;
  chosen.launcher = launcher_path();
  chosen.without = without;
  return chosen;
}

bulkhead::launched_spawner& spawner() {
  static bulkhead::launched_spawner the_one{options()};
  return the_one;
}

spawned_process start(bulkhead::spawner& by, const process_spec& spec) {
  auto result = by.spawn(spec);
  if (const auto* const failed = std::get_if<spawn_error>(&result))
    FAIL(failed->what << ": " << failed->why << "; " << failed->remedy);
  return std::move(std::get<spawned_process>(result));
}

spawned_process start(const process_spec& spec) {
  return start(spawner(), spec);
}

spawn_error start_fails(bulkhead::spawner& by, const process_spec& spec) {
  auto result = by.spawn(spec);
  REQUIRE(std::holds_alternative<spawn_error>(result));
  return std::get<spawn_error>(result);
}

bool readable(int fd, int wait_ms) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, wait_ms) == 1;
}

exit_status end_of(spawned_process& child) {
  REQUIRE(readable(child.process->exit_fd()));
  const auto end = child.process->reap();
  REQUIRE(end);
  return *end;
}

std::string text_of(const bulkhead::unique_fd& fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (readable(fd.get())) {
    const auto got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::map<std::string, std::string> facts_of(const std::string& text) {
  std::map<std::string, std::string> facts;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find('=');
    if (at != std::string::npos) facts[line.substr(0, at)] = line.substr(at + 1);
  }
  return facts;
}

std::string attempt(bulkhead::spawner& by, const std::string& what, const confinement& how) {
  auto child = start(by, inside({"try", what}, how));
  const auto facts = facts_of(text_of(child.standard_output));
  const auto end = end_of(child);
  if (end.how == exit_status::kind::signaled) return bulkhead::signal_name(end.value);
  REQUIRE(end == exit_status::exited(0));
  const int result = std::stoi(facts.at("result"));
  return result == 0 ? "0" : strerrorname_np(result);
}

std::string status_of(pid_t process, const std::string& key) {
  std::ifstream status{"/proc/" + std::to_string(process) + "/status"};
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return "";
}

}  // namespace confined
