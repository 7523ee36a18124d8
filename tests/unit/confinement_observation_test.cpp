// SPDX-License-Identifier: Apache-2.0
// What /proc says of a process, against what was reported of it.
#include "actors/confinement/observation.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead;

namespace {

const std::string good_status =
    "Name:\tplugin\n"
    "Uid:\t1900000001\t1900000001\t1900000001\t1900000001\n"
    "Groups:\t \n"
    "NSpid:\t4711\t2\n"
    "NSsid:\t4711\t2\n"
    "VmSize:\t    4096 kB\n"
    "CapInh:\t0000000000000000\n"
    "CapPrm:\t0000000000000000\n"
    "CapEff:\t0000000000000000\n"
    "CapBnd:\t0000000000000000\n"
    "CapAmb:\t0000000000000000\n"
    "NoNewPrivs:\t1\n"
    "Seccomp:\t2\n";

const std::string good_limits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max file size             0                    0                    bytes     \n"
    "Max data size             268435456            268435456            bytes     \n"
    "Max core file size        0                    0                    bytes     \n"
    "Max open files            64                   64                   files     \n"
    "Max locked memory         0                    0                    bytes     \n";

const std::string good_groups =
    "9:name=systemd:/\n4:memory:/x/bulkhead-12.7-3\n1:cpu,cpuacct:/bulkhead-12.7-3\n"
    "8:pids:/bulkhead-12.7-3\n0::/y/bulkhead-12.7-3\n";

confinement_report all_enforced() {
  confinement_report report;
  for (auto& each : report.walls) each.state = wall_state::enforced;
  report[wall::own_uid].value = 1'900'000'001;
  report[wall::no_capabilities].value = 0;
  return report;
}

outside_view good_view() {
  return {good_status, good_limits, good_groups, 0U, 800};
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::optional<wall> contradicted_by(const std::string& from, const std::string& to) {
  auto view = good_view();
  view.status = with(view.status, from, to);
  auto report = all_enforced();
  return hold_against(view, {}, report);
}

std::optional<wall> limits_contradicted_by(const std::string& from, const std::string& to) {
  auto view = good_view();
  view.limits = with(view.limits, from, to);
  auto report = all_enforced();
  return hold_against(view, {}, report);
}

}  // namespace

TEST_CASE("what is seen to stand is marked as observed, and what cannot be seen is not") {
  auto report = all_enforced();
  CHECK_FALSE(hold_against(good_view(), {}, report));
  for (const auto which :
       {wall::no_new_privileges, wall::seccomp, wall::no_capabilities, wall::own_uid,
        wall::no_groups, wall::pid_namespace, wall::own_session, wall::not_dumpable,
        wall::oom_first, wall::resource_limits, wall::cgroup_memory, wall::cgroup_tasks,
        wall::cgroup_cpu, wall::cgroup_kill})
    CHECK(report[which].observed);
  CHECK_FALSE(report[wall::landlock].observed);
}

TEST_CASE("a wall that is reported and not seen is named") {
  CHECK(contradicted_by("NoNewPrivs:\t1", "NoNewPrivs:\t0") == wall::no_new_privileges);
  CHECK(contradicted_by("Seccomp:\t2", "Seccomp:\t0") == wall::seccomp);
  CHECK(contradicted_by("CapEff:\t0000000000000000", "CapEff:\t0000000000000001") ==
        wall::no_capabilities);
  CHECK(contradicted_by("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000100") ==
        wall::no_capabilities);
  CHECK(contradicted_by("CapAmb:\t0000000000000000\n", "") == wall::no_capabilities);
  CHECK(contradicted_by("Uid:\t1900000001", "Uid:\t0") == wall::own_uid);
  CHECK(contradicted_by("Groups:\t ", "Groups:\t4 ") == wall::no_groups);
  CHECK(contradicted_by("NSpid:\t4711\t2", "NSpid:\t4711") == wall::pid_namespace);
  CHECK(contradicted_by("NSsid:\t4711\t2", "NSsid:\t17\t0") == wall::own_session);
  CHECK(limits_contradicted_by("268435456            bytes", "unlimited            bytes") ==
        wall::resource_limits);
  CHECK(limits_contradicted_by("Max core file size        0", "Max core file size        1") ==
        wall::resource_limits);
  auto view = good_view();
  view.files_owner = 1'900'000'001;
  auto report = all_enforced();
  CHECK(hold_against(view, {}, report) == wall::not_dumpable);
  view = good_view();
  view.oom_score = 0;
  CHECK(hold_against(view, {}, report) == wall::oom_first);
}

TEST_CASE("who has ended meanwhile is not taken for one that may be dumped") {
  auto view = good_view();
  view.files_owner = 1'900'000'001;
  view.status = with(view.status, "VmSize:\t    4096 kB\n", "");
  auto report = all_enforced();
  CHECK_FALSE(hold_against(view, {}, report));
  CHECK_FALSE(report[wall::not_dumpable].observed);
}

TEST_CASE("a group that is not an instance's own is no wall") {
  const auto contradicted = [](const std::string& groups) {
    auto view = good_view();
    view.groups = groups;
    auto report = all_enforced();
    return hold_against(view, {}, report);
  };
  CHECK_FALSE(contradicted(good_groups));
  CHECK_FALSE(contradicted("0::/bulkhead-12.7-3\n"));  // version 2 has them all
  CHECK(contradicted("0::/\n") == wall::cgroup_kill);
  // The broker's own, or one beside it, is none of an instance's.
  for (const auto& other :
       {"0::/bulkhead-service\n", "0::/bulkhead-12.7-3/leaf\n", "0::/bulkhead-12.7-3.scope\n",
        "0::/bulkhead-12.7\n", "0::/bulkhead-12.-3\n", "0::/bulkhead-12-3\n", "0::/bulkhead-.7-3\n",
        "0::/bulkhead--3\n"})
    CHECK(contradicted(other) == wall::cgroup_kill);
  // As the end of a process shows in version 1.
  CHECK_FALSE(contradicted(with(good_groups, "8:pids:/bulkhead-12.7-3", "8:pids:/")));
  CHECK(contradicted(with(good_groups, "4:memory:/x/bulkhead-12.7-3", "4:memory:/x")) ==
        wall::cgroup_memory);
  CHECK(contradicted(with(good_groups, "8:pids:/bulkhead-12.7-3", "8:pids:/x")) ==
        wall::cgroup_tasks);
  CHECK(contradicted(with(good_groups, "cpuacct:/bulkhead-12.7-3", "cpuacct:/x")) ==
        wall::cgroup_cpu);
}

TEST_CASE("a wall that is reported as missing contradicts nothing") {
  auto view = good_view();
  view.status = with(view.status, "Seccomp:\t2", "Seccomp:\t0");
  auto report = all_enforced();
  report[wall::seccomp].state = wall_state::unavailable;
  CHECK_FALSE(hold_against(view, {}, report));
  CHECK_FALSE(report[wall::seccomp].observed);
}

TEST_CASE("a filter that has killed is a filter, and a bounding set that could not be emptied") {
  CHECK_FALSE(contradicted_by("Seccomp:\t2", "Seccomp:\t3"));
  auto view = good_view();
  view.status = with(view.status, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000100");
  auto report = all_enforced();
  report[wall::no_capabilities].value = 1;
  CHECK_FALSE(hold_against(view, {}, report));
}

TEST_CASE("what could not be read marks nothing") {
  auto report = all_enforced();
  CHECK_FALSE(hold_against({}, {}, report));
  for (const auto& each : report.walls) CHECK_FALSE(each.observed);
}
