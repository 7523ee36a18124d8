// SPDX-License-Identifier: Apache-2.0

// The daemon: an embedded broker with a socket, and the manners of a service. Signals are blocked
// before any thread exists and taken one by one here: TERM and INT stop the broker in good order; a
// second one ends the process at once. Transitions go to stderr by a thread that nobody waits for.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "broker/broker.hpp"
#include "tools/bulkheadd/line_writer.hpp"

namespace {

constexpr int exit_failed = 1;

struct options {
  bulkhead::broker_config config;
  bool dev = false;
};

std::string run_directory() {
  if (::geteuid() == 0) return "/run/bulkhead";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return runtime == nullptr ? fmt::format("/run/user/{}/bulkhead", ::geteuid())
                            : fmt::format("{}/bulkhead", runtime);
}

std::string state_directory() {
  if (::geteuid() == 0) return "/var/lib/bulkhead";
  const char* home = std::getenv("HOME");
  return fmt::format("{}/.local/state/bulkhead", home == nullptr ? "." : home);
}

/// Beside the daemon in a build tree, below the prefix when installed.
std::string plugin_directory() {
  std::error_code ignored;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto* place : {"../lib/bulkhead/plugins", "../plugin-dir", "plugin-dir"}) {
    const auto directory = std::filesystem::weakly_canonical(here / place, ignored);
    if (std::filesystem::is_directory(directory, ignored)) return directory.string();
  }
  return "/usr/lib/bulkhead/plugins";
}

void make_parent(const std::string& path) {
  std::error_code ignored;
  const auto parent = std::filesystem::path(path).parent_path();
  if (parent.empty() || std::filesystem::exists(parent, ignored)) return;
  std::filesystem::create_directories(parent.parent_path(), ignored);
  ::mkdir(parent.c_str(), 0700);
}

void print(const bulkhead::error& problem) {
  fmt::print(stderr, "error: {}\n", problem.what());
  if (!problem.why().empty()) fmt::print(stderr, "  why:  {}\n", problem.why());
  if (!problem.remedy().empty()) fmt::print(stderr, "  try:  {}\n", problem.remedy());
}

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  return set;
}

std::string line_of(const bulkhead::broker_event& event) {
  return fmt::format("{} {}{}{}", event.name, event.mount.empty() ? "" : event.mount + " ",
                     event.reason,
                     event.generation == 0 ? "" : fmt::format(" (instance {})", event.generation));
}

int serve(const options& chosen) {
  const auto signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGHUP, SIG_IGN);  // the end of a terminal is not the end of the service
  make_parent(chosen.config.socket_path);
  make_parent(chosen.config.state_directory);
  bulkhead::line_writer log(STDERR_FILENO);
  bulkhead::broker broker(chosen.config);
  std::atomic<bool> failed = false;
  auto watching = broker.observe([&failed, &log](const bulkhead::broker_event& each) {
    log.say(line_of(each));
    if (each.name != "failed") return;
    failed = true;
    ::kill(::getpid(), SIGTERM);
  });
  log.say(
      fmt::format("bulkheadd {} listens on unix:{}", BULKHEAD_VERSION, chosen.config.socket_path));
  int signal = 0;
  ::sigwait(&signals, &signal);
  log.say(fmt::format("stopping: {}; once more to stop at once", failed ? "the broker has failed"
                                                                 : signal == SIGTERM
                                                                     ? "SIGTERM received"
                                                                     : "SIGINT received"));
  std::thread impatient([signals] {
    int again = 0;
    ::sigwait(&signals, &again);
    ::_exit(128 + again);
  });
  impatient.detach();
  broker.stop();
  return failed ? exit_failed : 0;
}

}  // namespace

int main(int argc, char** argv) {
  options chosen;
  chosen.config.socket_path = run_directory() + "/bulkhead.sock";
  chosen.config.state_directory = state_directory();
  chosen.config.plugin_directory = plugin_directory();
  CLI::App app{"The Bulkhead plugin broker."};
  app.set_version_flag("--version", std::string("bulkheadd ") + BULKHEAD_VERSION);
  app.add_option("--socket", chosen.config.socket_path, "Listen on this unix socket")
      ->capture_default_str();
  app.add_option("--state", chosen.config.state_directory, "Keep the state in this directory")
      ->capture_default_str();
  app.add_option("--plugins", chosen.config.plugin_directory, "Plugins are files in this directory")
      ->capture_default_str();
  app.add_flag("--dev", chosen.dev,
               "Development: state and socket in a new directory that goes with the broker");
  CLI11_PARSE(app, argc, argv);

  std::string scratch;
  if (chosen.dev) {
    scratch = (std::filesystem::temp_directory_path() / "bulkhead-dev-XXXXXX").string();
    if (::mkdtemp(scratch.data()) == nullptr) {
      fmt::print(stderr, "error: no directory can be made for --dev\n");
      return exit_failed;
    }
    if (app.count("--socket") == 0) chosen.config.socket_path = scratch + "/bulkhead.sock";
    if (app.count("--state") == 0) chosen.config.state_directory = scratch + "/state";
    fmt::print(stderr, "DEVELOPMENT MODE: all state is in {} and is deleted at the end\n", scratch);
  }
  int status = exit_failed;
  try {
    status = serve(chosen);
  } catch (const bulkhead::error& problem) {
    print(problem);
  } catch (const std::exception& problem) {
    fmt::print(stderr, "error: {}\n", problem.what());
  }
  std::error_code ignored;
  if (!scratch.empty()) std::filesystem::remove_all(scratch, ignored);
  return status;
}
