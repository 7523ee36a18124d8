// SPDX-License-Identifier: Apache-2.0
// Who starts launchers for a broker that is not root any more.
//
// A launcher has to be root to give plugins uids and control groups of their own; its broker, which
// parses what clients and plugins send, has not. So a daemon that was started as root starts a
// keeper, gives root up, and asks the keeper for its launcher, and for another one when that has
// ended.
//
// The keeper is executed anew: it has no thread, and nothing of the broker's memory. It is told the
// path of the launcher and the broker's user when it is started, and knows one order after that,
// "another one". A broker that was taken over gets from it what it had before: a launcher, which
// knows that this broker is not root (launcher/main.cpp): it starts unprivileged processes with
// uids of their own and nothing else, and grants no directory of another user's.
//
// The launcher that was there before is killed first: there is one at a time. The keeper ends with
// its socket, when the launcher has ended, which does so by itself when its broker has gone.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "actors/confinement/launcher_link.hpp"

namespace bulkhead {

/// The broker's end. Any thread may use it.
class launcher_keeper {
 public:
  /// Starts `command`, a path and its arguments, which is to call run_launcher_keeper(). Throws
  /// std::system_error.
  explicit launcher_keeper(const std::vector<std::string>& command);
  launcher_keeper(const launcher_keeper&) = delete;
  launcher_keeper& operator=(const launcher_keeper&) = delete;
  /// Waits for its end, at most `close_down_ms_max`.
  ~launcher_keeper();

  /// A new launcher; the one before is gone. Throws std::system_error: of the start, or EPIPE when
  /// there is no keeper any more.
  launcher_process next();

  static constexpr int close_down_ms_max = 5000;
  static constexpr int answer_ms_max = 15'000;

 private:
  std::mutex one_at_a_time_;
  unique_fd socket_;
  std::unique_ptr<child_process> process_;
};

/// The keeper's life, in a process without threads whose descriptor `launcher::socket_fd` is the
/// socket, for a broker of user `broker`, which is not 0. Returns the exit status.
int run_launcher_keeper(const std::string& launcher, std::uint32_t broker);

}  // namespace bulkhead
