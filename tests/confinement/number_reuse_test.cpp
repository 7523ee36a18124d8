// SPDX-License-Identifier: Apache-2.0
// A process has ended, and its number is another's: the handle on the first never hits the second.
// The number is asked for by clone3, in a pid namespace made for that.
#include <linux/sched.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "actors/child_process.hpp"

using namespace bulkhead;

namespace {

[[noreturn]] void wait_for_a_signal() {
  for (;;) ::pause();
}

/// A child that leads its group, by the number that is wanted; 0: any.
pid_t child_numbered(pid_t wanted) {
  clone_args how{};
  how.exit_signal = SIGCHLD;
  if (wanted != 0) {
    how.set_tid = reinterpret_cast<std::uintptr_t>(&wanted);
    how.set_tid_size = 1;
  }
  const auto made = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
  if (made == 0) wait_for_a_signal();
  ::setpgid(made, made);
  return made;
}

bool lives(pid_t child) {
  siginfo_t end{};
  return ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         end.si_pid == 0;
}

/// 0, or what went wrong first. `reaped`: by the handle; otherwise behind its back.
int try_reuse(bool reaped) {
  const pid_t first = child_numbered(0);
  unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, first, 0))};
  if (!pidfd) return 2;
  auto handle = make_posix_child(first, std::move(pidfd));
  if (!handle->signal(SIGKILL)) return 3;
  pollfd end{handle->exit_fd(), POLLIN, 0};
  ::poll(&end, 1, -1);
  if (reaped)
    handle->reap();
  else
    ::waitpid(first, nullptr, 0);
  const pid_t second = child_numbered(first);
  if (second != first) return 4;
  if (handle->signal(SIGKILL)) return 5;
  if (handle->signal_group(SIGKILL)) return 6;
  handle.reset();
  ::usleep(1000);  // a signal would have been delivered at once
  if (!lives(second)) return 7;
  ::kill(second, SIGKILL);
  return 0;
}

/// The same by the first process of a new pid namespace.
int in_a_namespace(int (*what)(bool), bool argument) {
  const pid_t outer = ::fork();
  if (outer == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) ::_exit(100);
    const pid_t first = ::fork();
    if (first == 0) ::_exit(what(argument));
    int status = 0;
    ::waitpid(first, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 101);
  }
  int status = 0;
  ::waitpid(outer, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 102;
}

}  // namespace

TEST_CASE("a handle on a process that was reaped hits no other with its number") {
  CHECK(in_a_namespace(try_reuse, true) == 0);
}

TEST_CASE("nor does it when somebody else has reaped the process") {
  CHECK(in_a_namespace(try_reuse, false) == 0);
}
