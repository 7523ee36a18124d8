// SPDX-License-Identifier: Apache-2.0
// Threats 12 and 19: processes, threads and signals without end, and processes that stay behind.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <array>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr int most_tasks = 512;

outcome forks(long number) {
  const long child =
      number == SYS_clone ? call(SYS_clone, SIGCHLD, 0UL, 0UL, 0UL, 0UL) : call(number);
  if (child == 0) call(SYS_exit_group, 0);
  if (child < 0) return blocked();
  call(SYS_wait4, child, nullptr, 0, nullptr);
  return succeeded();
}

outcome forks_by_wrapper(const targets&) {
  // A child on the stack of its parent must not return: it ends inside the call's own block.
  const pid_t child = vfork();
  if (child == 0) _exit(0);
  if (child < 0) return blocked();
  call(SYS_wait4, child, nullptr, 0, nullptr);
  return succeeded();
}

outcome forks_without_end(const targets& at) {
  static std::array<long, most_tasks> children{};
  const int wanted = at.tasks + 8;
  int made = 0;
  outcome result = succeeded();
  while (made < wanted && result.what == verdict::succeeded) {
    const long child = call(SYS_clone, SIGCHLD, 0UL, 0UL, 0UL, 0UL);
    if (child == 0) {
      call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      const timespec long_enough{5, 0};
      call(SYS_nanosleep, &long_enough, nullptr);
      call(SYS_exit_group, 0);
    }
    if (child < 0) {
      result = blocked();
    } else {
      children[static_cast<std::size_t>(made++)] = child;
    }
  }
  for (int each = 0; each < made; ++each) {
    const long child = children[static_cast<std::size_t>(each)];
    call(SYS_kill, child, SIGKILL);
    call(SYS_wait4, child, nullptr, 0, nullptr);
  }
  return result;
}

void* sleeps(void*) {
  const timespec long_enough{5, 0};
  call(SYS_nanosleep, &long_enough, nullptr);
  return nullptr;
}

outcome starts_threads(const targets& at) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  for (int made = 0; made < at.tasks + 8; ++made) {
    pthread_t one{};
    const int error = pthread_create(&one, &small, sleeps, nullptr);
    if (error != 0) return blocked(error);
  }
  return succeeded();
}

outcome queues_signals(const targets& at, bool by_thread) {
  sigset_t all{};
  sigfillset(&all);
  call(SYS_rt_sigprocmask, SIG_BLOCK, &all, nullptr, 8UL);
  const auto self = static_cast<int>(call(SYS_getpid));
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  for (int sent = 0; sent < at.pending_signals + 64; ++sent) {
    const long result = by_thread ? call(SYS_tgkill, self, call(SYS_gettid), 40)
                                  : call(SYS_rt_sigqueueinfo, self, 40, &info);
    if (result < 0) return blocked();
  }
  return succeeded();
}

/// Lives on until the other end of the link is closed, ten seconds at most.
[[noreturn]] void stays() {
  pollfd link{3, POLLIN, 0};
  for (int step = 0; step < 100; ++step) {
    const timespec limit{0, 100'000'000};
    call(SYS_ppoll, &link, 1UL, &limit, nullptr, 8UL);
    if ((link.revents & (POLLHUP | POLLERR)) != 0) break;
  }
  call(SYS_exit_group, 0);
  __builtin_unreachable();
}

/// Leaves a grandchild in a session of its own. It holds the link: the runner sees that nobody
/// closed it, which alone is a success (see judged_from_outside in the runner).
outcome leaves_orphan(const targets&) {
  const long child = call(SYS_clone, SIGCHLD, 0UL, 0UL, 0UL, 0UL);
  if (child < 0) return blocked();
  if (child == 0) {
    call(SYS_setsid);
    if (call(SYS_clone, SIGCHLD, 0UL, 0UL, 0UL, 0UL) == 0) stays();
    call(SYS_exit_group, 0);
  }
  call(SYS_wait4, child, nullptr, 0, nullptr);
  return succeeded();
}

constexpr attack table[] = {
    {"fork", 12, "makes a child", [](const targets&) { return forks(SYS_fork); }},
    {"clone", 12, "makes a child by the general call",
     [](const targets&) { return forks(SYS_clone); }},
    {"vfork", 12, "makes a child in its own memory", forks_by_wrapper},
    {"forkbomb", 12, "makes more children than its limit", forks_without_end},
    {"threads", 12, "makes more threads than its limit", starts_threads},
    {"clone_files", 12, "makes a child that shares its descriptors",
     [](const targets&) {
       const long child = call(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, 0UL, 0UL, 0UL, 0UL);
       if (child == 0) call(SYS_exit_group, 0);
       return worked(child);
     }},
    {"sigqueue", 12, "queues more signals than its limit",
     [](const targets& at) { return queues_signals(at, false); }},
    {"sigqueue_thread", 12, "queues more signals than its limit, to its own thread",
     [](const targets& at) { return queues_signals(at, true); }},
    {"setsid", 19, "leaves its session", [](const targets&) { return worked(call(SYS_setsid)); },
     "who leads a process group cannot"},
    {"pdeathsig", 19, "would outlive its parent",
     [](const targets&) { return worked(call(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0)); }},
    {"orphan", 19, "leaves a process behind", leaves_orphan},
};

}  // namespace

std::span<const attack> task_attacks() {
  return table;
}

}  // namespace hostile
