// SPDX-License-Identifier: Apache-2.0
// Threat 7: parts of the kernel that no plugin needs. A success is that the kernel did the work; in
// each of these there were holes once.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <linux/landlock.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>

#include <array>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr std::size_t page = 4096;

char* map(std::size_t bytes, int flags) {
  return reinterpret_cast<char*>(call(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                                      flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L));
}

outcome advises(int advice) {
  char* place = map(page, 0);
  return place == MAP_FAILED ? blocked() : worked(call(SYS_madvise, place, page, advice));
}

outcome loads_bpf(const targets&) {
  const std::array<bpf_insn, 2> program{bpf_insn{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                                        bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
  attributes.insn_cnt = program.size();
  attributes.license = reinterpret_cast<std::uintptr_t>("GPL");
  return worked(call(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes));
}

outcome opens_perf(int pid) {
  perf_event_attr what{};
  what.size = sizeof what;
  what.type = PERF_TYPE_SOFTWARE;
  what.config = PERF_COUNT_SW_TASK_CLOCK;
  what.exclude_kernel = 1;
  what.exclude_hv = 1;
  return worked(call(SYS_perf_event_open, &what, pid, -1, -1, 0));
}

outcome opens_fault_device(const targets&) {
  const auto device = static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR, 0));
  return device < 0 ? blocked() : worked(call(SYS_ioctl, device, 0xAA00, 0));
}

outcome reads_descriptor_table(const targets&) {
  std::array<char, 64> entries{};
  return worked(call(SYS_modify_ldt, 0, entries.data(), entries.size()));
}

outcome splices(const targets&) {
  std::array<int, 2> from{};
  std::array<int, 2> into{};
  if (call(SYS_pipe2, from.data(), 0) < 0 || call(SYS_pipe2, into.data(), 0) < 0) return blocked();
  if (call(SYS_write, from[1], "x", 1UL) < 0) return blocked();
  return worked(call(SYS_splice, from[0], nullptr, into[1], nullptr, 1UL, 0));
}

outcome splices_memory(const targets&) {
  std::array<int, 2> ends{};
  if (call(SYS_pipe2, ends.data(), 0) < 0) return blocked();
  char byte = 'x';
  iovec part{&byte, 1};
  return worked(call(SYS_vmsplice, ends[1], &part, 1UL, 0));
}

outcome tees(const targets&) {
  std::array<int, 2> from{};
  std::array<int, 2> into{};
  if (call(SYS_pipe2, from.data(), 0) < 0 || call(SYS_pipe2, into.data(), 0) < 0) return blocked();
  if (call(SYS_write, from[1], "x", 1UL) < 0) return blocked();
  return worked(call(SYS_tee, from[0], into[1], 1UL, 0));
}

outcome sets_clock(const targets&) {
  timespec now{};
  if (call(SYS_clock_gettime, CLOCK_REALTIME, &now) < 0) return blocked();
  return worked(call(SYS_clock_settime, CLOCK_REALTIME, &now));
}

outcome reads_clock_state(const targets&) {
  timex state{};
  return worked(call(SYS_adjtimex, &state));
}

outcome makes_timer(const targets&) {
  int timer = 0;
  return worked(call(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &timer));
}

outcome makes_aio(const targets&) {
  aio_context_t context = 0;
  return worked(call(SYS_io_setup, 4, &context));
}

outcome types_into_terminal(const targets&) {
  const auto master = static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/ptmx", O_RDWR, 0));
  if (master < 0) return worked(call(SYS_ioctl, 0, TIOCSTI, "x"));
  int unlocked = 0;
  unsigned which = 0;
  if (call(SYS_ioctl, master, TIOCSPTLCK, &unlocked) < 0) return blocked();
  if (call(SYS_ioctl, master, TIOCGPTN, &which) < 0) return blocked();
  call(SYS_setsid);
  std::array<char, 32> path{};
  snprintf(path.data(), path.size(), "/dev/pts/%u", which);
  const auto slave = static_cast<int>(call(SYS_openat, AT_FDCWD, path.data(), O_RDWR, 0));
  if (slave < 0) return blocked();
  return worked(call(SYS_ioctl, slave, TIOCSTI, "x"));
}

outcome makes_ruleset(const targets&) {
  struct {
    std::uint64_t files;
  } rules{LANDLOCK_ACCESS_FS_EXECUTE};
  return worked(call(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
}

outcome asks_filter(const targets&) {
  const std::uint32_t action = SECCOMP_RET_USER_NOTIF;
  return worked(call(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

outcome locks_with_inheritance(const targets&) {
  static std::uint32_t word = 0;
  return worked(call(SYS_futex, &word, FUTEX_LOCK_PI, 0, nullptr, nullptr, 0));
}

outcome requeues(const targets&) {
  static std::array<std::uint32_t, 2> words{};
  return worked(call(SYS_futex, words.data(), FUTEX_CMP_REQUEUE, 1, 1L, &words[1], 0));
}

outcome wakes_with_operation(const targets&) {
  static std::array<std::uint32_t, 2> words{};
  return worked(call(SYS_futex, words.data(), FUTEX_WAKE_OP, 1, 1L, &words[1], 0));
}

outcome knows_machine(const targets&) {
  struct sysinfo found {};
  return worked(call(SYS_sysinfo, &found));
}

outcome uses_keys_of_pages(const targets&) {
  char* place = map(page, 0);
  if (place == MAP_FAILED) return blocked();
  if (call(number::mseal, place, page, 0) == 0) return succeeded();
  return worked(call(SYS_pkey_alloc, 0, 0));
}

outcome asks_quota(const targets& at) {
  std::array<char, 256> found{};
  return worked(call(SYS_quotactl, QCMD(Q_GETFMT, USRQUOTA), at.directory, 0, found.data()));
}

outcome sets_policy(const targets&) {
  return worked(call(SYS_set_mempolicy, 0, nullptr, 0UL));
}

outcome disables_randomisation(const targets&) {
  const long now = call(SYS_personality, 0xffffffff);
  if (now < 0) return blocked();
  return worked(call(SYS_personality, now | ADDR_NO_RANDOMIZE));
}

/// prctl with two arguments that matter.
outcome sets_option(int option, long first, long second = 0, long third = 0) {
  return worked(call(SYS_prctl, option, first, second, third, 0L));
}

constexpr attack table[] = {
    {"bpf", 7, "loads a program into the kernel", loads_bpf,
     "kernel.unprivileged_bpf_disabled may forbid it"},
    {"bpf_map", 7, "makes a map for programs in the kernel",
     [](const targets&) {
       bpf_attr attributes{};
       attributes.map_type = BPF_MAP_TYPE_ARRAY;
       attributes.key_size = attributes.value_size = 4;
       attributes.max_entries = 1;
       return worked(call(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
     },
     "kernel.unprivileged_bpf_disabled may forbid it"},
    {"perf", 7, "measures itself", [](const targets&) { return opens_perf(0); },
     "kernel.perf_event_paranoid may forbid it"},
    {"perf_victim", 7, "measures another process",
     [](const targets& at) { return opens_perf(at.victim); },
     "kernel.perf_event_paranoid may forbid it"},
    {"uffd", 7, "handles page faults itself",
     [](const targets&) { return worked(call(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)); }},
    {"uffd_kernel", 7, "holds the kernel up at a page fault",
     [](const targets&) { return worked(call(SYS_userfaultfd, O_CLOEXEC)); },
     "vm.unprivileged_userfaultfd may forbid it"},
    {"uffd_device", 7, "holds the kernel up by the device for it", opens_fault_device,
     "the device belongs to root"},
    {"ldt", 7, "reaches the table of segments", reads_descriptor_table},
    {"personality", 7, "switches randomisation off", disables_randomisation},
    {"seccomp", 7, "asks for a filter whose answers it gives itself", asks_filter},
    {"seccomp_listener", 7, "asks for another filter by the old call",
     [](const targets&) { return worked(call(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0)); }},
    {"splice", 7, "moves pages between pipes", splices},
    {"vmsplice", 7, "lends its pages to a pipe", splices_memory},
    {"tee", 7, "doubles pages of a pipe", tees},
    {"kexec", 7, "prepares another kernel",
     [](const targets&) { return worked(call(SYS_kexec_load, 0UL, 0UL, nullptr, 0UL)); },
     "needs root"},
    {"module", 7, "loads a module",
     [](const targets&) { return worked(call(SYS_init_module, "", 0UL, "")); }, "needs root"},
    {"syslog", 7, "reads the kernel's log",
     [](const targets&) { return worked(call(SYS_syslog, 10, nullptr, 0)); },
     "kernel.dmesg_restrict may forbid it"},
    {"clockset", 7, "sets the clock", sets_clock, "needs root"},
    {"adjtimex", 7, "reaches the clock's control", reads_clock_state},
    {"timer", 7, "makes a timer that sends signals", makes_timer},
    {"itimer", 7, "makes a timer by the old call",
     [](const targets&) {
       const std::array<long, 4> never{};
       return worked(call(SYS_setitimer, 0, never.data(), nullptr));
     }},
    {"memfd", 7, "makes a file in memory",
     [](const targets&) { return worked(call(SYS_memfd_create, "hostile", 2U)); }},
    {"memfd_secret", 7, "makes memory that not even the kernel sees",
     [](const targets&) { return worked(call(SYS_memfd_secret, 0)); },
     "a kernel may be started without it"},
    {"aio", 7, "makes a queue of the old asynchronous calls", makes_aio},
    {"quotactl", 7, "asks for quotas", asks_quota, "a file system may be without quotas"},
    {"tiocsti", 7, "types into its terminal", types_into_terminal,
     "dev.tty.legacy_tiocsti may forbid it"},
    {"landlock", 7, "makes rules of its own", makes_ruleset},
    {"futex_pi", 7, "locks with priority inheritance", locks_with_inheritance},
    {"futex_requeue_old", 7, "moves waiters between locks", requeues},
    {"futex_wake_op", 7, "changes one lock while it wakes another", wakes_with_operation},
    {"ksm", 7, "has its pages merged with others'",
     [](const targets&) { return advises(MADV_MERGEABLE); }},
    {"ksm_process", 7, "has all its pages merged with others'",
     [](const targets&) { return sets_option(67 /* PR_SET_MEMORY_MERGE */, 1); },
     "needs the privilege to change limits"},
    {"hwpoison", 7, "has a page declared broken",
     [](const targets&) { return advises(MADV_HWPOISON); }, "needs root"},
    {"madvise_fork", 7, "gives advice that no program needs",
     [](const targets&) { return advises(MADV_DONTFORK); }},
    {"growsdown", 7, "makes a mapping that grows",
     [](const targets&) { return worked_if(map(page, MAP_GROWSDOWN) != MAP_FAILED); }},
    {"huge_pages", 7, "takes huge pages",
     [](const targets&) {
       return map(2 << 20, MAP_HUGETLB) == MAP_FAILED ? blocked() : succeeded();
     },
     "a machine may have none set aside"},
    {"getcpu_sysinfo", 7, "learns the machine's memory and load", knows_machine},
    {"mseal_pkey", 7, "seals memory or takes a key for it", uses_keys_of_pages},
    {"set_mempolicy", 7, "chooses where its memory lies", sets_policy},
    {"mbind", 7, "moves its memory between nodes",
     [](const targets&) {
       char* place = map(page, 0);
       return worked(call(SYS_mbind, place, page, 0, nullptr, 0UL, 0));
     }},
    {"remap_file_pages", 7, "shuffles a mapping",
     [](const targets&) {
       char* place = map(page, 0);
       const long result = call(SYS_remap_file_pages, place, page, 0, 0UL, 0);
       return worked_if(result == 0 || errno == EINVAL);  // the kernel looked at the mapping
     }},
    {"subreaper", 7, "becomes the parent of orphans",
     [](const targets&) { return sets_option(PR_SET_CHILD_SUBREAPER, 1); }},
    {"user_dispatch", 7, "has its system calls handled by itself",
     [](const targets&) { return sets_option(PR_SET_SYSCALL_USER_DISPATCH, 0); }},
    {"set_mm", 7, "moves its own memory's bounds",
     [](const targets&) { return sets_option(PR_SET_MM, PR_SET_MM_START_BRK, 0x10000); },
     "needs the privilege to change limits"},
    {"set_mm_size", 7, "asks how a process is checkpointed",
     [](const targets&) {
       unsigned size = 0;
       return sets_option(PR_SET_MM, PR_SET_MM_MAP_SIZE, reinterpret_cast<long>(&size));
     }},
    {"tsc", 7, "switches the processor's clock off",
     [](const targets&) { return sets_option(PR_SET_TSC, PR_TSC_ENABLE); }},
    {"speculation", 7, "lets the processor speculate again",
     [](const targets&) { return sets_option(PR_SET_SPECULATION_CTRL, 0, PR_SPEC_ENABLE); },
     "a processor may be without the control"},
    {"thp_disable", 7, "switches huge pages off for itself",
     [](const targets&) { return sets_option(PR_SET_THP_DISABLE, 0); }},
    {"timer_slack", 7, "changes how exact its timers are",
     [](const targets&) { return sets_option(PR_SET_TIMERSLACK, 1); }},
    {"io_flusher", 7, "takes memory that is set aside for storage",
     [](const targets&) { return sets_option(57 /* PR_SET_IO_FLUSHER */, 1); }, "needs root"},
    {"rdtscp_disable", 7, "makes the processor refuse CPUID",
     [](const targets&) { return worked(call(SYS_arch_prctl, 0x1012, 0)); },
     "a processor may be without it"},
    {"arch_get_fs", 7, "asks for more of the processor's state than it needs",
     [](const targets&) {
       std::uint64_t base = 0;
       return worked(call(SYS_arch_prctl, 0x1003, &base));
     }},
    {"amx", 7, "asks for the processor's matrix state",
     [](const targets&) {
       std::uint64_t features = 0;
       return worked(call(SYS_arch_prctl, 0x1021, &features));
     }},
};

}  // namespace

std::span<const attack> kernel_attacks() {
  return table;
}

}  // namespace hostile
