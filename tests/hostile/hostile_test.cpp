// SPDX-License-Identifier: Apache-2.0
// Every attack, unconfined and in every profile: nothing gets through but what the report of the
// confinement declares missing, and what a profile or a grant gives.
//
// Unconfined each must work, or have its reason why it does not; only what worked there counts as
// evidence elsewhere. That is so for the static program, and for the one with libraries, which what
// is more than the static one's has to be tried with: with a loader, files may be opened, and
// mapped to be executed. What is granted is what the attacks aim at.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <iostream>
#include <set>
#include <sstream>
#include <vector>

#include "tests/hostile/campaign.hpp"

namespace hostile {

namespace {

/// What may get through where all of these walls do not stand and `applies`.
struct excuse {
  wall_set missing;
  bool applies;
  std::set<std::string> attacks;
};

/// Limits that take a control group, and what a profile without namespaces, or a user without root,
/// cannot hide or drop. And what a profile or a grant gives, where nothing is missing.
std::vector<excuse> excuses(const configuration& how) {
  const bool reads = how.grants.count(grant_kind::read_directory) != 0;
  const bool writes = how.grants.count(grant_kind::write_directory) != 0;
  const bool device = how.grants.count(grant_kind::device) != 0;
  const bool script = how.of == bulkhead::profile::interpreter;
  const bool asks_for_files = how.as != shape::alone || !how.grants.empty();
  return {
      {walls({wall::no_groups}), true, {"groups"}},
      {walls({wall::cgroup_cpu}), true, {"cpu"}},
      {walls({wall::cgroup_tasks, wall::own_uid, wall::user_namespace}), true, {"threads"}},
      {walls({wall::user_namespace}), true, {"host_uid"}},
      {walls({wall::pid_namespace}), true, {"host_pid"}},
      {walls({wall::uts_namespace}), true, {"host_name"}},
      // The host's root in sight: whether a path is there.
      {walls({wall::mount_namespace}),
       asks_for_files,
       {"stat_probe", "statx_probe", "access_probe", "proc_self_exe"}},
      // No mount that refuses devices: one that lies in the directory is granted with it.
      {walls({wall::mount_namespace}), reads || writes, {"node"}},
      // What is shared, or cannot be written any more, only a control group counts.
      {walls({wall::cgroup_memory}), script, {"mem_shared"}},
      {walls({wall::cgroup_memory}), true, {"mem_protected"}},
      // Its root is its own, and holds its libraries or what was granted.
      {{}, asks_for_files, {"list_root"}},
      {{},
       reads || writes,
       {"read_canary", "read_by_open", "stat_probe", "statx_probe", "access_probe"}},
      {{}, writes, {"write_file", "mkdir", "rename"}},
      {{}, device, {"dev"}},
      // A run time makes code as it goes,
      {{}, script, {"rwx", "w2x", "w2x_shared", "stack_exec", "x2w"}},
      // keeps memory from children that it cannot have,
      {{}, script, {"madvise_fork"}},
      // wakes itself through a pair of sockets, gives descriptors other numbers,
      {{}, script, {"socketpair", "dup_link"}},
      // asks how much memory there is, and goes to where its files are.
      {{}, script, {"getcpu_sysinfo"}},
      {{}, script && (reads || writes), {"chdir"}},
  };
}

/// By the report of the very start that it got through in.
bool is_excused(const configuration& how, const std::string& attack, const wall_set& missing) {
  const auto all = excuses(how);
  return std::any_of(all.begin(), all.end(), [&](const excuse& each) {
    return each.applies && (each.missing & missing) == each.missing &&
           each.attacks.count(attack) != 0;
  });
}

void holds(const configuration& how) {
  const campaign done = run(how);
  INFO(done.refusal);
  REQUIRE(done.refusal.empty());
  const std::string through = got_through(done.found);
  std::cout << how.name << ": " << done.found.size()
            << " attacks; got through: " << (through.empty() ? "none" : through)
            << "\n  walls that do not stand:\n"
            << (done.report.empty() ? "    none\n" : done.report);
  if (must_work()) CHECK(names_of(done.unexcused) == "nothing");
  for (const auto& [name, found] : done.found) {
    INFO(name << ": " << found.how << "; it " << attack_named(name).meaning);
    CHECK(found.what != result::broken);
    if (found.got_through()) CHECK(is_excused(how, name, found.missing));
    // What the machine lacks it lacks unconfined as well.
    if (found.what == result::not_applicable) {
      CHECK(control().at(name).what == result::not_applicable);
    }
  }
  CHECK(the_world().victim_lives());
  CHECK(granted_world().victim_lives());
}

void holds(bulkhead::profile of) {
  holds({std::string(bulkhead::to_string(of)), of});
}

/// What takes root, where there is none.
wall_set not_for_this_user() {
  const auto whole = bulkhead::required_walls(bulkhead::profile::strict);
  return the_world().changes_user()
             ? wall_set{}
             : whole & ~bulkhead::required_walls(bulkhead::profile::strict_unprivileged);
}

configuration with(const std::string& name, bulkhead::profile of, shape as,
                   const std::set<grant_kind>& grants) {
  return {name, of, {}, false, as, grants, not_for_this_user(), {}};
}

}  // namespace

TEST_CASE("unconfined, every attack works or has its reason not to") {
  int works = 0;
  std::ostringstream vacuous;
  for (const auto& [name, found] : control()) {
    const attack& one = attack_named(name);
    INFO(name << ": " << found.how);
    CHECK(found.what != result::broken);
    if (found.got_through()) {
      ++works;
      continue;
    }
    CHECK(one.vacuous != nullptr);
    vacuous << "  " << name << " (" << found.how << "): " << (one.vacuous ? one.vacuous : "?")
            << "\n";
  }
  CHECK(the_world().victim_lives());
  std::cout << works << " of " << control().size() << " attacks work unconfined; these do not:\n"
            << vacuous.str();
}

TEST_CASE("unconfined, the attacks that are linked to libraries work as the static ones do") {
  for (const auto& [name, found] : control_of(shape::linked)) {
    INFO(name << ": " << found.how);
    CHECK(found.what == control().at(name).what);
  }
  CHECK(granted_world().victim_lives());
}

TEST_CASE("strict: a wall is excused where its report says that the kernel is without it") {
  bulkhead::confinement_report report;
  for (auto& each : report.walls) each.state = bulkhead::wall_state::enforced;
  const auto missing = walls({wall::landlock, wall::cgroup_cpu, wall::seccomp, wall::descriptors});
  using bulkhead::wall_state;
  report[wall::landlock] = {wall_state::unavailable, false, ENOSYS, 0};
  report[wall::cgroup_cpu] = {wall_state::unavailable, false, EACCES, 0};
  report[wall::seccomp] = {wall_state::failed, false, EINVAL, 0};
  report[wall::descriptors] = {wall_state::off, false, 0, 0};
  CHECK(without_excuse(missing, report) ==
        walls({wall::cgroup_cpu, wall::seccomp, wall::descriptors}));
}

TEST_CASE("strict: nothing gets through") {
  if (the_world().changes_user()) {
    holds(bulkhead::profile::strict);
    return;
  }
  // Not for this user: it must be refused, by name.
  const campaign done = run({"strict", bulkhead::profile::strict, {}, false});
  std::cout << "strict as a user without root: refused for want of " << names_of(done.missing)
            << "\n";
  CHECK(done.missing.any());
}

TEST_CASE("strict-unprivileged: nothing gets through but what its report says is missing") {
  holds(bulkhead::profile::strict_unprivileged);
}

TEST_CASE("no-userns: nothing gets through but what its report says is missing") {
  holds(bulkhead::profile::no_userns);
}

TEST_CASE("strict, with libraries: nothing gets through") {
  holds(with("with libraries", best_profile(), shape::linked, {}));
}

TEST_CASE("strict, with a directory to read: nothing gets through but what is read there") {
  const std::set granted{grant_kind::read_directory};
  holds(with("with read-dir", best_profile(), shape::alone, granted));
}

TEST_CASE("strict, with a directory to write: nothing gets through but what is done there") {
  const std::set granted{grant_kind::write_directory};
  holds(with("with write-dir", best_profile(), shape::alone, granted));
  holds(with("with libraries, write-dir", best_profile(), shape::linked, granted));
}

TEST_CASE("strict, with a device: nothing gets through but its use") {
  holds(with("with device", best_profile(), shape::alone, {grant_kind::device}));
}

TEST_CASE("interpreter: nothing gets through but what a run time of a language does") {
  auto how = with("interpreter", bulkhead::profile::interpreter, shape::script, {});
  how.with_slow = true;  // it may share memory, which no limit of its own counts
  holds(how);
  const std::set granted{grant_kind::write_directory, grant_kind::device};
  holds(with("interpreter, with write-dir, device", how.of, shape::script, granted));
}

TEST_CASE("no-userns, with libraries and a directory: nothing more gets through than to look") {
  const std::set granted{grant_kind::read_directory};
  holds(with("no-userns, with libraries, read-dir", bulkhead::profile::no_userns, shape::linked,
             granted));
}

}  // namespace hostile
