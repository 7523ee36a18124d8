// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/init.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "actors/launcher/kernel.hpp"
#include "actors/launcher/walls.hpp"

namespace bulkhead::launcher {
namespace {

// Where its descriptors end up; there are no others.
constexpr int status_at = 3;
constexpr int plugin_at = 4;
constexpr int lifeline_at = 5;
constexpr int launcher_at = 6;
constexpr int ready_at = 7;
constexpr int memory_events_at = 8;  // or nothing
constexpr int above_all = 64;
/// Without a filter a plugin can leave orphans, and nothing but looking tells of their ends.
constexpr int orphans_looked_for_ms = 1000;
constexpr std::uint64_t us_per_s = 1'000'000;

/// 0, or errno: then nothing is where it belongs.
int settle_descriptors(const instance_plan& plan, int plugin, int ready) {
  const std::array<int, 6> from{
      plan.status, plugin, plan.lifeline, plan.launcher_lifeline, ready, plan.memory_events};
  const std::size_t count = plan.memory_events >= 0 ? from.size() : from.size() - 1;
  std::array<int, 6> moved{};
  for (std::size_t n = 0; n < count; ++n) {
    moved[n] = ::fcntl(from[n], F_DUPFD_CLOEXEC, above_all);
    if (moved[n] < 0) return errno;
  }
  for (std::size_t n = 0; n < count; ++n)
    if (::dup3(moved[n], status_at + static_cast<int>(n), O_CLOEXEC) < 0) return errno;
  ::close(0);
  ::close(1);
  ::close(2);
  return ::syscall(SYS_close_range, status_at + static_cast<int>(count), ~0U, 0) == 0 ? 0 : errno;
}

[[noreturn]] void stop(const instance_plan& plan, int error, std::uint8_t wall = no_wall) {
  stopped(*plan.report, stage::init, error, wall);
  ::syscall(SYS_exit_group, 1);
  __builtin_unreachable();
}

/// The same walls as the plugin's, as far as they mean something for a program that opens nothing.
void raise_walls(const instance_plan& plan) {
  birth_report own;
  std::uint64_t tried = 0;
  const auto raise = [&](wall which, auto&& how) {
    if (!has(plan.wanted, which)) return;
    tried |= bit(which);
    how();
  };
  ::prctl(PR_SET_NAME, "plugin-init", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  raise(wall::no_capabilities, [&] { drop_capabilities(own); });
  raise(wall::no_new_privileges, [&] { raise_no_new_privileges(own); });
  raise(wall::landlock, [&] {
    // Where the end of an init does not end all, the plugin has asked for a signal at it, and that
    // is sent in the init's name. The filter lets it send none itself.
    const int rules = make_landlock_rules(own, {}, !is_up(*plan.report, wall::pid_namespace));
    if (rules < 0) return;
    raise_landlock(own, rules);
    ::close(rules);
  });
  raise(wall::seccomp, [&] { raise_init_seccomp(own); });
  const auto which = first_missing(own, tried & plan.required);
  if (which != no_wall) stop(plan, own.walls[which].error_number, which);
}

std::uint64_t microseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * us_per_s +
         static_cast<std::uint64_t>(time.tv_usec);
}

/// Of both versions the number stands behind the same word. 0 when there is nothing to be read.
std::uint64_t memory_kills() {
  static std::array<char, 1024> text;
  const auto size = ::syscall(SYS_pread64, memory_events_at, text.data(), text.size(), 0);
  if (size <= 0) return 0;
  const std::string_view all{text.data(), static_cast<std::size_t>(size)};
  constexpr std::string_view key = "\noom_kill ";
  const auto at = all.find(key);
  if (at == std::string_view::npos) return 0;
  std::uint64_t number = 0;
  for (auto n = at + key.size(); n < all.size() && all[n] >= '0' && all[n] <= '9'; ++n)
    number = number * 10 + static_cast<std::uint64_t>(all[n] - '0');
  return number;
}

/// Reaps what has ended. When the plugin is among it: writes that down and ends.
void reap(pid_t child) {
  for (;;) {
    siginfo_t end{};
    rusage used{};
    if (::syscall(SYS_waitid, P_ALL, 0, &end, WEXITED | WNOHANG | __WALL, &used) != 0) return;
    if (end.si_pid == 0) return;
    if (end.si_pid != child) continue;
    const end_record record{end.si_code,
                            end.si_status,
                            microseconds(used.ru_utime),
                            microseconds(used.ru_stime),
                            static_cast<std::uint64_t>(used.ru_maxrss),
                            memory_kills()};
    ::syscall(SYS_write, status_at, &record, sizeof record);
    ::syscall(SYS_exit_group, 0);
  }
}

}  // namespace

void run_init(const instance_plan& plan, pid_t child, int plugin, int ready) {
  const int error = settle_descriptors(plan, plugin, ready);
  if (error != 0) stop(plan, error);
  if (has(plan.wanted, wall::lifeline)) stands(*plan.report, wall::lifeline);
  raise_walls(plan);
  const int patience = has(plan.wanted, wall::seccomp) ? -1 : orphans_looked_for_ms;
  const nfds_t watched = has(plan.wanted, wall::lifeline) ? 3 : 1;
  ::syscall(SYS_close, ready_at);
  for (;;) {
    std::array<pollfd, 3> wait{{{plugin_at, POLLIN, 0}, {lifeline_at, 0, 0}, {launcher_at, 0, 0}}};
    ::syscall(SYS_poll, wait.data(), watched, patience);
    constexpr short over = POLLHUP | POLLERR | POLLNVAL;
    if (((wait[1].revents | wait[2].revents) & over) != 0) ::syscall(SYS_exit_group, 1);
    reap(child);
  }
}

}  // namespace bulkhead::launcher
