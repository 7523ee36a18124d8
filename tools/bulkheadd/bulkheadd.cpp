// SPDX-License-Identifier: Apache-2.0

// The daemon: an embedded broker with a socket, and the manners of a service. Signals are blocked
// before any thread exists and taken one by one here: TERM and INT stop the broker in good order; a
// second one ends the process at once. HUP applies the configuration file anew. Transitions go to
// stderr by a thread that nobody waits for. With --user it leaves root to another process of this
// program, the keeper of the launcher, before it reads anything that somebody else has sent.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>

#include "actors/confinement/launched_spawner.hpp"
#include "actors/confinement/launcher_keeper.hpp"
#include "actors/unique_fd.hpp"
#include "broker/broker.hpp"
#include "broker/config_file.hpp"
#include "broker/process_protection.hpp"
#include "broker/state_restore.hpp"
#include "schema/wire/error_text.hpp"
#include "tools/bulkheadd/line_writer.hpp"
#include "tools/temporary_directory.hpp"

namespace {

constexpr int exit_failed = 1;

struct options {
  bulkhead::broker_config config;
  std::string config_file;
  bool check = false;
  bool dev = false;
  std::string restore;        // a backup to put back
  std::string check_state;    // a state or backup to judge
  std::string new_state_key;  // a key file to add a key to
  bool force = false;
  std::string profile;
  std::vector<std::string> waive;
  std::string launcher;
  std::string user;            // to be, instead of root
  std::string kept_launcher;   // this process is the keeper of that,
  std::uint32_t kept_for = 0;  // for a broker of this user
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

/// As make_parent() makes it, for its user. What somebody else has put into its place meanwhile is
/// not given away: a link, a file, or a directory that is not root's.
void make_directory_of(const bulkhead::user_account& user, const std::string& directory) {
  std::error_code ignored;
  if (directory.empty() || std::filesystem::exists(directory, ignored)) return;
  std::filesystem::create_directories(std::filesystem::path(directory).parent_path(), ignored);
  if (::mkdir(directory.c_str(), 0700) != 0) return;
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const bulkhead::unique_fd made{::open(directory.c_str(), flags)};
  struct stat found {};
  if (made && ::fstat(made.get(), &found) == 0 && found.st_uid == 0 &&
      ::fchown(made.get(), user.uid, user.gid) == 0)
    return;
  ::rmdir(directory.c_str());
}

/// Leaves root to the keeper of the launcher. Before any thread.
void give_root_up(options& chosen) {
  if (::geteuid() != 0)
    throw bulkhead::error(bulkhead::error_kind::invalid_argument, "--user is for root",
                          "nobody else can become another user", "start without it");
  const auto user = bulkhead::find_user(chosen.user);
  make_directory_of(user, std::filesystem::path(chosen.config.socket_path).parent_path());
  make_directory_of(user, chosen.config.state_directory);
  auto& confinement = chosen.config.confinement;
  if (!confinement.unconfined) {
    const auto& path = confinement.launcher;
    confinement.keeper = std::make_shared<bulkhead::launcher_keeper>(std::vector<std::string>{
        std::filesystem::read_symlink("/proc/self/exe").string(), "--keep-launcher",
        path.empty() ? bulkhead::find_launcher() : path, "--keep-for", std::to_string(user.uid)});
  }
  bulkhead::become_user(user);
}

void print(const bulkhead::error& problem) {
  fmt::print(stderr, "error: {}\n", problem.what());
  if (!problem.why().empty()) fmt::print(stderr, "  why:  {}\n", problem.why());
  if (!problem.remedy().empty()) fmt::print(stderr, "  try:  {}\n", problem.remedy());
}

/// Those that end the broker.
sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  return set;
}

/// Waits for a signal that ends the broker, and returns it.
int serve_signals(bulkhead::broker& broker, const options& chosen, bulkhead::line_writer& log) {
  auto signals = stop_signals();
  ::sigaddset(&signals, SIGHUP);
  for (;;) {
    int signal = 0;
    ::sigwait(&signals, &signal);
    if (signal != SIGHUP) return signal;
    // Without a file it is the end of a terminal, which is not the end of the service.
    if (chosen.config_file.empty()) continue;
    log.say(fmt::format("SIGHUP received: applying {}", chosen.config_file));
    broker.config_apply_soon();
  }
}

/// A credential that systemd hands to the service is a key file, where the command line names none.
std::string credential_key_file() {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) return {};
  auto file = fmt::format("{}/bulkhead-state-key", directory);
  return ::access(file.c_str(), F_OK) == 0 ? file : std::string();
}

/// A reason can hold a plugin's words.
std::string line_of(const bulkhead::broker_event& event) {
  return bulkhead::wire::escape_line(fmt::format(
      "{} {}{}{}", event.name, event.mount.empty() ? "" : event.mount + " ", event.reason,
      event.generation == 0 ? "" : fmt::format(" (instance {})", event.generation)));
}

int serve(const options& chosen) {
  const auto signals = stop_signals();
  auto taken = signals;
  ::sigaddset(&taken, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &taken, nullptr);
  make_parent(chosen.config.socket_path);
  make_parent(chosen.config.state_directory);
  const bool unconfined = chosen.config.confinement.unconfined;
  // What is made for debuggers and sanitizers must be open to them.
  bulkhead::protect_this_process(
      {!unconfined, unconfined ? 0 : chosen.config.limits.memory_hard_bytes_max});
  bulkhead::broker broker(chosen.config);  // before any thread: it starts the launcher
  bulkhead::line_writer log(STDERR_FILENO);
  if (unconfined)
    log.say(
        "UNCONFINED: plugins run with nothing between them and the machine but their user; not for "
        "production");
  if (chosen.config.allow_unregistered)
    log.say(
        fmt::format("UNREGISTERED PLUGINS MAY RUN: every file of {} can be mounted, unsigned and "
                    "unchecked; not for production",
                    chosen.config.plugin_directory));
  log.say(
      fmt::format("bulkheadd {} listens on unix:{}", BULKHEAD_VERSION, chosen.config.socket_path));
  std::atomic<bool> failed = false;
  const auto tell = [&failed, &log](const bulkhead::broker_event& each) {
    log.say(line_of(each));
    if (each.name != "failed") return;
    failed = true;
    ::kill(::getpid(), SIGTERM);
  };
  auto watching = broker.observe(tell, bulkhead::observe_from::start);
  const int signal = serve_signals(broker, chosen, log);
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

/// What the file says, where the command line says nothing.
void take(const std::string& name, const bulkhead::config_file& file, const CLI::App& app,
          bulkhead::broker_config& config) {
  const auto adopt = [&app](const char* flag, const std::optional<std::string>& value,
                            std::string& to) {
    if (value && app.count(flag) == 0) to = *value;
  };
  adopt("--socket", file.socket, config.socket_path);
  adopt("--state", file.state, config.state_directory);
  adopt("--plugins", file.plugins, config.plugin_directory);
  adopt("--state-key", file.state_key, config.state_key_file);
  config.limits = file.limits;
  config.groups = file.groups;
  const bool unconfined = config.confinement.unconfined;
  config.confinement = file.confinement;
  config.confinement.unconfined = unconfined;
  config.declared = [name, started = bulkhead::fixed_settings(file)] {
    return bulkhead::declared_by(bulkhead::read_config(name), started);
  };
}

void print_report(const std::string& file, const bulkhead::state_report& report) {
  fmt::print("{}: good\nrevision   {}\nkeys       {}\nleases     {}\nbytes      {}\n", file,
             report.revision, report.keys, report.leases, report.bytes);
  if (!report.key) {
    fmt::print("encrypted  no\n");
    return;
  }
  fmt::print("encrypted  yes, with the key {}; {}\n", bulkhead::key_id_text(*report.key),
             report.values_opened ? "every value was decrypted"
                                  : "no value was decrypted: that takes --state-key");
}

/// Does what concerns a state without a broker, if that was asked for.
bool run_on_state(const options& chosen) {
  if (!chosen.new_state_key.empty()) {
    const auto id = bulkhead::add_state_key(chosen.new_state_key);
    fmt::print("{}: the newest key is {} now\n", chosen.new_state_key, bulkhead::key_id_text(id));
    return true;
  }
  if (!chosen.check_state.empty()) {
    std::function<bulkhead::state_keys()> keys;
    if (!chosen.config.state_key_file.empty())
      keys = [file = chosen.config.state_key_file] { return bulkhead::state_keys::load(file); };
    print_report(chosen.check_state, bulkhead::check_state(chosen.check_state, keys));
    return true;
  }
  if (chosen.restore.empty()) return false;
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const auto& directory = chosen.config.state_directory;
  print_report(directory, bulkhead::restore_state(chosen.restore, directory, chosen.force,
                                                  static_cast<std::uint64_t>(now_ms.count())));
  return true;
}

int run(const CLI::App& app, options& chosen) {
  if (!chosen.config_file.empty()) {
    const auto file = bulkhead::read_config(chosen.config_file);
    if (chosen.check) {
      fmt::print("{}: good, {}\n", chosen.config_file, bulkhead::summary(file));
      return 0;
    }
    take(chosen.config_file, file, app, chosen.config);
  }
  auto& confinement = chosen.config.confinement;
  if (app.count("--profile") != 0) confinement.rules.profile = chosen.profile;
  if (app.count("--waive") != 0) confinement.rules.waive = chosen.waive;
  if (app.count("--launcher") != 0) confinement.launcher = chosen.launcher;
  if (!chosen.user.empty()) give_root_up(chosen);
  if (run_on_state(chosen)) return 0;
  if (!chosen.dev) return serve(chosen);
  chosen.config.allow_unregistered = true;
  const bulkhead::temporary_directory directory("bulkhead-dev");
  fmt::print(stderr, "DEVELOPMENT MODE: all state is in {} and is deleted at the end\n",
             directory.path());
  if (app.count("--socket") == 0) chosen.config.socket_path = directory / "bulkhead.sock";
  if (app.count("--state") == 0) chosen.config.state_directory = directory / "state";
  return serve(chosen);
}

}  // namespace

int main(int argc, char** argv) {
  options chosen;
  chosen.config.socket_path = run_directory() + "/bulkhead.sock";
  chosen.config.state_directory = state_directory();
  chosen.config.plugin_directory = plugin_directory();
  chosen.config.state_key_file = credential_key_file();
  CLI::App app{"The Bulkhead plugin broker."};
  app.set_version_flag("--version", std::string("bulkheadd ") + BULKHEAD_VERSION);
  auto* config = app.add_option("--config", chosen.config_file,
                                "Read this TOML file; flags win over what it says");
  app.add_flag("--check", chosen.check, "Read the configuration, say whether it is good, and end")
      ->needs(config);
  app.add_option("--socket", chosen.config.socket_path, "Listen on this unix socket")
      ->capture_default_str();
  app.add_option("--state", chosen.config.state_directory, "Keep the state in this directory")
      ->capture_default_str();
  app.add_option("--plugins", chosen.config.plugin_directory,
                 "Files of plugins are in this directory")
      ->capture_default_str();
  app.add_option("--state-key", chosen.config.state_key_file,
                 "Encrypt what plugins store, with the keys in this file; without it, with the "
                 "systemd credential bulkhead-state-key, if there is one");
  app.add_option("--new-state-key", chosen.new_state_key,
                 "Put a new key into this file, which is made if need be, and end");
  app.add_option("--check-state", chosen.check_state,
                 "Judge this state or backup, which no broker uses, and end");
  auto* restore = app.add_option("--restore", chosen.restore,
                                 "Make this backup the state of the directory, and end");
  app.add_flag("--force", chosen.force, "With --restore: put the state that is there aside")
      ->needs(restore);
  app.add_option("--profile", chosen.profile,
                 "Confine plugins by this profile where nothing else is said: strict (for root), "
                 "strict-unprivileged (for others), no-userns, interpreter");
  app.add_option("--waive", chosen.waive,
                 "Start plugins although this wall is missing, as in cg.cpu; may be repeated")
      ->type_name("WALL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--launcher", chosen.launcher,
                 "The program that starts plugins; else the one that belongs to this daemon");
  app.add_flag("--unconfined", chosen.config.confinement.unconfined,
               "Development, for sanitizers and debuggers: plugins run with nothing between them "
               "and the machine");
  app.add_flag("--unregistered", chosen.config.allow_unregistered,
               "Development: files of the plugin directory may be mounted unregistered, unchecked");
  app.add_flag("--dev", chosen.dev,
               "Development: --unregistered, and state and socket in a new directory that goes "
               "with the broker");
  app.add_option("--user", chosen.user,
                 "Give root up and be this user; the launcher, which makes the walls of plugins, "
                 "stays root's");
  app.add_option("--keep-launcher", chosen.kept_launcher)->group("");
  app.add_option("--keep-for", chosen.kept_for)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!chosen.kept_launcher.empty())
    return bulkhead::run_launcher_keeper(chosen.kept_launcher, chosen.kept_for);
  try {
    return run(app, chosen);
  } catch (const bulkhead::error& problem) {
    print(problem);
  } catch (const bulkhead::store_error& problem) {
    const auto& failure = problem.failure();
    print({bulkhead::error_kind::storage, failure.what, failure.why, failure.remedy});
  } catch (const std::exception& problem) {
    fmt::print(stderr, "error: {}\n", problem.what());
  }
  return exit_failed;
}
