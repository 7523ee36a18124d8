// SPDX-License-Identifier: Apache-2.0
// Starting a process, as an interface.
//
// What a started plugin gets is fixed here, once: one end of a socketpair at descriptor 3, the null
// device as stdin, pipes as stdout and stderr, no other descriptor, an environment that holds what
// is listed and nothing of the broker's, a session and process group of its own, no blocked and no
// ignored signal. A script that is started by descriptor has one more, for its interpreter to read:
// itself, at 4. `posix_spawner` does that with processes; tests use a spawner of their own.
//
// A failure says what, why and what to do, and whether trying again can help: `permanent` failures
// (no such file, not executable) do not heal by themselves, so supervision does not repeat them.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/child_process.hpp"
#include "actors/confinement/confinement.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {

/// The descriptor at which a plugin finds its link.
inline constexpr int plugin_link_fd = 3;

/// The descriptor at which the interpreter of a script finds it, when it is started by descriptor.
inline constexpr int script_fd = 4;

struct process_spec {
  std::string executable;              // a path; PATH is not searched
  std::vector<std::string> arguments;  // without argv[0], which is `executable`
  // When it is set, this file is executed and `executable` is only argv[0] and the name in texts.
  // Open for reading; held by whoever may start it again.
  std::shared_ptr<const unique_fd> program;
  std::vector<std::string> environment = plugin_environment();  // all of it, as in "KEY=value"
  std::string working_directory = "/";
  // Null: started with nothing between it and the machine but its user. A spawner that cannot
  // confine refuses a spec that asks for it.
  std::shared_ptr<const confinement> confined;

  /// BULKHEAD_FD=3, BULKHEAD_PROTOCOL=1, LANG=C.UTF-8: what every plugin gets.
  static std::vector<std::string> plugin_environment();
};

struct spawned_process {
  std::unique_ptr<child_process> process;
  unique_fd link;             // our end of the socketpair; nonblocking, close-on-exec
  unique_fd standard_output;  // read end; nonblocking, close-on-exec
  unique_fd standard_error;   // likewise
  std::shared_ptr<const confinement_report> report;  // null: started unconfined
  std::uint64_t ticket = 0;  // its name for spawner::set_limits(); 0: its limits stay
};

enum class spawn_failure {
  not_found,             // no such file
  not_executable,        // a file without the permission to execute it, or not a file at all
  no_interpreter,        // the interpreter that it names does not exist
  bad_format,            // not a program for this machine
  no_working_directory,  // the working directory cannot be entered
  arguments_too_long,    // arguments and environment above the kernel's limit
  busy,                  // the file is being written
  too_many_processes,    // RLIMIT_NPROC, the pid limit of the cgroup, or threads-max
  too_many_descriptors,  // RLIMIT_NOFILE of the broker, or file-max
  no_memory,             // the kernel had none
  no_wall,               // a wall that the profile requires does not stand
  no_launcher,           // the launcher is missing, speaks another version, or does not answer
  other,                 // anything else, by errno
};

/// As in "not_found".
std::string_view to_string(spawn_failure failure);

struct spawn_error {
  spawn_failure failure = spawn_failure::other;
  int error_number = 0;    // errno
  bool permanent = false;  // trying again cannot help
  std::string what;        // one line each; `remedy` may be empty
  std::string why;
  std::string remedy;
  std::optional<wall> missing{};                       // with no_wall: which one
  std::shared_ptr<const confinement_report> report{};  // likewise: what was found; may be null
};

using spawn_result = std::variant<spawned_process, spawn_error>;

class spawner {
 public:
  spawner() = default;
  spawner(const spawner&) = delete;
  spawner& operator=(const spawner&) = delete;
  virtual ~spawner() = default;

  /// Starts a process. Blocks until it runs its program or has failed to, which takes about a
  /// millisecond.
  virtual spawn_result spawn(const process_spec& spec) = 0;

  /// Gives a process that this spawner has started other limits, as far as the kernel lets it while
  /// the process runs. 0, or errno: ESRCH when it has ended, ENOSYS when nothing can be changed.
  /// Blocks as spawn() does, and is called on the same thread.
  virtual int set_limits(std::uint64_t ticket, const resource_limits& limits) {
    (void)ticket, (void)limits;
    return ENOSYS;
  }
};

}  // namespace bulkhead
