// SPDX-License-Identifier: Apache-2.0
// Threat 1: from a plugin to the broker, or to any other process of its user.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

int pidfd_of(int pid) {
  return static_cast<int>(call(SYS_pidfd_open, pid, 0));
}

outcome reads_memory(int pid, std::uintptr_t address) {
  std::array<char, 64> bytes{};
  iovec here{bytes.data(), bytes.size()};
  iovec there{reinterpret_cast<void*>(address), bytes.size()};
  if (call(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0) < 0) return blocked();
  return worked_if(is_secret({bytes.data(), bytes.size()}));
}

outcome writes_memory(const targets& at) {
  char byte = 'x';
  iovec here{&byte, 1};
  iovec there{reinterpret_cast<void*>(at.secret_at + 512), 1};  // behind the secret, in its page
  return worked(call(SYS_process_vm_writev, at.victim, &here, 1, &there, 1, 0));
}

outcome seizes(int pid) {
  if (call(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0) < 0) return blocked();
  call(SYS_ptrace, PTRACE_INTERRUPT, pid, 0, 0);
  siginfo_t stop{};
  call(SYS_waitid, P_PID, pid, &stop, WSTOPPED | __WALL, 0);
  call(SYS_ptrace, PTRACE_DETACH, pid, 0, 0);
  return succeeded();
}

int open_of(int pid, const char* file, int flags) {
  std::array<char, 64> path{};
  snprintf(path.data(), path.size(), "/proc/%d/%s", pid, file);
  return static_cast<int>(call(SYS_openat, AT_FDCWD, path.data(), flags, 0));
}

outcome reads_mem_file(const targets& at) {
  const int file = open_of(at.victim, "mem", O_RDONLY);
  if (file < 0) return blocked();
  std::array<char, 64> bytes{};
  if (call(SYS_pread64, file, bytes.data(), bytes.size(), at.secret_at) < 0) return blocked();
  return worked_if(is_secret({bytes.data(), bytes.size()}));
}

outcome takes_descriptor(const targets& at) {
  const int process = pidfd_of(at.victim);
  if (process < 0) return blocked();
  const auto taken = static_cast<int>(call(SYS_pidfd_getfd, process, at.victim_descriptor, 0));
  if (taken < 0) return blocked();
  call(SYS_lseek, taken, 0, SEEK_SET);
  return reads_secret(taken);
}

outcome signals_by_descriptor(int pid) {
  const int process = pidfd_of(pid);
  if (process < 0) return blocked();
  return worked(call(SYS_pidfd_send_signal, process, SIGCONT, nullptr, 0));
}

outcome makes_kernel_signal(const targets& at) {
  // SIGIO for whatever happens on the link, to the victim.
  if (call(SYS_fcntl, 3, F_SETOWN, at.victim) < 0) return blocked();
  const long flags = call(SYS_fcntl, 3, F_GETFL, 0);
  if (call(SYS_fcntl, 3, F_SETFL, flags | O_ASYNC) < 0) return blocked();
  call(SYS_fcntl, 3, F_SETFL, flags);
  call(SYS_fcntl, 3, F_SETOWN, 0);
  return succeeded();
}

outcome advises_memory(const targets& at) {
  const int process = pidfd_of(at.victim);
  if (process < 0) return blocked();
  iovec there{reinterpret_cast<void*>(at.secret_at & ~std::uintptr_t{4095}), 4096};
  return worked(call(SYS_process_madvise, process, &there, 1, MADV_COLD, 0));
}

outcome moves_pages(const targets& at) {
  void* page = reinterpret_cast<void*>(at.secret_at & ~std::uintptr_t{4095});
  int status = -1;
  return worked(call(SYS_move_pages, at.victim, 1UL, &page, nullptr, &status, 0));
}

outcome changes_limit(const targets& at) {
  rlimit limit{};
  if (call(SYS_prlimit64, at.victim, RLIMIT_CORE, nullptr, &limit) < 0) return blocked();
  return worked(call(SYS_prlimit64, at.victim, RLIMIT_CORE, &limit, nullptr));
}

outcome pins_to_processor(const targets& at) {
  cpu_set_t set;
  const long got = call(SYS_sched_getaffinity, at.victim, sizeof set, &set);
  if (got < 0) return blocked();
  return worked(call(SYS_sched_setaffinity, at.victim, static_cast<std::size_t>(got), &set));
}

outcome changes_schedule(const targets& at) {
  struct {
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } how{48, SCHED_BATCH, 0, 0, 0, 0, 0, 0};
  return worked(call(SYS_sched_setattr, at.victim, &how, 0));
}

outcome finds_number(const targets& at) {
  const long result = call(SYS_kill, at.victim, 0);
  return worked_if(result == 0 || errno == EPERM);  // both tell that it exists
}

outcome asks_robust_list(const targets& at) {
  void* head = nullptr;
  std::size_t size = 0;
  return worked(call(SYS_get_robust_list, at.victim, &head, &size));
}

outcome enters_root(const targets& at) {
  std::array<char, 64> path{};
  snprintf(path.data(), path.size(), "root%s", at.canary);
  std::array<char, 256> whole{};
  snprintf(whole.data(), whole.size(), "/proc/%d/%s", at.victim, path.data());
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, whole.data(), O_RDONLY, 0));
  return file < 0 ? blocked() : reads_secret(file);
}

outcome reaches_descriptor_of(const targets& at) {
  std::array<char, 32> name{};
  snprintf(name.data(), name.size(), "fd/%d", at.victim_descriptor);
  const int file = open_of(at.victim, name.data(), O_RDONLY);
  return file < 0 ? blocked() : reads_secret(file);
}

outcome takes_memory_back(const targets&) {
  // Of a dying process only: EINVAL tells that the kernel would have.
  const int process = pidfd_of(static_cast<int>(call(SYS_getppid)));
  if (process < 0) return blocked();
  const long result = call(SYS_process_mrelease, process, 0);
  return worked_if(result == 0 || errno == EINVAL);
}

constexpr attack table[] = {
    {"ptrace", 1, "traces another process", [](const targets& at) { return seizes(at.victim); }},
    {"ptrace_parent", 1, "traces its parent",
     [](const targets&) { return seizes(static_cast<int>(call(SYS_getppid))); }},
    {"traceme", 1, "lets its parent trace it",
     [](const targets&) { return worked(call(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)); }},
    {"vm_readv", 1, "reads another process's memory",
     [](const targets& at) { return reads_memory(at.victim, at.secret_at); }},
    {"vm_writev", 1, "writes another process's memory", writes_memory},
    {"proc_mem", 1, "reads another process's memory by its file", reads_mem_file},
    {"pidfd_open", 1, "gets a handle on another process",
     [](const targets& at) { return worked(pidfd_of(at.victim)); }},
    {"pidfd_getfd", 1, "takes a descriptor out of another process", takes_descriptor},
    {"proc_fd", 1, "opens another process's descriptor by its link", reaches_descriptor_of},
    {"proc_root", 1, "sees files by another process's root", enters_root},
    {"kill_victim", 1, "signals another process",
     [](const targets& at) { return worked(call(SYS_kill, at.victim, SIGCONT)); }},
    {"tgkill_victim", 1, "signals another process's thread",
     [](const targets& at) { return worked(call(SYS_tgkill, at.victim, at.victim, SIGCONT)); }},
    {"pidfd_signal", 1, "signals another process by a handle",
     [](const targets& at) { return signals_by_descriptor(at.victim); }},
    {"kill_all", 1, "may signal all it can see",
     [](const targets&) { return worked(call(SYS_kill, -1, 0)); }},
    {"kill_parent", 1, "signals its parent",
     [](const targets&) { return worked(call(SYS_kill, call(SYS_getppid), SIGCONT)); }},
    {"pidfd_signal_parent", 1, "signals its parent by a handle",
     [](const targets&) { return signals_by_descriptor(static_cast<int>(call(SYS_getppid))); }},
    {"kill_probe", 1, "learns that a process exists", finds_number},
    {"sigio", 1, "lets the kernel signal another process", makes_kernel_signal},
    {"affinity", 1, "pins another process to a processor", pins_to_processor},
    {"sched_setattr", 1, "changes how another process is scheduled", changes_schedule},
    {"nice_victim", 1, "slows another process down",
     [](const targets& at) { return worked(call(SYS_setpriority, PRIO_PROCESS, at.victim, 1)); }},
    {"ioprio_victim", 1, "slows another process's input and output",
     [](const targets& at) { return worked(call(SYS_ioprio_set, 1, at.victim, 3 << 13)); }},
    {"rlimit_other", 1, "changes another process's limits", changes_limit},
    {"kcmp", 1, "compares its objects with another process's",
     [](const targets& at) {
       return worked(call(SYS_kcmp, call(SYS_getpid), at.victim, KCMP_FILES, 0, 0));
     }},
    {"robust_list", 1, "learns an address in another process", asks_robust_list},
    {"move_pages", 1, "learns where another process's memory lies", moves_pages},
    {"process_madvise", 1, "has another process's memory thrown out", advises_memory,
     "needs the privilege to change priorities"},
    {"process_mrelease", 1, "has its parent's memory taken", takes_memory_back},
    {"getsid", 1, "learns another process's session",
     [](const targets& at) { return worked(call(SYS_getsid, at.victim)); }},
};

}  // namespace

std::span<const attack> process_attacks() {
  return table;
}

}  // namespace hostile
