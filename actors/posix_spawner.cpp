// SPDX-License-Identifier: Apache-2.0
#include "actors/posix_spawner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "actors/child_start.hpp"
#include "actors/plugin_channels.hpp"

namespace bulkhead {
namespace {

/// Throws std::system_error with errno when `rc` is negative.
int check(int rc, const char* call) {
  if (rc < 0) throw std::system_error{errno, std::generic_category(), call};
  return rc;
}

/// A null-terminated array as exec wants it; points into `texts`.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// The program as the child is to have it. A script's interpreter reads it through a descriptor
/// that it inherits: one with a position and flags of its own, as a plugin shares none with us.
unique_fd program_for_child(const unique_fd& program, bool script) {
  if (!script) return copy_out_of_the_way(program);
  const auto again = "/proc/self/fd/" + std::to_string(program.get());
  return out_of_the_way(unique_fd{check(::open(again.c_str(), O_RDONLY | O_CLOEXEC), "open")});
}

born_child start(const process_spec& spec, child_plan plan) {
  std::vector<std::string> arguments{spec.executable};
  arguments.insert(arguments.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> environment = spec.environment;
  plan.arguments = pointers_to(arguments);
  plan.environment = pointers_to(environment);
  plan.directory = spec.working_directory;
  plan.first_closed = plugin_link_fd + 1;
  if (!spec.program) {
    // Made absolute: the working directory changes before the program is looked up.
    plan.path = std::filesystem::absolute(spec.executable).string();
    return start_child(plan);
  }
  const bool script = is_script(*spec.program);
  const auto program = program_for_child(*spec.program, script);
  plan.program = program.get();
  if (script) {
    plan.descriptors.push_back({program.get(), script_fd});
    plan.program = script_fd;
    plan.first_closed = script_fd + 1;
  }
  return start_child(plan);
}

}  // namespace

spawn_result posix_spawner::spawn(const process_spec& spec) {
  if (spec.confined)
    return spawn_error{spawn_failure::no_launcher,
                       0,
                       true,
                       "a confined start was asked of a spawner that has no walls",
                       "only the launcher can confine a process",
                       ""};
  try {
    spawned_process started;
    auto link = make_link_channel();
    auto output = make_output_channel();
    auto error = make_output_channel();
    const auto null = out_of_the_way(
        unique_fd{check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null")});

    child_plan plan;
    plan.descriptors = {{null.get(), STDIN_FILENO},
                        {output.theirs.get(), STDOUT_FILENO},
                        {error.theirs.get(), STDERR_FILENO},
                        {link.theirs.get(), plugin_link_fd}};
    auto child = start(spec, std::move(plan));
    started.process = make_posix_child(child.pid, std::move(child.pidfd));
    started.link = std::move(link.ours);
    started.standard_output = std::move(output.ours);
    started.standard_error = std::move(error.ours);
    return started;
  } catch (const std::system_error& failed) {
    return explain_spawn_failure(spec, failed.code().value());
  }
}

}  // namespace bulkhead
