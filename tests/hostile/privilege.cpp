// SPDX-License-Identifier: Apache-2.0
// Threat 5: a plugin that becomes more than it was.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <array>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

/// Runs a clone that ends at once; success: there was one.
outcome clones(unsigned long flags) {
  const long child = call(SYS_clone, flags | SIGCHLD, 0UL, 0UL, 0UL, 0UL);
  if (child == 0) call(SYS_exit_group, 0);
  if (child < 0) return blocked();
  call(SYS_wait4, child, nullptr, 0, nullptr);
  return succeeded();
}

outcome clones_by_new_call(unsigned long flags) {
  struct {
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } how{flags, 0, 0, 0, SIGCHLD, 0, 0, 0};
  const long child = call(SYS_clone3, &how, sizeof how);
  if (child == 0) call(SYS_exit_group, 0);
  if (child < 0) return blocked();
  call(SYS_wait4, child, nullptr, 0, nullptr);
  return succeeded();
}

outcome runs_set_uid(const targets& at) {
  if (at.set_uid[0] == '\0') return not_applicable();
  char* arguments[] = {const_cast<char*>(at.set_uid), const_cast<char*>("tell-set-uid"), nullptr};
  char* environment[] = {nullptr};
  call(SYS_execve, at.set_uid, arguments, environment);
  return blocked();
}

outcome joins_namespace(const targets& at, const char* which) {
  std::array<char, 64> path{};
  snprintf(path.data(), path.size(), "/proc/%d/ns/%s", at.victim, which);
  const auto space = static_cast<int>(call(SYS_openat, AT_FDCWD, path.data(), O_RDONLY, 0));
  if (space < 0) return blocked();
  return worked(call(SYS_setns, space, 0));
}

outcome joins_by_handle(const targets& at) {
  const auto process = static_cast<int>(call(SYS_pidfd_open, at.victim, 0));
  if (process < 0) return blocked();
  return worked(call(SYS_setns, process, CLONE_NEWNET | CLONE_NEWNS));
}

outcome has_capability(const targets&) {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (call(SYS_capget, &head, sets.data()) < 0) return blocked();
  return worked_if(sets[0].effective != 0 || sets[0].permitted != 0 || sets[1].permitted != 0);
}

outcome may_regain_capability(const targets&) {
  // With a bounding set, a set-uid program or a namespace could give one back.
  for (long each = 0; each < 64; ++each) {
    const long held = call(SYS_prctl, PR_CAPBSET_READ, each, 0, 0, 0);
    if (held == 1) return succeeded();
    if (held < 0) return each == 0 ? blocked() : blocked(0);
  }
  return blocked(0);
}

outcome may_gain_by_exec(const targets&) {
  const long locked = call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  return locked < 0 ? blocked() : worked_if(locked == 0);
}

outcome keeps_groups(const targets&) {
  std::array<gid_t, 64> groups{};
  const long count = call(SYS_getgroups, groups.size(), groups.data());
  return count < 0 ? blocked() : worked_if(count > 0);
}

outcome lowers_nice(const targets&) {
  const long now = 20 - call(SYS_getpriority, PRIO_PROCESS, 0);
  return worked(call(SYS_setpriority, PRIO_PROCESS, 0, now - 1));
}

outcome schedules_first(const targets&) {
  sched_param how{1};
  return worked(call(SYS_sched_setscheduler, 0, SCHED_FIFO, &how));
}

outcome schedules_deadline(const targets&) {
  struct {
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } how{48, 6, 0, 0, 0, 1'000'000, 10'000'000, 10'000'000};
  return worked(call(SYS_sched_setattr, 0, &how, 0));
}

outcome allows_securebits(const targets&) {
  return worked(call(SYS_prctl, PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0));
}

constexpr attack table[] = {
    {"suid_exec", 5, "becomes another user by a set-uid program", runs_set_uid,
     "only root can make such a program"},
    {"setuid0", 5, "becomes root", [](const targets&) { return worked(call(SYS_setuid, 0)); },
     "needs root"},
    {"setgroups", 5, "chooses its groups",
     [](const targets&) { return worked(call(SYS_setgroups, 0UL, nullptr)); }, "needs root"},
    {"ids", 5, "becomes another user",
     [](const targets&) { return worked(call(SYS_setresuid, 1, 1, 1)); }, "needs root"},
    {"fsuid", 5, "opens files as another user",
     [](const targets&) {
       call(SYS_setfsuid, 0);
       return worked_if(call(SYS_setfsuid, -1) == 0);
     },
     "needs root"},
    {"capset", 5, "has capabilities", has_capability, "needs root"},
    {"bounding_set", 5, "could be given capabilities back", may_regain_capability},
    {"new_privileges", 5, "may gain privileges by executing a program", may_gain_by_exec},
    {"securebits", 5, "changes how capabilities are kept", allows_securebits, "needs root"},
    {"keepcaps", 5, "keeps capabilities over a change of user",
     [](const targets&) { return worked(call(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)); }},
    {"groups", 5, "has kept supplementary groups", keeps_groups},
    {"unshare_user", 5, "makes itself root of a namespace",
     [](const targets&) { return worked(call(SYS_unshare, CLONE_NEWUSER)); },
     "a host may forbid user namespaces"},
    {"unshare_files", 5, "takes apart what its threads share",
     [](const targets&) { return worked(call(SYS_unshare, CLONE_FS | CLONE_SYSVSEM)); }},
    {"clone_user", 5, "makes a child that is root of a namespace",
     [](const targets&) { return clones(CLONE_NEWUSER); }, "a host may forbid user namespaces"},
    {"clone_all", 5, "makes a child in namespaces of all kinds",
     [](const targets&) {
       return clones(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC |
                     CLONE_NEWUTS);
     },
     "a host may forbid user namespaces"},
    {"clone3_user", 5, "the same by the new call",
     [](const targets&) { return clones_by_new_call(CLONE_NEWUSER); },
     "a host may forbid user namespaces"},
    {"clone3", 5, "makes a child by a call whose flags no filter sees",
     [](const targets&) { return clones_by_new_call(0); }},
    {"setns", 5, "joins the network of another process",
     [](const targets& at) { return joins_namespace(at, "net"); }, "needs root"},
    {"setns_user", 5, "joins the users of another process",
     [](const targets& at) { return joins_namespace(at, "user"); }, "needs root"},
    {"setns_pidfd", 5, "joins several namespaces of another process", joins_by_handle,
     "needs root"},
    {"nice", 5, "runs before others", lowers_nice, "needs the privilege to change priorities"},
    {"sched_fifo", 5, "runs before all others", schedules_first,
     "needs the privilege to change priorities"},
    {"sched_deadline", 5, "has its time guaranteed", schedules_deadline,
     "needs the privilege to change priorities"},
    {"ioprio", 5, "has its input and output served first",
     [](const targets&) { return worked(call(SYS_ioprio_set, 1, 0, 1 << 13)); },
     "needs the privilege to change priorities"},
    {"hostname", 5, "renames the machine",
     [](const targets&) { return worked(call(SYS_sethostname, "hostile", 7UL)); }, "needs root"},
    {"chown", 5, "gives a file away",
     [](const targets& at) { return worked(call(SYS_fchownat, AT_FDCWD, at.canary, 0, 0, 0)); },
     "needs root"},
};

}  // namespace

std::span<const attack> privilege_attacks() {
  return table;
}

}  // namespace hostile
