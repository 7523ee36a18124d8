// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/birth.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <new>

#include "actors/launcher/inside.hpp"
#include "actors/launcher/kernel.hpp"
#include "actors/launcher/messages.hpp"

namespace bulkhead::launcher {
namespace {

struct namespace_kind {
  wall which;
  std::uint64_t flag;
  const char* link;
};

constexpr std::array<namespace_kind, 7> namespace_kinds{{
    {wall::user_namespace, CLONE_NEWUSER, "user"},
    {wall::pid_namespace, CLONE_NEWPID, "pid"},
    {wall::mount_namespace, CLONE_NEWNS, "mnt"},
    {wall::net_namespace, CLONE_NEWNET, "net"},
    {wall::ipc_namespace, CLONE_NEWIPC, "ipc"},
    {wall::uts_namespace, CLONE_NEWUTS, "uts"},
    {wall::cgroup_namespace, CLONE_NEWCGROUP, "cgroup"},
}};

std::uint64_t namespace_flags(std::uint64_t walls) {
  std::uint64_t flags = 0;
  for (const auto& each : namespace_kinds)
    if (has(walls, each.which)) flags |= each.flag;
  return flags;
}

constexpr std::uint64_t namespace_walls() {
  std::uint64_t walls = 0;
  for (const auto& each : namespace_kinds) walls |= bit(each.which);
  return walls;
}

/// 0 when it cannot be seen.
std::uint64_t namespace_of(const char* process, const char* kind) {
  path_text path;
  path << "/proc/" << process << "/ns/" << kind;
  struct stat seen {};
  return ::stat(path.c_str(), &seen) == 0 ? seen.st_ino : 0;
}

birth_report* make_report() {
  void* const page = ::mmap(nullptr, sizeof(birth_report), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? nullptr : new (page) birth_report;
}

/// A socketpair and a pipe, with the ends of the child in `plan`.
bool make_channels(newborn& child, instance_plan& plan) {
  std::array<int, 2> reins{}, status{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reins.data()) != 0) return false;
  child.reins = reins[0];
  plan.reins = reins[1];
  if (::pipe2(status.data(), O_CLOEXEC) != 0) return false;
  child.status = status[0];
  plan.status = status[1];
  return true;
}

/// What is refused for the group alone is made without it: the walls that it is are missing then.
pid_t copy_into(const surroundings& around, const birth_plan& plan, const instance_plan& inside,
                std::uint64_t flags, int group, int& handle) {
  const pid_t child = copy_process(flags, handle, group);
  if (child >= 0 || group < 0) return child;
  const int error = errno;
  const pid_t without = copy_process(flags, handle, -1);
  if (without > 0) around.groups.not_entered(*inside.report, plan.wanted, error);
  return without;
}

/// With all the namespaces that are wanted; or, where the kernel or its policy has none for this
/// user, and nothing that is required goes with them, with fewer. What is missing is noted.
pid_t copy_with_namespaces(const surroundings& around, const birth_plan& plan,
                           const instance_plan& inside, int group, int& handle) {
  auto& report = *inside.report;
  // As root the others can be had without those of users.
  const std::array<std::uint64_t, 3> attempts{
      ~std::uint64_t{0}, around.privileged ? ~bit(wall::user_namespace) : 0, 0};
  for (const auto walls : attempts) {
    const auto flags = namespace_flags(plan.wanted & walls);
    for (const auto& each : namespace_kinds)
      if (has(plan.wanted & walls, each.which)) stands(report, each.which);
    const pid_t child = copy_into(around, plan, inside, flags, group, handle);
    if (child >= 0) return child;
    const int error = errno;
    // Nothing is missing for good: fewer namespaces would be given up for nothing.
    if (is_shortage(error)) return -1;
    const auto lost =
        walls == attempts[0] && around.privileged ? bit(wall::user_namespace) : ~std::uint64_t{0};
    for (const auto& each : namespace_kinds)
      if (has(plan.wanted & lost, each.which)) missing(report, each.which, error);
    const auto which = first_missing(report, plan.required & namespace_walls());
    if (which != no_wall) {
      stopped(report, stage::wall, error, which);
      return -1;
    }
  }
  return -1;
}

void observe_namespaces(birth_report& report, const namespace_ids& own, const char* child) {
  for (std::size_t n = 0; n < namespace_kinds.size(); ++n) {
    auto& entry = report[namespace_kinds[n].which];
    if (!is_up(report, namespace_kinds[n].which)) continue;
    const auto seen = namespace_of(child, namespace_kinds[n].link);
    if (seen == 0) continue;
    if (seen == own.inodes[n]) missing(report, namespace_kinds[n].which, ENOTRECOVERABLE);
    entry.observed = seen != own.inodes[n] ? 1 : 0;
  }
}

int write_map(const char* child, const char* file, unsigned outer) {
  path_text path, map;
  path << "/proc/" << child << "/" << file;
  map << inner_user << " " << outer << " 1";
  return write_file(AT_FDCWD, path.c_str(), map.view());
}

/// 0, or errno. Which uid it becomes on the host is noted.
int write_maps(const surroundings& around, const birth_plan& plan, birth_report& report,
               const char* child) {
  std::uint32_t user = plan.user, group = plan.user;
  int error = plan.user_error;
  if (!around.privileged) {
    path_text path;
    path << "/proc/" << child << "/setgroups";
    write_file(AT_FDCWD, path.c_str(), "deny");
  }
  if (user != 0) error = write_map(child, "uid_map", user);
  if (user == 0 || error != 0) {
    // Another's uid is not to be had: the launcher's own, then.
    if (has(plan.wanted, wall::own_uid))
      missing(report, wall::own_uid, error != 0 ? error : EPERM, around.user);
    user = around.user;
    group = around.group;
    error = write_map(child, "uid_map", user);
  } else {
    stands(report, wall::own_uid, user);
  }
  return error != 0 ? error : write_map(child, "gid_map", group);
}

void raise_oom_first(birth_report& report, const char* child) {
  path_text path, score;
  path << "/proc/" << child << "/oom_score_adj";
  score << static_cast<std::uint64_t>(oom_score);
  const int error = write_file(AT_FDCWD, path.c_str(), score.view());
  if (error == 0)
    stands(report, wall::oom_first, oom_score);
  else
    missing(report, wall::oom_first, error);
}

/// What the launcher does to a child that waits for it.
void prepare(const surroundings& around, const birth_plan& plan, const newborn& child) {
  auto& report = *child.report;
  short_text<16> name;
  name << static_cast<std::uint64_t>(child.init);
  observe_namespaces(report, around.namespaces, name.c_str());
  if (is_up(report, wall::user_namespace)) {
    const int error = write_maps(around, plan, report, name.c_str());
    if (error != 0) return stopped(report, stage::identity, error);
  } else if (has(plan.wanted, wall::own_uid) && plan.user == 0) {
    missing(report, wall::own_uid, plan.user_error, around.user);
  }
  if (has(plan.wanted, wall::oom_first)) raise_oom_first(report, name.c_str());
  const char go = 1;
  if (!send_message(child.reins, &go, 1)) stopped(report, stage::birth, errno);
}

void close_one(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

/// Something can be read before `deadline`.
bool await_input(int fd, std::int64_t deadline) {
  for (;;) {
    const auto left = deadline - now_ms();
    if (left <= 0) return false;
    pollfd wait{fd, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

/// The number of the process behind a handle, as this process counts; -1 when it has ended.
pid_t process_of(int handle) {
  path_text path;
  path << "/proc/self/fdinfo/" << static_cast<std::uint64_t>(handle);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  std::array<char, 512> text{};
  const auto size = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  constexpr std::string_view key = "Pid:\t";
  const char* at = size > 0 ? std::strstr(text.data(), key.data()) : nullptr;
  if (at == nullptr || at[key.size()] == '-') return -1;
  pid_t number = 0;
  for (at += key.size(); *at >= '0' && *at <= '9'; ++at) number = number * 10 + (*at - '0');
  return number;
}

}  // namespace

namespace_ids own_namespaces() {
  namespace_ids own;
  for (std::size_t n = 0; n < namespace_kinds.size(); ++n)
    own.inodes[n] = namespace_of("self", namespace_kinds[n].link);
  return own;
}

newborn give_birth(const surroundings& around, const birth_plan& plan) {
  newborn child;
  instance_plan inside;
  child.report = inside.report = make_report();
  if (child.report == nullptr) return child;
  if (!make_channels(child, inside)) {
    stopped(*child.report, stage::descriptors, errno);
  } else {
    inside.wanted = plan.wanted;
    inside.required = plan.required;
    inside.privileged = around.privileged;
    inside.root_by_order = plan.root_by_order;
    inside.user = plan.user;
    inside.lifeline = around.lifeline;
    inside.launcher_lifeline = around.launcher_lifeline;
    auto groups = around.groups.make(*child.report, plan.wanted, plan.group);
    inside.join = groups.join;
    inside.memory_events = groups.memory_events;
    child.init = copy_with_namespaces(around, plan, inside, groups.unified, child.init_handle);
    if (child.init == 0) run_instance(inside);
    if (child.init < 0) stopped(*child.report, stage::birth, errno);
    groups.close_all();
  }
  close_one(inside.reins);
  close_one(inside.status);
  if (child.init > 0) prepare(around, plan, child);
  return child;
}

void send_on_its_way(const newborn& child, const start_order& order, std::span<const int> fds,
                     int& plugin, pid_t& plugin_id) {
  auto& report = *child.report;
  const auto deadline = now_ms() + start_ms_max;
  // An order that cannot be sent: the child has ended, and says why.
  if (!send_message(child.reins, &order, size_of(order), fds) && errno != EPIPE &&
      errno != ECONNRESET)
    return stopped(report, stage::descriptors, errno);
  pid_t inner = 0;
  for (bool running = true; running;) {
    if (!await_input(child.reins, deadline)) return stopped(report, stage::silence, ETIMEDOUT);
    const auto got = receive_message(child.reins, &inner, sizeof inner, {&plugin, 1});
    running = got.size > 0;
  }
  if (!report.program_reached || plugin < 0) return stopped(report, stage::plugin, ECHILD);
  plugin_id = process_of(plugin);
}

void forget(newborn& child) {
  close_one(child.init_handle);
  close_one(child.reins);
  close_one(child.status);
  if (child.report != nullptr) ::munmap(child.report, sizeof(birth_report));
  child.report = nullptr;
}

}  // namespace bulkhead::launcher
