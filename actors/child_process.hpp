// SPDX-License-Identifier: Apache-2.0
// A running child process: how it is signalled, and how its end is learnt.
//
// The handle is a pidfd, which names this one process for ever, also after its number went to
// another. So a signal can hit no stranger. Three rules follow from how Linux works:
//
// - The end is seen first (`peek`), the process group is killed, and only then is the process
// reaped. Until it is reaped its number
//   and its group's number stay taken; afterwards a signal to the group could hit others. `reap`
//   does both in that order, so that what the child forked dies with it. A descendant that called
//   setsid itself has left the group and is not reached: only a cgroup or a pid namespace gets
//   those.
// - Nothing in the process may wait for all children (waitpid(-1), SIGCHLD ignored): the status
// would be lost. It is then reported
//   as unknown, and the group is no longer signalled.
// - `exit_fd` becomes readable when the process has ended, whether or not it was reaped; it is
// meant for an event loop.
//
// An interface, so that tests run without processes. One thread at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "actors/exit_status.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {

class child_process {
 public:
  child_process() = default;
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  /// Kills what still runs, with its group, and never waits for it: what does not end at once is
  /// reaped by a thread of its own, for at most `reap_wait_ms_max`.
  virtual ~child_process() = default;

  /// For people: logs and status. Never signal by it.
  virtual pid_t pid() const = 0;

  /// Readable once the process has ended. Owned by this object.
  virtual int exit_fd() const = 0;

  /// Sends a signal to the process alone. False when it has ended.
  virtual bool signal(int number) = 0;

  /// Sends a signal to the process and to all it forked that stayed in its group, also when the
  /// process itself has ended but was not yet reaped. False when it was reaped or the group is
  /// empty.
  virtual bool signal_group(int number) = 0;

  /// How the process ended, without reaping it; empty while it runs.
  virtual std::optional<exit_status> peek() = 0;

  /// When the process has ended: kills the rest of its group, reaps it, and answers how it ended;
  /// the same answer ever after. Empty while it runs.
  virtual std::optional<exit_status> reap() = 0;

  /// Once it has ended: whether the kernel killed it because its limit of memory, or the machine's,
  /// was reached. False where nobody can tell.
  virtual bool out_of_memory() { return false; }
};

/// How long what a destructor killed is waited for. Beyond that (a process stuck in the kernel) a
/// zombie stays behind until this process ends.
inline constexpr int reap_wait_ms_max = 60'000;

/// A handle on process `pid`, which must be an unreaped child of this process that leads its own
/// process group.
std::unique_ptr<child_process> make_posix_child(pid_t pid, unique_fd pidfd);

}  // namespace bulkhead
