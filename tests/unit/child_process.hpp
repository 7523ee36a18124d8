// SPDX-License-Identifier: Apache-2.0
//
// A real process with a socketpair on descriptor 3, as a broker starts one, without a broker: for
// tests of serve() and of bad_plugin. Waits are on descriptors (pidfd, pipes) with a bound; nothing
// sleeps. The child is killed and reaped with the object.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace bulkhead::test {

/// How a process ended.
struct ended {
  bool by_signal = false;
  int status = 0;  ///< exit status, or the signal
  bool operator==(const ended&) const = default;
};

class child_process {
 public:
  /// Starts the program; with a link on descriptor 3 or without.
  explicit child_process(const std::string& program, bool with_link = true) {
    int link[2]{-1, -1};
    int log[2]{-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) == 0);
    REQUIRE(::pipe2(log, O_CLOEXEC) == 0);
    const char* arguments[] = {program.c_str(), nullptr};
    const char* environment[] = {"BULKHEAD_FD=3", nullptr};
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      // Above all numbers that are about to be replaced.
      int theirs = ::fcntl(link[1], F_DUPFD, 10);
      ::dup2(log[1], STDOUT_FILENO);
      ::dup2(log[1], STDERR_FILENO);
      if (with_link) ::dup2(theirs, 3);
      ::close(theirs);
      if (!with_link) ::close(3);
      ::execve(program.c_str(), const_cast<char**>(arguments), const_cast<char**>(environment));
      ::_exit(127);
    }
    ::close(link[1]);
    ::close(log[1]);
    link_ = link[0];
    log_ = log[0];
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    REQUIRE(pidfd_ >= 0);
  }

  ~child_process() {
    if (!end_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    close_link();
    close_log();
    ::close(pidfd_);
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// Our end of the link. The caller takes it.
  int take_link() { return std::exchange(link_, -1); }
  void close_link() {
    if (link_ >= 0) ::close(std::exchange(link_, -1));
  }
  void close_log() {
    if (log_ >= 0) ::close(std::exchange(log_, -1));
  }
  void signal(int number) { ::kill(pid_, number); }

  /// Waits for the end, for at most so many milliseconds; nothing when it lives on.
  std::optional<ended> wait(int ms_max = 5000) {
    if (end_) return end_;
    pollfd what{pidfd_, POLLIN, 0};
    if (::poll(&what, 1, ms_max) != 1) return std::nullopt;
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    end_ = WIFSIGNALED(status) ? ended{true, WTERMSIG(status)} : ended{false, WEXITSTATUS(status)};
    return end_;
  }

  /// All that it wrote to stdout and stderr until it closed them.
  std::string log() {
    std::string text;
    char chunk[4096];
    for (ssize_t got = 0; (got = ::read(log_, chunk, sizeof(chunk))) > 0;)
      text.append(chunk, static_cast<std::size_t>(got));
    return text;
  }

  /// Reads one line of its log, waiting for it.
  std::string log_line() {
    std::string text;
    char c = 0;
    pollfd what{log_, POLLIN, 0};
    while (::poll(&what, 1, 5000) == 1 && ::read(log_, &c, 1) == 1 && c != '\n') text += c;
    return text;
  }

 private:
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int link_ = -1;
  int log_ = -1;
  std::optional<ended> end_;
};

}  // namespace bulkhead::test
