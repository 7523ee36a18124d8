// SPDX-License-Identifier: Apache-2.0
// Words, profiles and verdicts of actors/confinement/confinement.hpp, which no kernel is needed
// for.
#include "actors/confinement/confinement.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <set>

#include "actors/confinement/waivers.hpp"

using namespace bulkhead;

namespace {

confinement_report all_standing(profile of) {
  confinement_report report;
  report.of = of;
  for (auto& each : report.walls) each.state = wall_state::enforced;
  return report;
}

}  // namespace

TEST_CASE("every wall has a word of its own, which names it again") {
  std::set<std::string_view> words;
  for (std::size_t at = 0; at < wall_count; ++at) {
    const auto which = static_cast<wall>(at);
    CHECK(words.insert(to_string(which)).second);
    CHECK(wall_named(to_string(which)) == which);
  }
  CHECK(wall_named("") == std::nullopt);
  CHECK(wall_named("user_namespace") == std::nullopt);
}

TEST_CASE("states of a wall and kinds of grants have words of their own") {
  std::set<std::string_view> words;
  for (const auto state :
       {wall_state::off, wall_state::enforced, wall_state::unavailable, wall_state::failed})
    CHECK(words.insert(to_string(state)).second);
  for (const auto kind :
       {grant_kind::read_directory, grant_kind::write_directory, grant_kind::device,
        grant_kind::descriptor, grant_kind::environment, grant_kind::address}) {
    CHECK(words.insert(to_string(kind)).second);
    CHECK(grant_kind_named(to_string(kind)) == kind);
  }
  CHECK_FALSE((words.contains("?") || words.contains("")));
  CHECK(grant_kind_named("") == std::nullopt);
}

TEST_CASE("each profile requires no more than it tries") {
  for (const auto which :
       {profile::strict, profile::strict_unprivileged, profile::no_userns, profile::interpreter}) {
    CHECK((required_walls(which) & ~wanted_walls(which)).none());
    CHECK(profile_named(to_string(which)) == which);
    for (const auto kept : {wall::seccomp, wall::landlock, wall::no_capabilities,
                            wall::no_new_privileges, wall::descriptors, wall::resource_limits})
      CHECK(required_walls(which).test(index_of(kept)));
  }
}

TEST_CASE(
    "strict requires every wall but the processor's speculation controls, and a common share") {
  auto required = required_walls(profile::strict);
  for (const auto which : {wall::speculation, wall::cgroup_io}) {
    CHECK(!required.test(index_of(which)));
    required.set(index_of(which));
  }
  CHECK(required.all());
}

TEST_CASE("a share of the disks that is not the common one is required, unless that was waived") {
  confinement asked;
  CHECK(required_walls(asked, false) == required_walls(asked.of));
  asked.limits.io_weight = 101;
  CHECK(required_walls(asked, false).test(index_of(wall::cgroup_io)));
  asked.waived.set(index_of(wall::cgroup_io));
  CHECK_FALSE(required_walls(asked, false).test(index_of(wall::cgroup_io)));
}

TEST_CASE("where the launcher is root every profile requires an own uid") {
  for (const auto which :
       {profile::strict, profile::strict_unprivileged, profile::no_userns, profile::interpreter}) {
    auto as_root = required_walls(which);
    as_root.set(index_of(wall::own_uid));
    CHECK(required_walls(which, true) == as_root);
    auto found = all_standing(which);
    found.as_root = true;
    found[wall::own_uid].state = wall_state::unavailable;
    confinement asked;
    asked.of = which;
    CHECK(missing_wall(asked, found) == wall::own_uid);
    asked.waived.set(index_of(wall::own_uid));
    CHECK(missing_wall(asked, found) == std::nullopt);
    found.waived = asked.waived;
    CHECK(missing_by_waiver(found) == std::vector{wall::own_uid});
  }
}

TEST_CASE("a required wall that does not stand is named, whatever its state") {
  for (const auto state : {wall_state::off, wall_state::unavailable, wall_state::failed}) {
    auto found = all_standing(profile::strict);
    CHECK(missing_wall({}, found) == std::nullopt);
    found[wall::landlock].state = state;
    CHECK(missing_wall({}, found) == wall::landlock);
  }
}

TEST_CASE("a waived wall may be missing, and is counted when it is") {
  confinement asked;
  asked.waived.set(index_of(wall::cgroup_cpu));
  asked.waived.set(index_of(wall::cgroup_tasks));
  auto found = all_standing(profile::strict);
  found.waived = asked.waived;
  CHECK(missing_by_waiver(found).empty());
  found[wall::cgroup_cpu] = {wall_state::unavailable, false, EACCES, 0};
  CHECK(missing_wall(asked, found) == std::nullopt);
  CHECK(missing_by_waiver(found) == std::vector{wall::cgroup_cpu});
  CHECK(line_of(wall::cgroup_cpu, found) == "cg.cpu: unavailable (EACCES), waived");
  // Not required of everybody, and told to who waived it.
  found[wall::cgroup_io] = {wall_state::unavailable, false, ENOENT, 0};
  CHECK(missing_by_waiver(found) == std::vector{wall::cgroup_cpu});
  found.waived.set(index_of(wall::cgroup_io));
  CHECK(missing_by_waiver(found) == std::vector{wall::cgroup_cpu, wall::cgroup_io});
  CHECK(line_of(wall::cgroup_tasks, found) == "cg.tasks: enforced");
}

TEST_CASE("what keeps a uid of its own from a plugin of root's broker is said") {
  confinement_report found;
  found.as_root = true;
  const auto way = [&](int error) {
    found[wall::own_uid].error_number = error;
    return way_to_have(found, wall::own_uid);
  };
  CHECK(way(EROFS).find("/run/bulkhead-users") != std::string_view::npos);
  CHECK(way(EPERM) == way(EROFS));
  CHECK(way(EINVAL).find("2000203776") != std::string_view::npos);
  CHECK(way(EUSERS).find("brokers") != std::string_view::npos);
  CHECK(way(EIO) == "make the machine offer it");
  CHECK(way_to_have(found, wall::landlock) == way(EIO));
  found.as_root = false;
  CHECK(way(EPERM) == way(EIO));
}

TEST_CASE("the profile without user namespaces tries no namespace") {
  const auto wanted = wanted_walls(profile::no_userns);
  for (const auto which : {wall::user_namespace, wall::pid_namespace, wall::net_namespace})
    CHECK(!wanted.test(index_of(which)));
}

TEST_CASE("what is open without namespaces, and without root, is said in words") {
  const std::string_view tasks = "the number of its tasks has no limit";
  const auto says = [](const confinement_report& found, std::string_view part) {
    const auto gaps = gaps_in(found);
    return std::any_of(gaps.begin(), gaps.end(), [&](std::string_view each) {
      return each.find(part) != std::string_view::npos;
    });
  };
  CHECK(gaps_in(all_standing(profile::strict)).empty());
  confinement_report found;
  found.of = profile::no_userns;
  const auto wanted = required_walls(profile::no_userns);
  for (std::size_t at = 0; at < wall_count; ++at)
    if (wanted.test(at)) found.walls[at].state = wall_state::enforced;
  CHECK(says(found, "host's paths"));
  CHECK(says(found, tasks));
  CHECK(says(found, "a hostile one can have several times its limit"));
  CHECK(says(found, "processor"));
  found[wall::own_uid].state = wall_state::enforced;  // as root
  CHECK_FALSE(says(found, tasks));
  found[wall::landlock].state = wall_state::unavailable;
  CHECK(gaps_in(found).empty());  // refused
  found.waived.set(index_of(wall::landlock));
  CHECK(says(found, "host's files are open"));
  found[wall::mount_namespace].state = wall_state::enforced;
  found[wall::cgroup_tasks].state = wall_state::enforced;
  found[wall::cgroup_memory].state = wall_state::enforced;
  found[wall::cgroup_cpu].state = wall_state::enforced;
  CHECK(gaps_in(found).empty());
}

TEST_CASE(
    "an interpreter without a control group has no limit of memory: what it shares is not "
    "counted") {
  auto found = all_standing(profile::interpreter);
  found[wall::cgroup_memory].state = wall_state::unavailable;
  found.waived.set(index_of(wall::cgroup_memory));
  const auto gaps = gaps_in(found);
  CHECK(std::count(gaps.begin(), gaps.end(), "its memory has no limit") == 1);
}

TEST_CASE("what is to be waived is what is required, was tried, and does not stand") {
  confinement_report found;
  found.of = profile::strict;
  found.waived.set(index_of(wall::cgroup_cpu));
  found[wall::own_uid].state = wall_state::unavailable;
  found[wall::seccomp].state = wall_state::enforced;
  found[wall::landlock].state = wall_state::failed;
  found[wall::cgroup_cpu].state = wall_state::unavailable;
  found[wall::speculation].state = wall_state::unavailable;
  CHECK(waiver_flags(found, wall::landlock) == "--waive uid --waive landlock");
  CHECK(waiver_flags(found, wall::lifeline) == "--waive uid --waive landlock --waive lifeline");
}
