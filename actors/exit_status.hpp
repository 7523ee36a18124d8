// SPDX-License-Identifier: Apache-2.0
// How a process ended, in numbers and in a sentence.
//
// The source is waitid(2)'s siginfo_t, which tells an exit from a death by signal without the
// packing of wait(2)'s int. `unknown` exists because a status can be lost for good: somebody else
// in the process reaped the child (a host that embeds the broker and calls waitpid(-1)), or set
// SIGCHLD to be ignored. Nothing is guessed then.
#pragma once

#include <csignal>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

struct exit_status {
  enum class kind { exited, signaled, unknown };

  kind how = kind::unknown;
  int value = 0;             // the exit code, or the signal's number
  bool core_dumped = false;  // only with `signaled`

  static exit_status exited(int code) { return {kind::exited, code, false}; }
  static exit_status signaled(int signal, bool core) { return {kind::signaled, signal, core}; }

  /// True for exit code 0 alone.
  bool success() const { return how == kind::exited && value == 0; }

  friend bool operator==(const exit_status&, const exit_status&) = default;
};

/// From waitid's answer with WEXITED. Stops and continuations are not ends: `unknown`.
exit_status exit_status_from(const siginfo_t& info);

/// "exited with status 7", "was killed by SIGKILL", "was killed by SIGSEGV and dumped core",
/// "ended, and its status was lost".
std::string sentence(const exit_status& status);

/// "SIGKILL", "SIGRTMIN+3", or "signal 99" for a number that names none.
std::string signal_name(int signal);

/// The number of "SIGKILL", "KILL", "kill", "9", "RTMIN+3"; empty when it names no signal from 1
/// to 64.
std::optional<int> signal_number(std::string_view name);

}  // namespace bulkhead
