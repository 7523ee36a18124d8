// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/walls.hpp"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <initializer_list>

#include "actors/launcher/kernel.hpp"
#include "launcher_filters.hpp"

namespace bulkhead::launcher {
namespace {

constexpr int signals = 64;
constexpr std::size_t signal_set_bytes = 8;  // of the kernel
constexpr int capabilities_max = 64;
constexpr rlim_t realtime_us = 100'000;

/// The kernel's structure, and what of it each version knows.
struct landlock_rules {
  std::uint64_t files = 0;
  std::uint64_t ports = 0;
  std::uint64_t scopes = 0;
};

constexpr int landlock_known = 7;
constexpr std::array<std::uint64_t, landlock_known + 1> file_rights{0,      0x1fff, 0x3fff, 0x7fff,
                                                                    0x7fff, 0xffff, 0xffff, 0xffff};
constexpr int ports_since = 4;
constexpr int scopes_since = 6;
constexpr std::uint64_t all_ports = 3;
constexpr std::uint64_t all_scopes = 3;
constexpr std::uint64_t signal_scope = 2;
constexpr std::uint64_t bits(std::initializer_list<unsigned> numbers) {
  std::uint64_t set = 0;
  for (const unsigned number : numbers) set |= std::uint64_t{1} << number;
  return set;
}

// By LANDLOCK_ACCESS_FS_*.
constexpr std::uint64_t reading_file = bits({0, 2});          // execute, read
constexpr std::uint64_t reading_directory = bits({0, 2, 3});  // and list
// Write, read, list, remove, make directories and files, move, shorten; no devices, no sockets.
constexpr std::uint64_t writing_directory = bits({1, 2, 3, 4, 5, 7, 8, 13, 14});
constexpr std::uint64_t using_device = bits({1, 2});

constexpr std::uint64_t rights_of(opening::kind how) {
  switch (how) {
    case opening::kind::read_file:
      return reading_file;
    case opening::kind::read_directory:
      return reading_directory;
    case opening::kind::write_directory:
      return writing_directory;
    case opening::kind::device:
      return using_device;
  }
  return 0;
}

struct __attribute__((packed)) landlock_beneath {
  std::uint64_t rights;
  std::int32_t what;
};

/// A descriptor, or -1. Of a version that is known here.
int make_rules(int abi, std::span<const opening> openings, std::uint64_t scopes) {
  landlock_rules rules;
  rules.files = file_rights[static_cast<std::size_t>(abi)];
  if (abi >= ports_since) rules.ports = all_ports;
  if (abi >= scopes_since) rules.scopes = scopes;
  const std::size_t size = abi >= scopes_since  ? sizeof rules
                           : abi >= ports_since ? offsetof(landlock_rules, scopes)
                                                : offsetof(landlock_rules, ports);
  const auto made = static_cast<int>(::syscall(landlock_create, &rules, size, 0));
  if (made < 0) return -1;
  for (const auto& each : openings) {
    const landlock_beneath beneath{rights_of(each.how) & rules.files, each.what};
    if (::syscall(landlock_add, made, 1, &beneath, 0) == 0) continue;
    close_keeping_errno(made);
    return -1;
  }
  return made;
}

struct installed {
  long rc;
  std::size_t size;
};

template <std::size_t Size>
installed install(const filter_code<Size>& made, std::uint64_t once, pid_t self) {
  auto code = made.code;
  if (made.self != 0) {
    code[made.once_high].k = static_cast<std::uint32_t>(once >> 32U);
    code[made.once_low].k = static_cast<std::uint32_t>(once);
    code[made.self].k = static_cast<std::uint32_t>(self);
  }
  const sock_fprog program{Size, code.data()};
  return {::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), Size};
}

/// What an operator may choose of the kernel's limits of one process.
struct chosen_limit {
  int resource;
  std::uint64_t value;
  bool set;  // otherwise it is the launcher's
};

std::array<chosen_limit, 7> chosen_limits(const resource_limits& limits, const countable& counted) {
  const auto space = address_space_bytes(limits);
  return {{
      {RLIMIT_FSIZE, limits.file_bytes, true},
      {RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes != 0},
      {RLIMIT_STACK, limits.stack_bytes, limits.stack_bytes != 0},
      {RLIMIT_NPROC, processes_max(limits, counted.tasks_by_group),
       counted.tasks && limits.tasks != 0},
      {RLIMIT_AS, space, counted.space && space != 0},
      {RLIMIT_NOFILE, limits.descriptors, limits.descriptors != 0},
      {RLIMIT_SIGPENDING, limits.pending_signals, limits.pending_signals != 0},
  }};
}

/// Never raises.
bool lower(int which, std::uint64_t to) {
  rlimit now{};
  const auto resource = static_cast<__rlimit_resource>(which);
  if (::getrlimit(resource, &now) != 0) return false;
  const rlim_t value = std::min<rlim_t>(to, now.rlim_max);
  now = {value, value};
  return ::setrlimit(resource, &now) == 0;
}

}  // namespace

void raise_own_session(birth_report& report) {
  ::umask(077);
  const auto joined = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  const bool keyring = joined >= 0 || errno == ENOSYS;  // no keys, no keyring
  const int keyring_error = errno;
  struct {
    std::array<std::uint64_t, 4> zero{};
  } standard;  // the kernel's sigaction of SIG_DFL
  for (int number = 1; number <= signals; ++number)
    ::syscall(SYS_rt_sigaction, number, &standard, nullptr, signal_set_bytes);
  const std::uint64_t no_signal = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signal, nullptr, signal_set_bytes);
  if (!keyring) return missing(report, wall::own_session, keyring_error);
  noted(report, wall::own_session, ::setsid());
}

countable countable_of(const birth_report& report, program_form form) {
  return {is_up(report, wall::user_namespace) || is_up(report, wall::own_uid),
          is_up(report, wall::cgroup_tasks),
          !is_up(report, wall::cgroup_memory) && form != program_form::interpreter};
}

void raise_resource_limits(birth_report& report, const resource_limits& limits,
                           const countable& counted) {
  constexpr std::array<chosen_limit, 7> always{{
      {RLIMIT_CORE, no_core_bytes, true},
      {RLIMIT_MEMLOCK, 0, true},
      {RLIMIT_MSGQUEUE, 0, true},
      {RLIMIT_LOCKS, 0, true},
      {RLIMIT_NICE, 0, true},
      {RLIMIT_RTPRIO, 0, true},
      {RLIMIT_RTTIME, realtime_us, true},
  }};
  const auto all_stand = [&report](const auto& limits_of_it) {
    for (const auto& each : limits_of_it) {
      if (!each.set || lower(each.resource, each.value)) continue;
      missing(report, wall::resource_limits, errno, each.resource);
      return false;
    }
    return true;
  };
  if (all_stand(always) && all_stand(chosen_limits(limits, counted)))
    stands(report, wall::resource_limits);
}

int change_resource_limits(pid_t process, const resource_limits& limits, const countable& counted) {
  int failed = 0;
  for (const auto& each : chosen_limits(limits, counted)) {
    const auto resource = static_cast<__rlimit_resource>(each.resource);
    rlimit own{}, now{};
    bool good =
        ::getrlimit(resource, &own) == 0 && ::prlimit(process, resource, nullptr, &now) == 0;
    const rlim_t value = each.set ? std::min<rlim_t>(each.value, own.rlim_max) : own.rlim_max;
    const rlimit next{value, value};
    if (good && (now.rlim_cur != value || now.rlim_max != value))
      good = ::prlimit(process, resource, &next, nullptr) == 0;
    if (!good && failed == 0) failed = errno;
  }
  return failed;
}

void raise_speculation(birth_report& report) {
  for (const unsigned long which : {PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH})
    if (!noted(report, wall::speculation,
               ::prctl(PR_SET_SPECULATION_CTRL, which, PR_SPEC_FORCE_DISABLE, 0, 0)))
      return;
}

void drop_capabilities(birth_report& report) {
  std::int64_t left = 0;
  for (int number = 0; number < capabilities_max; ++number)
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1 &&
        ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
      ++left;
  ::prctl(PR_SET_SECUREBITS,
          SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
              SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
              SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
          0, 0, 0);
  // The ambient set empties with these.
  __user_cap_header_struct who{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capset, &who, sets.data()) != 0 ||
      ::syscall(SYS_capget, &who, sets.data()) != 0)
    return missing(report, wall::no_capabilities, errno, left);
  std::uint32_t any = 0;
  for (const auto& each : sets) any |= each.effective | each.permitted | each.inheritable;
  if (any != 0) return missing(report, wall::no_capabilities, ENOTRECOVERABLE, left);
  stands(report, wall::no_capabilities, left);
}

void raise_no_writable_code(birth_report& report) {
  noted(report, wall::no_writable_code, ::prctl(set_mdwe, mdwe_refuse, 0, 0, 0));
}

void raise_no_new_privileges(birth_report& report) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return stands(report, wall::no_new_privileges);
  missing(report, wall::no_new_privileges, EINVAL);
}

int make_landlock_rules(birth_report& report, std::span<const opening> openings, bool may_signal) {
  // Of what a later kernel could refuse besides, nothing is asked for, nor claimed.
  const auto abi =
      std::min(static_cast<int>(::syscall(landlock_create, nullptr, 0, 1)), landlock_known);
  const auto scopes = may_signal ? all_scopes & ~signal_scope : all_scopes;
  const int rules = abi < 1 ? -1 : make_rules(abi, openings, scopes);
  if (rules < 0)
    missing(report, wall::landlock, errno, abi > 0 ? abi : 0);
  else
    report[wall::landlock].value = abi;
  return rules;
}

void raise_landlock(birth_report& report, int rules) {
  noted(report, wall::landlock, ::syscall(landlock_restrict, rules, 0),
        report[wall::landlock].value);
}

void raise_seccomp(birth_report& report, filter_kind kind, std::uint64_t once, pid_t self) {
  const auto done = [&] {
    switch (kind) {
      case filter_kind::static_reading:
        return install(static_reading_filter, once, self);
      case filter_kind::static_writing:
        return install(static_writing_filter, once, self);
      case filter_kind::dynamic_program:
        return install(dynamic_filter, once, self);
      case filter_kind::dynamic_writing:
        return install(dynamic_writing_filter, once, self);
      case filter_kind::interpreter:
        return install(interpreter_filter, once, self);
      default:
        return install(static_filter, once, self);
    }
  }();
  noted(report, wall::seccomp, done.rc, static_cast<std::int64_t>(done.size));
}

void raise_init_seccomp(birth_report& report) {
  noted(report, wall::seccomp, install(init_filter, 0, 0).rc);
}

}  // namespace bulkhead::launcher
