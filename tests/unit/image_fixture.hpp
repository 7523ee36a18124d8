// SPDX-License-Identifier: Apache-2.0
#pragma once

// A plugin directory to put files into, the marked program in two variants, and runs of them.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "actors/posix_spawner.hpp"
#include "broker/images/image_vault.hpp"
#include "tools/temporary_directory.hpp"

namespace bulkhead::test {

inline std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream{path, std::ios::binary}.rdbuf();
  return text.str();
}

inline std::size_t digit_in(const std::string& program) {
  const std::string mark = "bulkhead-marked-program:";
  const auto at = program.find(mark);
  REQUIRE(at != std::string::npos);
  return at + mark.size();
}

/// The marked program; it exits with the digit.
inline std::string program_that_exits(char digit) {
  auto program = content_of(BULKHEAD_MARKED_PROGRAM);
  program[digit_in(program)] = digit;
  return program;
}

struct plugin_files {
  temporary_directory directory;

  std::string put(const std::string& name, const std::string& content, mode_t mode = 0755) const {
    auto path = directory / name;
    std::ofstream{path, std::ios::binary} << content;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  const std::string& path() const { return directory.path(); }
};

inline constexpr std::uint64_t file_bytes_max = std::uint64_t{64} << 20U;

inline std::shared_ptr<const image> image_of(const std::string& directory,
                                             const std::string& command,
                                             const std::optional<trust::digest>& expected = {},
                                             std::uint64_t bytes_max = file_bytes_max) {
  return make_image(plugin_directory{directory}.open(command, bytes_max), expected, bytes_max);
}

/// The failure that `work` ends with; its texts must be whole.
inline image_failure failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const image_error& refused) {
    CHECK(std::string(refused.what()).size() > 10);
    CHECK_FALSE(refused.why().empty());
    if (refused.failure() != image_failure::system) CHECK_FALSE(refused.remedy().empty());
    return refused.failure();
  }
  throw std::logic_error("nothing was refused");
}

inline process_spec by_path(const std::string& path) {
  process_spec spec;
  spec.executable = path;
  return spec;
}

inline process_spec by_image(const image& what) {
  auto spec = by_path("plugin");
  spec.program = what.program();
  return spec;
}

/// Runs it to its end; -1 when it did not start or did not exit by itself.
inline int exit_code_of(const process_spec& spec) {
  constexpr int patience_ms = 20'000;
  auto result = posix_spawner{}.spawn(spec);
  auto* started = std::get_if<spawned_process>(&result);
  if (started == nullptr) return -1;
  pollfd ended{started->process->exit_fd(), POLLIN, 0};
  if (::poll(&ended, 1, patience_ms) != 1) return -1;
  const auto end = started->process->reap();
  for (int code = 0; code < 10; ++code)
    if (end == exit_status::exited(code)) return code;
  return -1;
}

/// In a process of another user, who may not do what root may; `work` says whether it went well.
inline bool holds_as_nobody(const std::function<bool()>& work) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(2);
    bool well = false;
    try {
      well = work();
    } catch (const image_error& refused) {
      std::fprintf(stderr, "%s: %s\n", refused.what(), refused.why().c_str());
    }
    ::_exit(well ? 0 : 1);
  }
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace bulkhead::test
