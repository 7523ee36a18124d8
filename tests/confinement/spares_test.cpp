// SPDX-License-Identifier: Apache-2.0
// Instances that wait for an order, seen from outside: what their two processes hold of the
// launcher's, and that they end with it.
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <set>

#include "tests/confinement/confined.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

constexpr std::size_t spares = 2;

/// What the descriptors from `first` on lead to, without the numbers of what has no name.
std::multiset<std::string> held_by(pid_t process, int first) {
  std::multiset<std::string> found;
  for (const auto& [number, what] : descriptors_of(process))
    if (number >= first) found.insert(what.substr(0, what.find(":[")));
  return found;
}

pid_t only_child_of(pid_t process) {
  const auto children = children_of(process);
  return children.size() == 1 ? children.front() : -1;
}

/// The inits of the instances that wait, once all are there and have arranged themselves.
std::vector<pid_t> waiting_inits(pid_t launcher, pid_t other) {
  std::vector<pid_t> inits;
  CHECK(comes_true([&] {
    inits.clear();
    for (const pid_t each : children_of(launcher))
      if (each != other && status_of(each, "Seccomp") == "2") inits.push_back(each);
    return inits.size() == spares;
  }));
  return inits;
}

std::size_t how_many_live(const std::vector<pid_t>& inits, pid_t launcher) {
  const auto now = children_of(launcher);
  return static_cast<std::size_t>(
      std::count_if(inits.begin(), inits.end(), [&](pid_t each) { return is_among(each, now); }));
}

}  // namespace

TEST_CASE("an instance that waits holds what it waits with, and nothing else of its launcher's") {
  if (!as_root()) return;  // others do not see it
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const pid_t init = parent_of(child.process->pid()), launcher = parent_of(init);
  for (const pid_t each : waiting_inits(launcher, init)) {
    // Its status, its plugin, two lifelines; and what tells of its memory.
    CHECK(comes_true([&] {
      const auto its = held_by(each, 0);
      return its.count("pipe") == 3 && its.count("anon_inode") == 1 && its.size() == 5;
    }));
    // The reins, and what tells it that its init is ready, until that is.
    CHECK(comes_true(
        [&] { return held_by(only_child_of(each), 3) == std::multiset<std::string>{"socket"}; }));
  }
}

TEST_CASE("an instance ends with its launcher by the lifeline alone") {
  wall_set without;
  without.set(index_of(wall::parent_death));
  launched_spawner by{options(without)};
  auto child = start(by, inside({"wait"}));
  const pid_t init = parent_of(child.process->pid()), launcher = parent_of(init);
  const auto inits = waiting_inits(launcher, init);
  // The broker's is open: it is that of the spawner, which lives.
  REQUIRE(::kill(launcher, SIGKILL) == 0);
  CHECK(readable(child.process->exit_fd()));
  for (const pid_t each : inits)
    CHECK(comes_true([&] { return ::kill(each, 0) != 0 || status_of(each, "State")[0] == 'Z'; }));
}

TEST_CASE("the end of one instance leaves those that wait as they are, and theirs leaves nothing") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const pid_t launcher = confined::launcher_of(child);
  const auto inits = waiting_inits(launcher, parent_of(child.process->pid()));
  child.process->signal_group(SIGKILL);
  end_of(child);
  CHECK(comes_true([&] { return children_of(launcher).size() == spares; }));
  auto next = start(by, inside({"wait"}));
  const pid_t init = parent_of(next.process->pid());
  CHECK(is_among(init, inits));

  const auto before = waiting_inits(launcher, init);
  // Of each that waits its reins. There may be new ones soon.
  const auto beside = [&] {
    return held_by(launcher, 0).count("socket") - children_of(launcher).size();
  };
  const auto count = beside();
  for (const pid_t each : before) REQUIRE(::kill(each, SIGKILL) == 0);
  CHECK(comes_true([&] { return how_many_live(before, launcher) == 0 && beside() == count; }));
}

TEST_CASE("those that wait are of the kind that was started last, and the others end") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const pid_t init = parent_of(child.process->pid()), launcher = parent_of(init);
  const auto before = waiting_inits(launcher, init);
  auto other = start(by, inside({"wait"}, whole(profile::no_userns)));
  CHECK(comes_true([&] {
    return how_many_live(before, launcher) == 0 && children_of(launcher).size() == spares + 2;
  }));
}

TEST_CASE("an instance that has died while it waited is not taken for one that runs") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const pid_t init = parent_of(child.process->pid()), launcher = parent_of(init);
  const auto inits = waiting_inits(launcher, init);
  for (const pid_t each : inits) {
    const pid_t plugin = only_child_of(each);
    REQUIRE(::kill(each, SIGSTOP) == 0);  // and tells nobody
    REQUIRE(::kill(plugin, SIGKILL) == 0);
  }
  auto next = start(by, inside({"exit", "3"}));
  CHECK(end_of(next) == exit_status::exited(3));
  // That was tried has been ended.
  CHECK(comes_true([&] { return how_many_live(inits, launcher) == 1; }));
}

TEST_CASE("a start without namespaces leaves the names of the host alone") {
  std::array<char, 256> before{}, after{}, domain_before{}, domain_after{};
  REQUIRE(::gethostname(before.data(), before.size()) == 0);
  REQUIRE(::getdomainname(domain_before.data(), domain_before.size()) == 0);
  auto child = start(inside({"wait"}, whole(profile::no_userns)));
  REQUIRE(::gethostname(after.data(), after.size()) == 0);
  REQUIRE(::getdomainname(domain_after.data(), domain_after.size()) == 0);
  CHECK(before == after);
  CHECK(domain_before == domain_after);
  CHECK(std::string{after.data()} != "plugin");
}

TEST_CASE("groups that a launcher without root cannot leave are told") {
  if (!as_root()) return;  // who alone can have some of its own
  constexpr gid_t groups[] = {4711, 4712};
  temporary_directory folder;
  auto chosen = options();
  chosen.starts = launcher_after(public_launcher(folder), [&groups] {
    constexpr unsigned nobody = 65534;
    if (::setgroups(2, groups) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
  });
  launched_spawner by{chosen};
  confinement how;
  how.of = profile::strict_unprivileged;
  auto child = start(by, inside({"wait"}, how));
  CHECK(line_of(wall::no_groups, *child.report) == "groups: unavailable (EPERM), 2");
}
