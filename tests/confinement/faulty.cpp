// SPDX-License-Identifier: Apache-2.0
#include "tests/confinement/faulty.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstddef>
#include <filesystem>

namespace confined {
namespace {

/// Without those of control groups: it looks for what others have left when it has nothing to do.
std::ptrdiff_t lasting_descriptors_of(pid_t process) {
  const auto all = static_cast<std::ptrdiff_t>(descriptors_of(process).size());
  return all - descriptors_below(process, "/sys/fs/cgroup");
}

/// Until its parent ends, which becomes the launcher.
[[noreturn]] void answer_in_its_stead(int told_by, std::int64_t value) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int asked = -1;
  if (::read(told_by, &asked, sizeof asked) != sizeof asked) ::_exit(126);
  // Nothing else stays open for it: that the launcher has ended is known by its socket.
  if (::unshare(CLONE_FILES) != 0) ::_exit(126);
  ::close_range(0, static_cast<unsigned>(asked) - 1, 0);
  ::close_range(static_cast<unsigned>(asked) + 1, ~0U, 0);
  for (;;) {
    seccomp_notif question{};
    if (::ioctl(asked, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) continue;
    seccomp_notif_resp answer{question.id, value, 0, 0};
    ::ioctl(asked, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

/// Of this process: what the kernel does with such a call. The descriptor, when one is asked for.
int raise_filter(const call& which, std::uint32_t action, unsigned flags) {
  const auto load = [](std::size_t offset) -> sock_filter {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  };
  const bool any = which.argument < 0;
  const auto number = static_cast<std::uint32_t>(which.number);
  const std::size_t argument = offsetof(seccomp_data, args) +
                               sizeof(std::uint64_t) * static_cast<std::size_t>(which.argument);
  std::array code{
      load(offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      load(any ? offsetof(seccomp_data, nr) : argument),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, any ? number : which.value, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, action),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{code.size(), code.data()};
  if (!as_root() && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(126);
  const auto raised = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (raised < 0) ::_exit(126);
  return static_cast<int>(raised);
}

}  // namespace

call prctl_of(const char* name, int option) {
  return {name, SYS_prctl, 0, static_cast<std::uint32_t>(option)};
}

call limit_of(const char* name, int resource) {
  return {name, SYS_prlimit64, 1, static_cast<std::uint32_t>(resource)};
}

void let_fail(const call& which, int error) {
  raise_filter(which, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error), 0);
}

void let_answer(const call& which, std::int64_t value) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) ::_exit(126);
  // It shares the descriptors, so that the filter's is its own as soon as there is one.
  const auto child = ::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, 0UL);
  if (child < 0) ::_exit(126);
  if (child == 0) answer_in_its_stead(ends[0], value);
  const int asked = raise_filter(which, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (::write(ends[1], &asked, sizeof asked) != sizeof asked) ::_exit(126);
}

faulty_launcher::faulty_launcher(const call& which, int error,
                                 const std::function<void()>& before_it)
    : by_{options_after([which, error, before_it] {
        if (before_it) before_it();
        let_fail(which, error);
      })} {
  process_ = launcher_begun_by(by_);
  descriptors_ = lasting_descriptors_of(process_);
  groups_ = groups_made_by(process_);
}

bulkhead::spawn_error faulty_launcher::refusal(const bulkhead::process_spec& spec) {
  return start_fails(by_, spec);
}

bulkhead::spawned_process faulty_launcher::start(const bulkhead::confinement& how) {
  return confined::start(by_, inside({"wait"}, how));
}

bool faulty_launcher::holds_nothing() const {
  return comes_true([&] {
    return children_of(process_).empty() && lasting_descriptors_of(process_) == descriptors_ &&
           groups_made_by(process_) == groups_;
  });
}

}  // namespace confined
