// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/plugin.hpp"

#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>

#include "actors/launcher/kernel.hpp"
#include "actors/launcher/messages.hpp"
#include "actors/launcher/root.hpp"
#include "actors/launcher/walls.hpp"

namespace bulkhead::launcher {
namespace {

constexpr int first_plugin_fd = 4;  // behind the link
constexpr int above_all = 256;      // above every descriptor that a plugin gets
constexpr mode_t readable = 0444;

struct received_start {
  start_order order;
  std::array<int, message_fds_max> fds{};
  bool trees = false;  // its directories are mounts already
  int fd(start_fd which) const { return fds[static_cast<std::size_t>(which)]; }
};

received_start start;  // too large for a stack, and there is one

[[noreturn]] void stop(const instance_plan& plan, stage at, int error,
                       std::uint8_t wall = no_wall) {
  stopped(*plan.report, at, error, wall);
  ::_exit(1);
}

/// The order was checked by the launcher; it comes from there.
void await_order(const instance_plan& plan, int ready) {
  char nothing = 0;
  while (::read(ready, &nothing, 1) < 0 && errno == EINTR) {
  }
  ::close(ready);
  if (plan.report->stopped_at != stage::none) ::_exit(1);  // its init has ended, and says why
  const auto got = receive_message(plan.reins, &start.order, sizeof start.order, start.fds);
  if (got.size <= 0) ::_exit(1);  // the launcher does not need it any more
  if (got.cut_off || got.fds < start_fds) stop(plan, stage::descriptors, EBADMSG);
  start.trees = plan.report->trees;
}

struct exec_fds {
  int program;
  int rules;
};

/// 0 to 3, granted ones behind; then what ends with the exec: the program, the reins, and the
/// rules of Landlock, if there are any. All others are closed.
exec_fds settle_descriptors(const instance_plan& plan, int rules) {
  const auto& order = start.order;
  std::array<int, start_fds + placements_max + 3> from{
      start.fd(start_fd::input), start.fd(start_fd::output), start.fd(start_fd::error),
      start.fd(start_fd::link)};
  std::size_t count = first_plugin_fd;
  for (std::size_t n = 0; n < order.placements; ++n)
    if (order.placed[n] == placement_kind::descriptor) from[count++] = start.fds[start_fds + n];
  const std::size_t kept = count;
  from[count++] = start.fd(start_fd::program);
  from[count++] = plan.reins;
  if (rules >= 0) from[count++] = rules;
  for (std::size_t n = 0; n < count; ++n) {
    from[n] = ::fcntl(from[n], F_DUPFD_CLOEXEC, above_all);
    if (from[n] < 0) stop(plan, stage::descriptors, errno);
  }
  for (std::size_t n = 0; n < count; ++n)
    if (::dup3(from[n], static_cast<int>(n), n < kept ? 0 : O_CLOEXEC) < 0)
      stop(plan, stage::descriptors, errno);
  if (has(plan.wanted, wall::descriptors))
    noted(*plan.report, wall::descriptors,
          ::syscall(SYS_close_range, static_cast<unsigned>(count), ~0U, 0),
          static_cast<std::int64_t>(kept));
  return {static_cast<int>(kept), rules >= 0 ? static_cast<int>(count) - 1 : -1};
}

/// The kernel makes a process of a program that it may execute and not read undumpable.
void note_dumpable(const instance_plan& plan, int program) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // until then
  struct stat file {};
  if (::fstat(program, &file) != 0) return missing(*plan.report, wall::not_dumpable, errno);
  if ((file.st_mode & readable) != 0) return missing(*plan.report, wall::not_dumpable, EACCES);
  stands(*plan.report, wall::not_dumpable);
}

opening::kind opening_of(placement_kind kind) {
  switch (kind) {
    case placement_kind::file:
      return opening::kind::read_file;
    case placement_kind::write_directory:
      return opening::kind::write_directory;
    case placement_kind::device:
      return opening::kind::device;
    default:
      return opening::kind::read_directory;
  }
}

std::span<const int> placed_fds() {
  return {start.fds.data() + start_fds, start.order.placements};
}

/// In the host's root nothing has another name than it has there.
void check_place(const instance_plan& plan, std::size_t placement) {
  struct stat meant {
  }, found{};
  if (::fstat(placed_fds()[placement], &meant) == 0 &&
      ::stat(place_of(start.order, placement), &found) == 0 && meant.st_dev == found.st_dev &&
      meant.st_ino == found.st_ino)
    return;
  not_granted(*plan.report, ENXIO, placement);
  ::_exit(1);
}

/// Everything in the root may be read, and what is granted be used. Where the host's root is still
/// there, each thing is let through by itself.
int make_rules(const instance_plan& plan) {
  static std::array<opening, placements_max + 1> openings;
  std::size_t count = 0;
  const auto& order = start.order;
  const bool own_root = is_up(*plan.report, wall::mount_namespace);
  if (own_root && order.placements != 0)
    openings[count++] = {::open("/", O_PATH | O_CLOEXEC), opening::kind::read_directory};
  for (std::size_t n = 0; n < order.placements; ++n) {
    const auto kind = order.placed[n];
    if (kind == placement_kind::descriptor) continue;
    if (!own_root && kind != placement_kind::file) check_place(plan, n);
    const int what = own_root ? ::open(place_of(order, n), O_PATH | O_CLOEXEC) : placed_fds()[n];
    openings[count++] = {what, opening_of(kind)};
  }
  return make_landlock_rules(*plan.report, {openings.data(), count});
}

filter_kind filter_for(const start_order& order) {
  bool reading = false, writing = false;
  for (std::size_t n = 0; n < order.placements; ++n) {
    const auto kind = order.placed[n];
    if (kind == placement_kind::write_directory || kind == placement_kind::device) writing = true;
    if (kind != placement_kind::descriptor) reading = true;
  }
  if (order.form == program_form::interpreter) return filter_kind::interpreter;
  if (order.form == program_form::dynamic_program)
    return writing ? filter_kind::dynamic_writing : filter_kind::dynamic_program;
  return writing   ? filter_kind::static_writing
         : reading ? filter_kind::static_reading
                   : filter_kind::static_program;
}

void raise_walls(const instance_plan& plan, const exec_fds& fds) {
  auto& report = *plan.report;
  const auto wanted = [&](wall which) { return has(plan.wanted, which); };
  if (wanted(wall::own_session)) raise_own_session(report);
  if (wanted(wall::resource_limits))
    raise_resource_limits(report, start.order.limits, countable_of(report, start.order.form));
  if (wanted(wall::speculation)) raise_speculation(report);
  if (wanted(wall::no_capabilities)) drop_capabilities(report);
  if (wanted(wall::no_writable_code)) raise_no_writable_code(report);
  if (wanted(wall::not_dumpable)) note_dumpable(plan, fds.program);
  // Landlock and the filter ask for it, unless one is root.
  const bool alone = !wanted(wall::no_new_privileges);
  birth_report unasked;
  if (!alone || wanted(wall::landlock) || wanted(wall::seccomp))
    raise_no_new_privileges(alone ? unasked : report);
  if (fds.rules >= 0) raise_landlock(report, fds.rules);
}

void give_texts(std::span<char*> pointers, std::size_t first) {
  for (std::size_t n = 0; n < pointers.size(); ++n)
    pointers[n] = const_cast<char*>(text_of(start.order, first + n));
}

[[noreturn]] void execute(const instance_plan& plan, int program) {
  // Behind the last of each stays a null.
  static std::array<char*, arguments_max + 1> arguments;
  static std::array<char*, environment_max + 1> environment;
  give_texts({arguments.data(), start.order.arguments}, 0);
  give_texts({environment.data(), start.order.environment}, start.order.arguments);

  const auto required = plan.required & ~bit(wall::seccomp);
  const auto which = first_missing(*plan.report, required);
  if (which != no_wall) stop(plan, stage::wall, plan.report->walls[which].error_number, which);
  std::uint64_t once = 0;
  if (::getrandom(&once, sizeof once, 0) != sizeof once) stop(plan, stage::plugin, EIO);
  const auto self = static_cast<pid_t>(::syscall(SYS_getpid));
  plan.report->program_reached = true;
  if (has(plan.wanted, wall::seccomp)) {
    raise_seccomp(*plan.report, filter_for(start.order), once, self);
    if (first_missing(*plan.report, plan.required) != no_wall)
      stop(plan, stage::wall, (*plan.report)[wall::seccomp].error_number,
           static_cast<std::uint8_t>(index_of(wall::seccomp)));
  }
  ::syscall(SYS_execveat, program, "", arguments.data(), environment.data(), AT_EMPTY_PATH, once);
  stopped(*plan.report, stage::program, errno);
  ::syscall(SYS_exit_group, 1);
  __builtin_unreachable();
}

}  // namespace

void run_plugin(const instance_plan& plan, int ready, pid_t init) {
  if (has(plan.wanted, wall::parent_death)) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != init) ::_exit(1);  // it ended before that
  }
  await_order(plan, ready);
  if (plan.root_by_order)
    make_root_of(plan, [] { return make_filled_root(start.order, placed_fds(), start.trees); });
  const int rules = has(plan.wanted, wall::landlock) ? make_rules(plan) : -1;
  const auto fds = settle_descriptors(plan, rules);
  raise_walls(plan, fds);
  execute(plan, fds.program);
}

}  // namespace bulkhead::launcher
