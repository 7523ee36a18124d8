// SPDX-License-Identifier: Apache-2.0
// The broker's end of one launcher: its socket, its process, and the lifeline of all that it
// starts.
//
// Orders that are answered go one at a time, and each has a deadline, once to be taken and once to
// be answered: a launcher that is silent for longer is given up, killed, and its instances with it.
// What this process lacks (descriptors, memory) fails the order and nothing else. Whoever holds the
// link keeps the launcher; with the last holder it ends, and with it what it had started. Any
// thread may use it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "actors/child_process.hpp"
#include "actors/launcher/protocol.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {

/// A launcher that was started: our end of its socket, and the process. Tests have none.
struct launcher_process {
  unique_fd socket;
  std::unique_ptr<child_process> process;
};

/// Starts `command`, a path and its arguments, with a socket at descriptor 3, the null device below
/// it and no environment. Throws std::system_error.
launcher_process start_with_socket(std::vector<std::string> command);

/// Likewise the launcher at `path`. Throws std::system_error. `broker`: the uid of the one that it
/// is for, when that is not root's and this process is.
launcher_process start_launcher(const std::string& path, std::uint32_t broker = 0);

class launcher_link {
 public:
  /// Says hello. Throws std::system_error: EPROTO for one that speaks another version or none,
  /// ETIMEDOUT, or what the socket said.
  launcher_link(launcher_process started, std::chrono::milliseconds patience);
  launcher_link(const launcher_link&) = delete;
  launcher_link& operator=(const launcher_link&) = delete;
  ~launcher_link();

  struct start_result {
    launcher::start_answer answer;
    unique_fd init, plugin, status;  // set when it runs
  };

  /// Sends a start whose head is filled in here. Throws std::system_error: when the launcher is
  /// gone, silent or confused, and the link is broken then; or for want of something here, such as
  /// descriptors (EMFILE), and then nothing runs.
  start_result start(launcher::start_order& order, std::span<const int> descriptors);

  /// Throws likewise.
  launcher::limits_answer change_limits(std::uint64_t instance, const resource_limits& limits);

  /// Not answered; never waits. False when the link is broken, or full.
  bool signal(std::uint64_t instance, int number, bool all);

  bool broken() const { return broken_.load(); }
  /// The launcher's uid.
  std::uint32_t user() const { return user_; }
  /// Of the launcher, for people; 0 in tests.
  pid_t pid() const { return process_.process ? process_.process->pid() : 0; }

 private:
  void send(const void* order, std::size_t size, std::span<const int> descriptors);
  template <class Answer>
  Answer ask(const void* order, std::size_t size, std::span<const int> descriptors,
             std::span<unique_fd*> returned);
  [[noreturn]] void give_up(int error_number, const char* what);
  void await_answer();
  void await_end();

  launcher_process process_;
  unique_fd lifeline_;
  std::chrono::milliseconds patience_;
  std::mutex one_at_a_time_;
  std::uint32_t user_ = 0;
  std::atomic<bool> broken_{false};
};

}  // namespace bulkhead
