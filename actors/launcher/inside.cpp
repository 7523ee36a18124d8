// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/inside.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <csignal>
#include <span>

#include "actors/launcher/init.hpp"
#include "actors/launcher/kernel.hpp"
#include "actors/launcher/messages.hpp"
#include "actors/launcher/plugin.hpp"
#include "actors/launcher/root.hpp"

namespace bulkhead::launcher {
namespace {

[[noreturn]] void stop(const instance_plan& plan, stage at, int error) {
  stopped(*plan.report, at, error);
  ::_exit(1);
}

void drop_groups(const instance_plan& plan) {
  if (plan.privileged) {
    noted(*plan.report, wall::no_groups, ::setgroups(0, nullptr));
    return;
  }
  const int count = ::getgroups(0, nullptr);
  if (count == 0)
    stands(*plan.report, wall::no_groups);
  else
    missing(*plan.report, wall::no_groups, EPERM, count);
}

/// A change of the uid takes the effective capabilities; the walls need them for a while.
bool keep_capabilities() {
  __user_cap_header_struct who{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &who, sets.data()) != 0) return false;
  for (auto& each : sets) each.effective = each.permitted;
  return ::syscall(SYS_capset, &who, sets.data()) == 0;
}

bool become(unsigned user) {
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  return ::setresgid(user, user, user) == 0 && ::setresuid(user, user, user) == 0 &&
         keep_capabilities();
}

void take_identity(const instance_plan& plan) {
  // Of the pid namespace, by a file that is the host's root's: before this is somebody else. In the
  // host's own it would be a setting of the whole machine.
  if (has(plan.wanted, wall::memfd_noexec)) {
    const int error = is_up(*plan.report, wall::pid_namespace)
                          ? write_file(AT_FDCWD, "/proc/sys/vm/memfd_noexec", "2")
                          : EINVAL;
    if (error == 0)
      stands(*plan.report, wall::memfd_noexec);
    else
      missing(*plan.report, wall::memfd_noexec, error);
  }
  if (has(plan.wanted, wall::no_groups)) drop_groups(plan);
  const bool mapped = is_up(*plan.report, wall::user_namespace);
  if (mapped && !become(inner_user)) stop(plan, stage::identity, errno);
  if (!mapped && plan.user != 0) {
    if (!become(plan.user)) stop(plan, stage::identity, errno);
    stands(*plan.report, wall::own_uid, plan.user);
  }
  // A change of the uid clears it.
  if (has(plan.wanted, wall::parent_death))
    noted(*plan.report, wall::parent_death, ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
}

void name_host(const instance_plan& plan) {
  if (!is_up(*plan.report, wall::uts_namespace)) return;
  constexpr std::string_view name = "plugin";
  if (::sethostname(name.data(), name.size()) != 0 ||
      ::setdomainname(name.data(), name.size()) != 0)
    missing(*plan.report, wall::uts_namespace, errno);
}

/// By version 1's way, in which zero means whoever writes. This process has one thread, and to move
/// a thread that is oneself takes some microseconds; to move a process by its number the kernel
/// waits until all processors have been seen idle, which takes milliseconds.
void join_groups(const instance_plan& plan) {
  for (std::size_t n = 0; n < controllers; ++n) {
    if (plan.join[n] < 0) continue;
    const bool joined = ::write(plan.join[n], "0", 1) == 1;
    const int error = errno;
    ::close(plan.join[n]);
    if (!joined) missing(*plan.report, wall_of(static_cast<controller>(n)), error);
  }
}

/// The ends that the launcher keeps would hold its own lifeline and reins open in here.
void close_all_but(std::span<const int> kept) {
  std::array<int, 8> sorted{};
  std::size_t count = 0;
  for (const int each : kept) {
    if (each < 0) continue;
    std::size_t at = count++;
    for (; at > 0 && sorted[at - 1] > each; --at) sorted[at] = sorted[at - 1];
    sorted[at] = each;
  }
  unsigned from = 3;
  for (std::size_t n = 0; n < count; ++n) {
    const auto fd = static_cast<unsigned>(sorted[n]);
    if (fd > from) ::syscall(SYS_close_range, from, fd - 1, 0);
    from = fd + 1;
  }
  ::syscall(SYS_close_range, from, ~0U, 0);
}

}  // namespace

void make_root_of(const instance_plan& plan, const root_maker& make) {
  const bool limits = has(plan.wanted, wall::namespace_limits);
  const bool own_users = is_up(*plan.report, wall::user_namespace);
  const int directory =
      limits && own_users ? ::open("/proc/sys/user", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (is_up(*plan.report, wall::mount_namespace)) {
    const int error = make();
    if (error != 0) stop(plan, stage::root, error);
  }
  if (limits && own_users)
    raise_namespace_limits(*plan.report, directory);
  else if (limits)
    missing(*plan.report, wall::namespace_limits, EPERM);
  if (directory >= 0) ::close(directory);
}

void run_instance(const instance_plan& plan) {
  close_all_but(std::array{plan.reins, plan.status, plan.lifeline, plan.launcher_lifeline,
                           plan.join[0], plan.join[1], plan.join[2], plan.memory_events});
  join_groups(plan);
  char word = 0;
  if (receive_message(plan.reins, &word, 1, {}).size != 1) ::_exit(1);
  take_identity(plan);
  name_host(plan);
  if (!plan.root_by_order) make_root_of(plan, make_empty_root);

  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) stop(plan, stage::init, errno);
  int plugin = -1;
  const pid_t self = ::getpid();
  const pid_t second = copy_process(0, plugin);
  if (second < 0) stop(plan, stage::init, errno);
  if (second == 0) {
    ::close(ready[1]);
    ::close(plan.status);
    ::close(plan.lifeline);
    ::close(plan.launcher_lifeline);
    if (plan.memory_events >= 0) ::close(plan.memory_events);
    run_plugin(plan, ready[0], self);
  }
  if (!send_message(plan.reins, &second, sizeof second, std::array{plugin}))
    stop(plan, stage::init, errno);
  run_init(plan, second, plugin, ready[1]);
}

}  // namespace bulkhead::launcher
