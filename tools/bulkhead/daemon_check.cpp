// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/daemon_check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::size_t answer_bytes_max = std::size_t{64} << 10U;

std::string daemon_program() {
  std::error_code ignored;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const auto beside = here / "bulkheadd";
  return std::filesystem::exists(beside, ignored) ? beside.string() : "bulkheadd";
}

/// Both what a child prints and what it complains of.
struct child_output {
  int status = 0;
  std::string text;
};

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    const auto room = answer_bytes_max - text.size();
    text.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
  }
}

child_output run(const std::string& program, std::array<std::string, 4> words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw failure(exit_code::failed, "no pipe could be made",
                  std::generic_category().message(errno));
  std::array<char*, 5> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = -1;
  const int problem =
      ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  child_output output;
  if (problem == 0) {
    output.text = read_all(ends[0]);
    while (::waitpid(child, &output.status, 0) < 0 && errno == EINTR) continue;
  }
  ::close(ends[0]);
  if (problem != 0)
    throw failure(exit_code::failed, "bulkheadd, which judges the file, cannot be run",
                  std::generic_category().message(problem), "install it beside bulkhead");
  return output;
}

/// The rest of the line that begins with `label`; empty when there is none.
std::string after(const std::string& text, const std::string& label) {
  const auto at = text.find(label);
  if (at == std::string::npos) return {};
  const auto begin = at + label.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

std::string check_config_file(const std::string& file) {
  const auto output = run(daemon_program(), {"bulkheadd", "--config", file, "--check"});
  if (WIFEXITED(output.status) && WEXITSTATUS(output.status) == 0)
    return after(output.text, ": good, ");
  const auto what = after(output.text, "error: ");
  throw failure(exit_code::failed, what.empty() ? "bulkheadd could not judge the file" : what,
                after(output.text, "  why:  "), after(output.text, "  try:  "));
}

}  // namespace bulkhead::cli
