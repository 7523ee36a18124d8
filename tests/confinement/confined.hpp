// SPDX-License-Identifier: Apache-2.0
// What the tests of real confinement share: starting the program `inside`, and hearing it out.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "actors/confinement/launched_spawner.hpp"
#include "tools/temporary_directory.hpp"

namespace confined {

/// BULKHEAD_TEST_PATIENCE_MS, or 20 s: how long to wait for what is to come.
int patience_ms();

/// BULKHEAD_TEST_LAUNCHER and BULKHEAD_TEST_INSIDE, or those of the build.
std::string launcher_path();
std::string inside_path();
/// The same program, linked to shared libraries: beside it.
std::string dynamic_inside_path();

/// BULKHEAD_TEST_PLUGIN, or a shipped plugin. Empty in a build with sanitizers: see
/// confinement.cmake.
std::string plugin_path();

/// This process is root.
bool as_root();

/// The profile that this user can have whole; nobody with what takes root waived.
bulkhead::confinement whole(bulkhead::profile of = as_root()
                                                       ? bulkhead::profile::strict
                                                       : bulkhead::profile::strict_unprivileged);

// Users of the host that own what is granted; where the tests are not root's, who runs them does.
inline constexpr unsigned owner = 12345;
inline constexpr unsigned owners_group = 12346;
inline constexpr unsigned stranger = 54321;

/// As root; nobody else can.
void give(const std::string& path, unsigned user = owner, unsigned group = owners_group);

/// A directory of somebody's, on a file system that has maps of ids.
struct owned_folder : bulkhead::temporary_directory {
  explicit owned_folder(unsigned mode = 0700, unsigned user = owner, unsigned group = owners_group);
};

/// whole(), with one grant.
bulkhead::confinement with_grant(bulkhead::grant_kind kind, const std::string& what,
                                 const std::string& where = "");

void write_file(const std::string& path, const std::string& text, unsigned mode);

/// As much of a program as says what it needs.
std::string program_that_needs(const std::string& loader, const std::string& library,
                               const std::string& folder = "");

bulkhead::process_spec inside(std::vector<std::string> words,
                              const bulkhead::confinement& how = whole());
bulkhead::process_spec dynamic_inside(std::vector<std::string> words,
                                      const bulkhead::confinement& how = whole());

/// Fills in what the program `inside` is to do, by all walls but Landlock, which lets no file of
/// the host be executed.
void ask_for_inside(bulkhead::launcher::start_order& order, const std::string& word);

bulkhead::launched_spawner_options options(const bulkhead::wall_set& without = {});

/// One for all tests of the program.
bulkhead::launched_spawner& spawner();

/// Fails the test when it does not start.
bulkhead::spawned_process start(bulkhead::spawner& by, const bulkhead::process_spec& spec);
bulkhead::spawned_process start(const bulkhead::process_spec& spec);
bulkhead::spawn_error start_fails(bulkhead::spawner& by, const bulkhead::process_spec& spec);

bool readable(int fd, int wait_ms = patience_ms());
bulkhead::exit_status end_of(bulkhead::spawned_process& child);
std::string text_of(const bulkhead::unique_fd& fd);

/// What a program that is to exit with 0 wrote on stdout; `sent` is there to be read on its link.
std::string said_by(const bulkhead::process_spec& spec, bulkhead::spawner& by = spawner(),
                    const std::string& sent = "");

/// Of lines such as "key=value".
std::map<std::string, std::string> facts_of(const std::string& text);

/// What `inside try WHAT` came to: "0", an errno's name, or the name of the signal that killed it.
std::string attempt(bulkhead::spawner& by, const std::string& what,
                    const bulkhead::confinement& how = whole());

/// Of /proc/PID/status: what is behind "key:".
std::string status_of(pid_t process, const std::string& key);

/// Fails the test when that is no process which it may kill.
pid_t parent_of(pid_t process);
std::vector<pid_t> children_of(pid_t process);
pid_t launcher_of(const bulkhead::spawned_process& child);
/// The one that this begins.
pid_t launcher_begun_by(bulkhead::launched_spawner& spawner);
bool is_among(pid_t process, const std::vector<pid_t>& others);

/// By its number what each leads to; none of a process that has gone.
std::map<int, std::string> descriptors_of(pid_t process);
std::ptrdiff_t descriptors_below(pid_t process, const std::string& path);

/// The control groups of a process, by what stands before them in /proc/PID/cgroup.
std::map<std::string, std::string> groups_of(pid_t process);

/// Directories anywhere beneath the mounts of control groups that `launcher` made.
std::size_t groups_made_by(pid_t launcher);

/// Until it holds: false when it does not within half of patience_ms().
bool comes_true(const std::function<bool()>& condition);

/// A launcher that is started as `become` makes its process, before it is executed.
std::function<bulkhead::launcher_process()> launcher_after(const std::string& path,
                                                           std::function<void()> become);
/// With the launcher of `options`.
bulkhead::launched_spawner_options options_after(std::function<void()> become);
/// The same launcher, where anybody can execute it.
std::string public_launcher(const bulkhead::temporary_directory& folder);
void become_nobody();

}  // namespace confined
