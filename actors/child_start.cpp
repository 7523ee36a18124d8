// SPDX-License-Identifier: Apache-2.0
#include "actors/child_start.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <system_error>

// glibc's clone by its other name: ThreadSanitizer puts a function in the place of `clone` that
// takes the child for a copy of the process, and then keeps the parent's books for both.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" int __clone(int (*run)(void*), void* stack_top, int flags, void* argument, ...) noexcept;

namespace bulkhead {
namespace {

constexpr int signal_numbers = 64;           // of the kernel, which are one more than NSIG says
constexpr std::size_t signal_set_bytes = 8;  // of the kernel; glibc's sigset_t is longer
constexpr std::size_t child_stack_bytes = 16 << 10;  // the child calls nothing that is deep
constexpr int exit_unstarted = 127;

struct child_view {
  const child_plan& plan;
  int error_number = 0;  // written by the child
};

/// The kernel's struct sigaction with all members zero, and so SIG_DFL.
struct default_action {
  std::array<std::uint64_t, 4> zero{};
};

/// Runs in the child, on the memory of the parent. Only system calls; nothing here may throw,
/// allocate, or be looked at by a sanitizer, whose notes are the parent's. Returns when a step has
/// failed, with errno as that step left it.
__attribute__((no_sanitize("address", "thread", "undefined"))) void become(const child_plan& plan) {
  const default_action standard;
  for (int number = 1; number <= signal_numbers; ++number)
    ::syscall(SYS_rt_sigaction, number, &standard, nullptr, signal_set_bytes);
  if (::syscall(SYS_setsid) < 0) return;
  const auto* const end = plan.descriptors.data() + plan.descriptors.size();
  for (const auto* each = plan.descriptors.data(); each != end; ++each)
    if (::syscall(SYS_dup3, each->source, each->target, 0) < 0) return;
  if (::syscall(SYS_close_range, plan.first_closed, ~0U, CLOSE_RANGE_CLOEXEC) < 0) return;
  if (!plan.directory.empty() && ::syscall(SYS_chdir, plan.directory.c_str()) < 0) return;
  const std::uint64_t no_signal = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signal, nullptr, signal_set_bytes);
  if (plan.program >= 0)
    ::syscall(SYS_execveat, plan.program, "", plan.arguments.data(), plan.environment.data(),
              AT_EMPTY_PATH);
  else
    ::syscall(SYS_execve, plan.path.c_str(), plan.arguments.data(), plan.environment.data());
}

__attribute__((no_sanitize("address", "thread", "undefined"))) int child_main(void* view) {
  auto* const self = static_cast<child_view*>(view);
  become(self->plan);
  self->error_number = errno;
  ::syscall(SYS_exit_group, exit_unstarted);
  return exit_unstarted;
}

/// Blocks every signal of this thread, also those that pthread_sigmask leaves alone.
class signals_blocked {
 public:
  signals_blocked() {
    const std::uint64_t all = ~std::uint64_t{0};
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, signal_set_bytes);
  }
  ~signals_blocked() {
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, signal_set_bytes);
  }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  std::uint64_t before_ = 0;
};

}  // namespace

born_child start_child(const child_plan& plan) {
  child_view view{plan};
  int pidfd = -1;
  pid_t pid = -1;
  int error_number = 0;
  {
    alignas(16) std::array<std::byte, child_stack_bytes>
        stack;  // this thread waits: it may lie here
    const signals_blocked guard;
    pid = __clone(child_main, stack.data() + stack.size(),
                  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &view, &pidfd);
    error_number = pid < 0 ? errno : view.error_number;
  }
  born_child child{pid, unique_fd{pidfd}};
  if (error_number == 0) return child;
  if (pid >= 0) {
    siginfo_t end{};
    while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &end, WEXITED) < 0 &&
           errno == EINTR) {
    }
  }
  throw std::system_error{error_number, std::generic_category(), "start"};
}

}  // namespace bulkhead
