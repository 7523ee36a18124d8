// SPDX-License-Identifier: Apache-2.0
// A confined process as a child: how it ends, how it is signalled, and what ends with what.
#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "tests/confinement/confined.hpp"

using bulkhead::exit_status;
using bulkhead::launched_spawner;
using bulkhead::spawn_failure;
using bulkhead::unique_fd;
using namespace confined;

namespace {

unique_fd handle_on(pid_t process) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
}

/// The parents of `process`: its init, and the launcher.
pid_t parent_of(pid_t process) {
  const auto parent = status_of(process, "PPid");
  return parent.empty() ? -1 : std::stoi(parent);
}

bool ends(const unique_fd& handle) {
  return readable(handle.get());
}

long open_descriptors() {
  const auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

}  // namespace

TEST_CASE("the status of a confined process comes whole") {
  auto child = start(inside({"exit", "7"}));
  CHECK(end_of(child) == exit_status::exited(7));
  CHECK(child.process->reap() == exit_status::exited(7));
  CHECK_FALSE(child.process->signal(SIGTERM));
  auto crash = start(inside({"abort"}));
  CHECK(end_of(crash) == exit_status::signaled(SIGABRT, false));
}

TEST_CASE("arguments arrive as they were given") {
  auto child = start(inside({"arguments", "", "two words", "\xc3\xa4"}));
  CHECK(text_of(child.standard_output) == inside_path() + "\narguments\n\ntwo words\n\xc3\xa4\n");
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a signal reaches the plugin alone, and is reported as what ended it") {
  auto child = start(inside({"wait"}));
  CHECK_FALSE(child.process->peek());
  CHECK(child.process->signal(SIGTERM));
  CHECK(end_of(child) == exit_status::signaled(SIGTERM, false));
}

TEST_CASE("the group is killed with its init") {
  auto child = start(inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  CHECK(child.process->signal_group(SIGKILL));
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));
  CHECK(ends(plugin));
}

TEST_CASE("the link is a socket to the plugin, and its end is seen there") {
  auto child = start(inside({"wait"}));
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a shipped plugin waits under its filter, and ends with its link") {
  if (plugin_path().empty()) {
    WARN("this build has sanitizers, so its plugins are not run confined");
    return;
  }
  auto spec = inside({});
  spec.executable = plugin_path();
  auto child = start(spec);
  // Garbage is an answer's worth of work: it reads, complains and ends by itself.
  REQUIRE(::write(child.link.get(), "\xff\xff\xff\xff\0\0\0\0", 8) == 8);
  CHECK(end_of(child).how == exit_status::kind::exited);
  auto other = start(spec);
  other.link.reset();
  CHECK(end_of(other) == exit_status::exited(0));
}

TEST_CASE("a process whose handle goes is killed") {
  auto child = start(inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  const auto init = handle_on(parent_of(child.process->pid()));
  child.process.reset();
  CHECK(ends(plugin));
  CHECK(ends(init));
}

TEST_CASE("a launcher that is killed takes its instances along, and the next start has another") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  const auto launcher = parent_of(parent_of(child.process->pid()));
  REQUIRE(launcher > 1);
  REQUIRE(parent_of(launcher) == ::getpid());
  REQUIRE(::kill(launcher, SIGKILL) == 0);
  CHECK(ends(plugin));
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));
  auto next = start(by, inside({"exit", "3"}));
  CHECK(end_of(next) == exit_status::exited(3));
}

TEST_CASE("a spawner that goes leaves what it started, until that goes too") {
  auto by = std::make_unique<launched_spawner>(options());
  auto child = start(*by, inside({"wait"}));
  by.reset();
  CHECK_FALSE(child.process->peek());
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a program that is none, or is not there, fails by its name") {
  auto spec = inside({});
  spec.executable = "/nonexistent/plugin";
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::not_found);
  spec.executable = "/etc/passwd";
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::not_executable);
  spec = inside(std::vector<std::string>(1000, "word"));
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::arguments_too_long);
}

TEST_CASE("starts and ends leave no descriptor behind") {
  for (int n = 0; n < 3; ++n) {  // whatever is opened once is open by then
    auto child = start(inside({"exit", "0"}));
    end_of(child);
  }
  const auto before = open_descriptors();
  for (int n = 0; n < 20; ++n) {
    auto child = start(inside({"exit", "0"}));
    end_of(child);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("an unconfined start goes past the launcher") {
  auto options_without = options();
  options_without.starts = []() -> bulkhead::launcher_process {
    throw std::system_error{ENOENT, std::generic_category(), "none"};
  };
  launched_spawner by{options_without};
  auto spec = inside({"exit", "5"});
  spec.confined = nullptr;
  auto child = start(by, spec);
  CHECK_FALSE(child.report);
  CHECK(end_of(child) == exit_status::exited(5));
  spec = inside({"exit", "5"});
  CHECK(start_fails(by, spec).failure == spawn_failure::no_launcher);
}
