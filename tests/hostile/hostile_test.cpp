// SPDX-License-Identifier: Apache-2.0
// Every attack, unconfined and in every profile: nothing gets through but what the report of the
// confinement declares missing.
//
// Unconfined each must work, or have its reason why it does not; only what worked there counts as
// evidence elsewhere.
#include <catch2/catch.hpp>
#include <iostream>
#include <set>
#include <sstream>
#include <vector>

#include "tests/hostile/campaign.hpp"

namespace hostile {

namespace {

/// What may get through where all of these walls cannot be had: limits that take a control group,
/// and what a profile without namespaces, or a user without root, cannot hide or drop.
struct excuse {
  wall_set missing;
  std::set<std::string> attacks;
};

std::set<std::string> excused(const wall_set& missing) {
  const std::vector<excuse> all{
      {walls({wall::no_groups}), {"groups"}},
      {walls({wall::cgroup_cpu}), {"cpu"}},
      {walls({wall::cgroup_tasks, wall::own_uid, wall::user_namespace}), {"threads"}},
      {walls({wall::user_namespace}), {"host_uid"}},
      {walls({wall::pid_namespace}), {"host_pid"}},
      {walls({wall::uts_namespace}), {"host_name"}},
  };
  std::set<std::string> names;
  for (const excuse& each : all) {
    if ((each.missing & missing) == each.missing) {
      names.insert(each.attacks.begin(), each.attacks.end());
    }
  }
  return names;
}

/// The walls of a profile that are not required, and so may be missing without a waiver, count as
/// missing too: the report says so.
wall_set not_to_be_had(const campaign& done, bulkhead::profile of) {
  return done.missing | ~bulkhead::required_walls(of);
}

void holds(bulkhead::profile of) {
  const configuration how{std::string(bulkhead::to_string(of)), of, {}, true};
  const campaign done = run(how);
  INFO(done.refusal);
  REQUIRE(done.refusal.empty());
  const std::string through = got_through(done.found);
  std::cout << how.name << ": " << done.found.size()
            << " attacks; got through: " << (through.empty() ? "none" : through)
            << "\n  walls that do not stand:\n"
            << (done.report.empty() ? "    none\n" : done.report);
  if (must_work()) CHECK(names_of(done.missing) == "nothing");
  const auto allowed = excused(not_to_be_had(done, of));
  for (const auto& [name, found] : done.found) {
    INFO(name << ": " << found.how << "; it " << attack_named(name).meaning);
    CHECK(found.what != result::broken);
    if (found.got_through()) CHECK(allowed.count(name) == 1);
    // What the machine lacks it lacks unconfined as well.
    if (found.what == result::not_applicable) {
      CHECK(control().at(name).what == result::not_applicable);
    }
  }
  CHECK(the_world().victim_lives());
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

}  // namespace hostile
