// SPDX-License-Identifier: Apache-2.0
// Control groups: what they hold, how they are changed, that they go. And walls that a launcher
// with fewer rights cannot raise.
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "actors/confinement/group_limits.hpp"
#include "tests/confinement/confined.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

std::string file_text(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

bool is_ours(const std::string& group) {
  return group.find("/bulkhead-") != std::string::npos;
}

void write_own(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY);
  if (::write(file, text.data(), text.size()) < 0) ::_exit(126);
  ::close(file);
}

/// In a user namespace that lets nobody make another.
void lose_user_namespaces() {
  const auto user = std::to_string(::getuid()), group = std::to_string(::getgid());
  if (::unshare(CLONE_NEWUSER) != 0) ::_exit(126);
  write_own("/proc/self/setgroups", "deny");
  write_own("/proc/self/uid_map", user + " " + user + " 1");
  write_own("/proc/self/gid_map", group + " " + group + " 1");
  write_own("/proc/sys/user/max_user_namespaces", "0");
}

/// The first process of a process tree that cannot have another beneath it.
void lose_process_trees() {
  if (::unshare(CLONE_NEWUSER) != 0) ::_exit(126);
  write_own("/proc/self/setgroups", "deny");
  write_own("/proc/self/uid_map", "0 0 1");
  write_own("/proc/self/gid_map", "0 0 1");
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(126);
  const pid_t first = ::fork();
  if (first != 0) {
    for (int fd = 0; fd < 64; ++fd) ::close(fd);  // its socket, of which the first has a copy
    ::waitpid(first, nullptr, 0);
    ::_exit(0);
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
    ::_exit(126);
  write_own("/proc/sys/user/max_pid_namespaces", "0");
}

confinement as_asked(profile of) {
  confinement how;
  how.of = of;
  return how;
}

}  // namespace

TEST_CASE("an instance is in groups of its own, or the report says why not") {
  auto child = start(inside({"wait"}));
  for (const auto which :
       {wall::cgroup_memory, wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill}) {
    const auto& entry = (*child.report)[which];
    CAPTURE(line_of(which, *child.report));
    CHECK(entry.state == (as_root() ? wall_state::enforced : wall_state::unavailable));
    CHECK((entry.error_number != 0) == !as_root());
    CHECK(entry.observed == as_root());
  }
  std::size_t ours = 0;
  for (const auto& [controller, group] : groups_of(child.process->pid()))
    if (is_ours(group)) ++ours;
  CHECK((ours > 0) == as_root());
}

TEST_CASE("a share of the disks is given where they are shared by weight, and else refused") {
  auto how = whole();
  how.limits.io_weight = 300;
  auto common = start(inside({"wait"}));
  if ((*common.report)[wall::cgroup_io].state != wall_state::enforced) {
    // Who asks for nothing special is not refused for it.
    CHECK(start_fails(confined::spawner(), inside({"wait"}, how)).missing == wall::cgroup_io);
    how.waived.set(index_of(wall::cgroup_io));
    start(inside({"wait"}, how));
    return;
  }
  CHECK((*common.report)[wall::cgroup_io].observed);
  auto child = start(inside({"wait"}, how));
  const auto weight = [&] {
    const auto process = "/proc/" + std::to_string(child.process->pid());
    return read_group_limits(file_text(process + "/cgroup"), file_text("/proc/self/mountinfo"))
        .io_weight;
  };
  CHECK(weight() == 300);
  how.limits.io_weight = 1000;
  CHECK(confined::spawner().set_limits(child.ticket, how.limits) == 0);
  CHECK(weight() == 1000);
}

TEST_CASE("out of memory is told from other ends") {
  wall_set without;
  without.set(index_of(wall::resource_limits));  // which would refuse the memory
  launched_spawner by{options(without)};
  auto how = whole();
  how.limits.memory_bytes = 32U << 20U;
  auto child = start(by, inside({"touch", "64"}, how));
  const auto end = end_of(child);
  if (!as_root()) {
    CHECK(end == exit_status::exited(0));
    return;
  }
  CHECK(end == exit_status::signaled(SIGKILL, false));
  CHECK(child.process->out_of_memory());
  auto other = start(by, inside({"wait"}, how));
  other.process->signal(SIGKILL);
  end_of(other);
  CHECK_FALSE(other.process->out_of_memory());
}

TEST_CASE("threads end at their limit") {
  wall_set without;
  without.set(index_of(wall::resource_limits));  // which would refuse them too
  launched_spawner by{options(without)};
  auto how = whole();
  how.limits.tasks = 8;
  const auto count = [&](launched_spawner& with) {
    auto child = start(with, inside({"threads", "20"}, how));
    const auto facts = facts_of(text_of(child.standard_output));
    end_of(child);
    return facts.at("threads");
  };
  CHECK(count(by) == (as_root() ? "7" : "20"));  // beside the first
  CHECK(count(confined::spawner()) == "7");
}

/// What takes more than to be root, and containers often leave out.
bool may_raise() {
  constexpr unsigned sys_resource = 24;
  const auto held = status_of(::getpid(), "CapEff");
  return !held.empty() && (std::stoull(held, nullptr, 16) >> sys_resource & 1U) != 0;
}

TEST_CASE("limits of control groups change while the plugin runs") {
  if (!as_root()) return;  // none to change, which the report of a start says
  auto child = start(inside({"wait"}));
  REQUIRE(child.ticket != 0);
  resource_limits other;
  other.memory_bytes = 128U << 20U;
  other.tasks = 5;
  other.cpu_percent = 50;
  CHECK(confined::spawner().set_limits(child.ticket, other) == 0);
  const auto groups = groups_of(child.process->pid());
  const bool old = groups.contains("memory") && is_ours(groups.at("memory"));
  const auto value = [&](const std::string& controller, const std::string& file) {
    const auto place = old ? controller + groups.at(controller) : groups.at("");
    std::string text;
    std::getline(std::ifstream{"/sys/fs/cgroup/" + place + "/" + file}, text);
    return text;
  };
  const auto memory = [&] { return value("memory", old ? "memory.limit_in_bytes" : "memory.max"); };
  CHECK(memory() == std::to_string(other.memory_bytes));
  CHECK(value("pids", "pids.max") == "6");
  CHECK(value("cpu", old ? "cpu.cfs_quota_us" : "cpu.max").starts_with("50000"));
  other.memory_bytes = 64U << 20U;
  CHECK(confined::spawner().set_limits(child.ticket, other) == 0);
  CHECK(memory() == std::to_string(other.memory_bytes));
  other.memory_bytes = 0;
  confined::spawner().set_limits(child.ticket, other);
  CHECK((memory() == "max" || memory().size() > 15));  // version 1 says the largest there is
}

TEST_CASE("limits of its process change while the plugin runs, upwards too for who may") {
  auto child = start(inside({"wait"}));
  const auto limit = [&](__rlimit_resource which) {
    rlimit now{};
    CHECK(::prlimit(child.process->pid(), which, nullptr, &now) == 0);
    CHECK(now.rlim_cur == now.rlim_max);
    return now.rlim_max;
  };
  resource_limits other;
  other.memory_bytes = 64U << 20U;
  other.tasks = 5;
  other.descriptors = 40;
  CHECK(confined::spawner().set_limits(child.ticket, other) == 0);
  CHECK(limit(RLIMIT_DATA) == 64U << 20U);
  CHECK(limit(RLIMIT_NPROC) == (as_root() ? 7 : 6));  // its group refuses first
  CHECK(limit(RLIMIT_NOFILE) == 40);
  other.memory_bytes = 512U << 20U;
  other.descriptors = 30;
  CHECK(confined::spawner().set_limits(child.ticket, other) == (may_raise() ? 0 : EPERM));
  CHECK(limit(RLIMIT_DATA) == (may_raise() ? 512U : 64U) << 20U);
  CHECK(limit(RLIMIT_NOFILE) == 30);  // one that fails stops no other
  other.memory_bytes = 0;
  other.file_bytes = 1000;
  if (may_raise()) {
    CHECK(confined::spawner().set_limits(child.ticket, other) == 0);
    rlimit own{};
    CHECK(::getrlimit(RLIMIT_DATA, &own) == 0);
    CHECK(limit(RLIMIT_DATA) == own.rlim_max);
    CHECK(limit(RLIMIT_FSIZE) == 1000);
  }
  child.process->signal(SIGKILL);
  end_of(child);
  CHECK(confined::spawner().set_limits(child.ticket, other) == ESRCH);
  CHECK(confined::spawner().set_limits(child.ticket + 1000, other) == ESRCH);
}

TEST_CASE("addresses are limited where no group counts the memory, and while the plugin runs too") {
  const auto space_of = [](const spawned_process& child) {
    rlimit now{};
    CHECK(::prlimit(child.process->pid(), RLIMIT_AS, nullptr, &now) == 0);
    return now.rlim_max;
  };
  rlimit own{};
  REQUIRE(::getrlimit(RLIMIT_AS, &own) == 0);
  if (as_root()) CHECK(space_of(start(inside({"wait"}))) == own.rlim_max);
  launched_spawner by{options(wall_set{}.set(index_of(wall::cgroup_memory)))};
  auto how = whole();
  how.waived.set(index_of(wall::cgroup_memory));
  auto child = start(by, inside({"wait"}, how));
  CHECK(space_of(child) == address_space_bytes(how.limits));
  how.limits.memory_bytes = 64U << 20U;
  CHECK(by.set_limits(child.ticket, how.limits) == 0);
  CHECK(space_of(child) == address_space_bytes(how.limits));
  how.limits.memory_bytes = 0;
  CHECK(by.set_limits(child.ticket, how.limits) == (may_raise() ? 0 : EPERM));
  if (may_raise()) CHECK(space_of(child) == own.rlim_max);
}

TEST_CASE("a group that is not wanted is not made, and a change goes on without it") {
  if (!as_root()) return;  // nobody has none
  const std::vector<std::pair<wall, std::string>> all{{wall::cgroup_memory, "memory"},
                                                      {wall::cgroup_tasks, "pids"},
                                                      {wall::cgroup_cpu, "cpu"},
                                                      {wall::cgroup_io, "blkio"},
                                                      {wall::cgroup_kill, ""}};
  for (const auto& [which, controller] : all) {
    CAPTURE(controller);
    wall_set without;
    without.set(index_of(which)).set(index_of(wall::resource_limits));
    launched_spawner by{options(without)};
    auto child = start(by, inside({"wait"}));
    CHECK((*child.report)[which].state == wall_state::off);
    for (const auto& [names, group] : groups_of(child.process->pid())) {
      const bool its = controller.empty() ? names.empty() : names.starts_with(controller);
      if (its) CHECK_FALSE(is_ours(group));
    }
    CHECK(by.set_limits(child.ticket, {}) == 0);
  }
}

TEST_CASE("where neither groups nor limits of its process stand, a change says so") {
  if (as_root()) return;  // then there are groups
  wall_set without;
  without.set(index_of(wall::resource_limits));
  launched_spawner by{options(without)};
  auto child = start(by, inside({"wait"}));
  CHECK(by.set_limits(child.ticket, {}) == ENOSYS);
}

TEST_CASE("no limit of memory is none, also where there was one before") {
  if (!as_root()) return;  // nobody has no groups to limit, as the tests above see
  launched_spawner by{options()};
  auto limited = whole();
  limited.limits.memory_bytes = 64U << 20U;
  auto first = start(by, inside({"wait"}, limited));
  const auto limit_of = [](const spawned_process& child) {
    const auto groups = groups_of(child.process->pid());
    const bool old = groups.contains("memory") && is_ours(groups.at("memory"));
    std::string text;
    std::getline(
        std::ifstream{old ? "/sys/fs/cgroup/memory" + groups.at("memory") + "/memory.limit_in_bytes"
                          : "/sys/fs/cgroup" + groups.at("") + "/memory.max"},
        text);
    return text;
  };
  CHECK(limit_of(first) == std::to_string(limited.limits.memory_bytes));
  // Those that are kept ready have the limits of the one before.
  const auto launcher = launcher_of(first);
  for (int n = 0; n < 1000 && children_of(launcher).size() < 3; ++n) ::poll(nullptr, 0, 5);
  auto unlimited = whole();
  unlimited.limits.memory_bytes = 0;
  auto second = start(by, inside({"wait"}, unlimited));
  const auto none = limit_of(second);
  CHECK((none == "max" || none.size() >= 19));
  // The limits of its process are another matter.
  CHECK(by.set_limits(first.ticket, unlimited.limits) == (may_raise() ? 0 : EPERM));
  CHECK(limit_of(first) == none);
}

TEST_CASE("who has not the right to signal a plugin has it done by the launcher") {
  auto child = start(inside({"wait"}));
  if (as_root()) {
    const pid_t other = ::fork();
    if (other == 0) {
      become_nobody();
      ::_exit(child.process->signal(SIGUSR1) ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(other, &status, 0) == other);
    CHECK(status == 0);
  } else {
    CHECK(child.process->signal(SIGUSR1));  // its own user's it may
  }
  CHECK(end_of(child) == exit_status::signaled(SIGUSR1, false));
}

TEST_CASE("groups go with their instance, and with a launcher that ends, and after one that died") {
  auto by = std::make_unique<launched_spawner>(options());
  pid_t launcher = -1;
  {
    auto child = start(*by, inside({"wait"}));
    launcher = launcher_of(child);
    CHECK((groups_made_by(launcher) > 0) == as_root());
  }
  by.reset();
  CHECK(groups_made_by(launcher) == 0);

  by = std::make_unique<launched_spawner>(options());
  auto child = start(*by, inside({"wait"}));
  launcher = launcher_of(child);
  REQUIRE(::kill(launcher, SIGKILL) == 0);
  end_of(child);
  // The spawner notices, and its next launcher sweeps when it has nothing else to do.
  auto next = start(*by, inside({"wait"}));
  CHECK(comes_true([&] { return groups_made_by(launcher) == 0; }));
}

TEST_CASE("a launcher without room for an order's descriptors says so, and goes on") {
  temporary_directory folder;
  launcher_link link{launcher_after(launcher_path(),
                                    [] {
                                      const rlimit few{40, 40};
                                      if (::setrlimit(RLIMIT_NOFILE, &few) != 0) ::_exit(126);
                                    })(),
                     std::chrono::seconds{10}};
  const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  launcher::start_order order;
  order.arguments = 1;
  order.placements = 60;
  order.text_bytes = 61;
  order.placed.fill(launcher::placement_kind::descriptor);
  const std::vector<int> fds(launcher::start_fds + order.placements, null.get());
  for (int n = 0; n < 2; ++n) {
    const auto answer = link.start(order, fds).answer;
    CHECK(answer.stopped_at == launcher::stage::descriptors);
    CHECK(answer.error_number == EMFILE);
  }
}

TEST_CASE("a wall that is required and missing refuses the start by its name") {
  temporary_directory folder;
  auto chosen = options();
  chosen.starts =
      as_root() ? launcher_after(public_launcher(folder), become_nobody) : chosen.starts;
  launched_spawner by{chosen};
  const auto error = start_fails(by, inside({"wait"}, as_asked(profile::strict)));
  CHECK(error.failure == spawn_failure::no_wall);
  CHECK(error.permanent);
  REQUIRE(error.missing);
  CHECK(*error.missing == wall::own_uid);
  CHECK(error.why == "the wall uid of profile strict does not stand (EPERM)");
  CHECK(error.remedy.find("--waive uid --waive ") != std::string::npos);
  CHECK(error.remedy.find("--waive cg.memory") != std::string::npos);
  REQUIRE(error.report);
  CHECK((*error.report)[wall::own_uid].state == wall_state::unavailable);
  CHECK((*error.report)[wall::cgroup_memory].error_number == EACCES);

  auto how = as_asked(profile::strict);
  for (const auto which : {wall::own_uid, wall::no_groups, wall::memfd_noexec, wall::cgroup_memory,
                           wall::cgroup_tasks, wall::cgroup_kill})
    how.waived.set(index_of(which));
  CHECK(start_fails(by, inside({"wait"}, how)).missing == wall::cgroup_cpu);
  how.waived.set(index_of(wall::cgroup_cpu));
  auto child = start(by, inside({"exit", "4"}, how));
  CHECK(end_of(child) == exit_status::exited(4));
  CHECK_FALSE(missing_by_waiver(*child.report).empty());
}

TEST_CASE("without a process tree of its own, a start leaves the settings of the whole one alone") {
  if (!as_root()) return;  // whom the kernel does not let
  temporary_directory folder;
  auto chosen = options();
  chosen.starts = launcher_after(public_launcher(folder), lose_process_trees);
  launched_spawner by{chosen};
  auto how = as_asked(profile::strict);
  how.waived = required_walls(profile::strict);
  auto child = start(by, inside({"exit", "4"}, how));
  const auto& report = *child.report;
  CHECK(report[wall::pid_namespace].error_number == ENOSPC);
  CHECK(line_of(wall::memfd_noexec, report) == "memfd-noexec: unavailable (EINVAL), waived");
}

TEST_CASE("where no user namespace is to be had, that is what a refusal names") {
  temporary_directory folder;
  auto chosen = options();
  chosen.starts = launcher_after(public_launcher(folder), lose_user_namespaces);
  launched_spawner by{chosen};
  const auto error = start_fails(by, inside({"wait"}, as_asked(profile::strict_unprivileged)));
  CHECK(error.missing == wall::user_namespace);
  CHECK(error.error_number == ENOSPC);
  auto how = as_asked(profile::no_userns);
  // Root's own uid is not for a plugin, unless somebody says so; whose else it may share.
  if (as_root()) {
    CHECK(start_fails(by, inside({"wait"}, how)).missing == wall::own_uid);
    how.waived.set(index_of(wall::own_uid));
  }
  auto child = start(by, inside({"exit", "4"}, how));
  CHECK(end_of(child) == exit_status::exited(4));
  CHECK(missing_by_waiver(*child.report).size() == (as_root() ? 1 : 0));
}
