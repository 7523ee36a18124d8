// SPDX-License-Identifier: Apache-2.0
// What /proc says of a process, against what was reported of it.
#include "actors/confinement/observation.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "tools/temporary_directory.hpp"

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
    "Seccomp:\t2\n"
    "Speculation_Store_Bypass:\tthread force mitigated\n"
    "SpeculationIndirectBranch:\tconditional force disabled\n";

const std::string good_limits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max file size             0                    0                    bytes     \n"
    "Max data size             268435456            268435456            bytes     \n"
    "Max stack size            8388608              8388608              bytes     \n"
    "Max core file size        1                    1                    bytes     \n"
    "Max processes             66                   66                   processes \n"
    "Max open files            64                   64                   files     \n"
    "Max locked memory         0                    0                    bytes     \n"
    "Max file locks            0                    0                    locks     \n"
    "Max pending signals       64                   64                   signals   \n"
    "Max msgqueue size         0                    0                    bytes     \n"
    "Max nice priority         0                    0                    \n"
    "Max realtime priority     0                    0                    \n"
    "Max realtime timeout      100000               100000               us        \n";

const std::string good_groups =
    "9:name=systemd:/\n4:memory:/x/bulkhead-12.7-3\n1:cpu,cpuacct:/bulkhead-12.7-3\n"
    "8:pids:/bulkhead-12.7-3\n5:blkio:/bulkhead-12.7-3\n0::/y/bulkhead-12.7-3\n";

confinement_report all_enforced() {
  confinement_report report;
  for (auto& each : report.walls) each.state = wall_state::enforced;
  report[wall::own_uid].value = 1'900'000'001;
  report[wall::no_capabilities].value = 0;
  return report;
}

constexpr std::uint64_t megabytes_256 = 256ULL << 20U;

/// Of limits as they are by default, in version 1.
group_limits good_old_groups() {
  group_limits in;
  in.memory_bytes = megabytes_256;
  in.memory_and_swap_bytes = megabytes_256;
  in.tasks = 65;
  in.cpu_quota_us = unlimited;
  in.cpu_period_us = 100'000;
  in.cpu_shares = 1024;
  in.io_weight = io_weight_common;
  return in;
}

outside_view good_view() {
  return {good_status, good_limits, good_groups, good_old_groups(), 0U, 800};
}

wall_set only(wall which) {
  wall_set set;
  set.set(index_of(which));
  return set;
}

wall_set all_groups() {
  return only(wall::cgroup_kill) | only(wall::cgroup_memory) | only(wall::cgroup_tasks) |
         only(wall::cgroup_cpu) | only(wall::cgroup_io);
}

/// What a view is found to contradict, which is then reported as failed, and as nothing else.
wall_set contradicted(const outside_view& view, const resource_limits& limits = {}) {
  auto report = all_enforced();
  const auto found = hold_against(view, limits, report);
  for (std::size_t at = 0; at < wall_count; ++at) {
    CHECK(report.walls[at].state == (found.test(at) ? wall_state::failed : wall_state::enforced));
    CHECK((report.walls[at].error_number == ENOTRECOVERABLE) == found.test(at));
    if (found.test(at)) CHECK_FALSE(report.walls[at].observed);
  }
  return found;
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

wall_set contradicted_by(const std::string& from, const std::string& to) {
  auto view = good_view();
  view.status = with(view.status, from, to);
  return contradicted(view);
}

wall_set limits_contradicted_by(const std::string& from, const std::string& to) {
  auto view = good_view();
  view.limits = with(view.limits, from, to);
  return contradicted(view);
}

}  // namespace

TEST_CASE("what is seen to stand is marked as observed, and what cannot be seen is not") {
  auto report = all_enforced();
  CHECK(hold_against(good_view(), {}, report).none());
  // By what the head of observation.hpp says. Namespaces but that of processes are the launcher's.
  const std::set<wall> seen{
      wall::no_new_privileges, wall::seccomp,         wall::no_capabilities, wall::own_uid,
      wall::no_groups,         wall::pid_namespace,   wall::own_session,     wall::not_dumpable,
      wall::oom_first,         wall::resource_limits, wall::speculation,     wall::cgroup_memory,
      wall::cgroup_tasks,      wall::cgroup_cpu,      wall::cgroup_kill,     wall::cgroup_io};
  for (std::size_t at = 0; at < wall_count; ++at) {
    CAPTURE(to_string(static_cast<wall>(at)));
    CHECK(report.walls[at].observed == seen.contains(static_cast<wall>(at)));
  }
}

TEST_CASE("a wall that is reported and not seen is named") {
  CHECK(contradicted_by("NoNewPrivs:\t1", "NoNewPrivs:\t0") == only(wall::no_new_privileges));
  CHECK(contradicted_by("Seccomp:\t2", "Seccomp:\t0") == only(wall::seccomp));
  CHECK(contradicted_by("CapEff:\t0000000000000000", "CapEff:\t0000000000000001") ==
        only(wall::no_capabilities));
  CHECK(contradicted_by("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000100") ==
        only(wall::no_capabilities));
  CHECK(contradicted_by("CapAmb:\t0000000000000000\n", "") == only(wall::no_capabilities));
  CHECK(contradicted_by("Uid:\t1900000001", "Uid:\t0") == only(wall::own_uid));
  CHECK(contradicted_by("Groups:\t ", "Groups:\t4 ") == only(wall::no_groups));
  // Its session has another number in a namespace of its own, and no other where there is none.
  CHECK(contradicted_by("NSpid:\t4711\t2", "NSpid:\t4711") ==
        (only(wall::pid_namespace) | only(wall::own_session)));
  CHECK(contradicted_by("NSsid:\t4711\t2", "NSsid:\t17\t0") == only(wall::own_session));
  CHECK(limits_contradicted_by("268435456            bytes", "unlimited            bytes") ==
        only(wall::resource_limits));
  auto view = good_view();
  view.files_owner = 1'900'000'001;
  auto report = all_enforced();
  CHECK(hold_against(view, {}, report) == only(wall::not_dumpable));
  view = good_view();
  view.oom_score = 0;
  CHECK(hold_against(view, {}, report) == only(wall::oom_first));
}

TEST_CASE("every limit of the process is compared") {
  for (const auto* const zero : {"Max file size             0", "Max locked memory         0",
                                 "Max file locks            0", "Max msgqueue size         0",
                                 "Max nice priority         0", "Max realtime priority     0"}) {
    CAPTURE(zero);
    const std::string line{zero};
    CHECK(limits_contradicted_by(line, line.substr(0, line.size() - 1) + "1") ==
          only(wall::resource_limits));
  }
  for (const auto& [most, more] : std::map<std::string, std::string>{
           {"268435456            bytes", "268435457            bytes"},
           {"8388608              bytes", "8388609              bytes"},
           {"66                   processes", "67                   processes"},
           {"64                   files", "unlimited            files"},
           {"64                   signals", "65                   signals"},
           {"100000               us", "100001               us"}}) {
    CAPTURE(most);
    CHECK(limits_contradicted_by(most, more) == only(wall::resource_limits));
  }
  // No more than its tasks and its init, where no group refuses another one first.
  auto view = good_view();
  auto report = all_enforced();
  report[wall::cgroup_tasks].state = wall_state::unavailable;
  CHECK(hold_against(view, {}, report) == only(wall::resource_limits));
  const std::string core = "Max core file size        ";
  CHECK(limits_contradicted_by(core + "1", core + "0").none());
  CHECK(limits_contradicted_by(core + "1", core + "2") == only(wall::resource_limits));
  CHECK(limits_contradicted_by("Max pending signals", "Max pending signs") ==
        only(wall::resource_limits));
}

TEST_CASE("addresses are limited where no group counts the memory, but for run times") {
  const resource_limits limits;
  const auto limited_to = [&limits](std::uint64_t bytes, profile of) {
    auto view = good_view();
    view.limits += "Max address space         " + std::to_string(bytes) + " " +
                   std::to_string(bytes) + " bytes\n";
    auto report = all_enforced();
    report.of = of;
    report[wall::cgroup_memory].state = wall_state::unavailable;
    return hold_against(view, limits, report);
  };
  const auto most = address_space_bytes(limits);
  CHECK(most == (512ULL << 20U) + (64 * 8ULL << 20U) + (1ULL << 30U));
  CHECK(limited_to(most, profile::strict_unprivileged).none());
  CHECK(limited_to(most + 1, profile::strict_unprivileged) == only(wall::resource_limits));
  CHECK(limited_to(most + 1, profile::interpreter).none());
  auto unlimited = limits;
  unlimited.memory_bytes = 0;
  CHECK(address_space_bytes(unlimited) == 0);
}

TEST_CASE("a limit that is not asked for is not looked for") {
  auto view = good_view();
  for (const auto* const name : {"Max data size", "Max stack size", "Max processes",
                                 "Max open files", "Max pending signals"})
    view.limits = with(view.limits, name, "Max other");
  resource_limits none;
  none.memory_bytes = none.stack_bytes = none.tasks = none.descriptors = none.pending_signals = 0;
  CHECK(contradicted(view, none).none());
  // The tasks of a user that others have too are not limited.
  view = good_view();
  view.limits = with(view.limits, "66                   processes", "unlimited  processes");
  auto report = all_enforced();
  report[wall::user_namespace].state = report[wall::own_uid].state = wall_state::off;
  CHECK(hold_against(view, {}, report).none());
}

TEST_CASE("controls of speculation are seen where the kernel says it") {
  for (const auto* const open : {"thread vulnerable", "thread mitigated", "vulnerable", "unknown"})
    CHECK(contradicted_by("thread force mitigated", open) == only(wall::speculation));
  for (const auto* const open : {"conditional enabled", "conditional disabled", "always enabled"})
    CHECK(contradicted_by("conditional force disabled", open) == only(wall::speculation));
  CHECK(contradicted_by("thread force mitigated", "not vulnerable").none());
  CHECK(contradicted_by("conditional force disabled", "always disabled").none());
  auto view = good_view();
  view.status = with(view.status, "SpeculationIndirectBranch", "Other");
  auto report = all_enforced();
  CHECK(hold_against(view, {}, report).none());
  CHECK_FALSE(report[wall::speculation].observed);
}

TEST_CASE("the values in the groups' files are compared") {
  const auto contradicted_with = [](auto change, const resource_limits& limits = {}) {
    auto view = good_view();
    change(view.in_groups);
    return contradicted(view, limits);
  };
  resource_limits half;
  half.cpu_percent = 50;
  CHECK(contradicted_with([](auto& in) { in.memory_bytes = unlimited; }) ==
        only(wall::cgroup_memory));
  CHECK(contradicted_with([](auto& in) { *in.memory_bytes += 1; }) == only(wall::cgroup_memory));
  CHECK(contradicted_with([](auto& in) { *in.memory_bytes -= 4096; }).none());  // whole pages
  CHECK(contradicted_with([](auto& in) { *in.memory_and_swap_bytes += 1; }) ==
        only(wall::cgroup_memory));
  CHECK(contradicted_with([](auto& in) { in.memory_and_swap_bytes.reset(); }).none());
  CHECK(contradicted_with([](auto& in) { in.tasks = unlimited; }) == only(wall::cgroup_tasks));
  CHECK(contradicted_with([](auto& in) { in.tasks = 66; }) == only(wall::cgroup_tasks));
  CHECK(contradicted_with([](auto& in) { in.cpu_shares = 1025; }) == only(wall::cgroup_cpu));
  CHECK(contradicted_with([](auto&) {}, half) == only(wall::cgroup_cpu));  // no quota
  CHECK(contradicted_with([](auto& in) { in.cpu_quota_us = 50'001; }, half) ==
        only(wall::cgroup_cpu));
  CHECK(contradicted_with([](auto& in) { in.cpu_quota_us = 50'000; }, half).none());
  CHECK(contradicted_with([](auto& in) { in.cpu_period_us.reset(); }).none());
  CHECK(contradicted_with([](auto& in) { in.cpu_period_us.reset(); }, half).none());
  // Version 2.
  const auto unified = [](group_limits& in, std::uint64_t weight) {
    in.cpu_shares.reset();
    in.cpu_weight = weight;
  };
  CHECK(contradicted_with([&](auto& in) { unified(in, 100); }).none());
  CHECK(contradicted_with([&](auto& in) { unified(in, 101); }) == only(wall::cgroup_cpu));
}

TEST_CASE("a group whose files cannot be read is not marked, and one without a limit is") {
  auto view = good_view();
  view.in_groups = {};
  auto report = all_enforced();
  CHECK(hold_against(view, {}, report).none());
  CHECK(report[wall::cgroup_kill].observed);
  for (const auto which : {wall::cgroup_memory, wall::cgroup_tasks, wall::cgroup_cpu})
    CHECK_FALSE(report[which].observed);
  resource_limits none;
  none.memory_bytes = none.tasks = 0;
  report = all_enforced();
  CHECK(hold_against(view, none, report).none());
  CHECK(report[wall::cgroup_memory].observed);
  CHECK(report[wall::cgroup_tasks].observed);
}

TEST_CASE("the group of an instance is found among the mounts, of either version, in part too") {
  const std::string mounts =
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n"
      "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const auto place = [&](const std::string& groups, const char* controller) {
    return directory_of(groups, mounts, controller);
  };
  const std::string own = "bulkhead-12.7-3";
  CHECK(place("1:cpu,cpuacct:/x/" + own, "cpu").path == "/sys/fs/cgroup/cpu,cpuacct/x/" + own);
  CHECK_FALSE(place("1:cpu,cpuacct:/x/" + own, "cpu").unified);
  CHECK(place("4:memory:/docker/1/" + own, "memory").path == "/sys/fs/cgroup/memory/" + own);
  CHECK(place("4:memory:/docker/12/" + own, "memory").path.empty());
  CHECK(place("8:pids:/" + own, "pids").path.empty());  // mounted nowhere
  CHECK(place("8:pids:/" + own, "pids").own);
  CHECK(place("0::/" + own, "pids").path == "/sys/fs/cgroup/unified/" + own);
  CHECK(place("0::/" + own, "pids").unified);
  CHECK(place("0::/" + own, "pids").own);
  CHECK(place("0::/x", "pids").path.empty());
  CHECK_FALSE(place("0::/x", "pids").own);
  CHECK(place("", "pids").path.empty());
  // Lines that are none.
  CHECK(place("memory\n4:memory:/docker/1/" + own, "memory").path ==
        "/sys/fs/cgroup/memory/" + own);
  CHECK(directory_of("0::/" + own, "-\n3 2 0:1 / /x rw cgroup2\n" + mounts, "pids").path ==
        "/sys/fs/cgroup/unified/" + own);
}

TEST_CASE("the files of a group are read, of either version") {
  temporary_directory folder;
  const std::string own = "/bulkhead-12.7-3";
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{folder.path() + own + "/" + name} << text << "\n";
  };
  std::filesystem::create_directory(folder.path() + own);
  write("memory.max", "1000");
  write("memory.swap.max", "24");
  write("pids.max", "max");
  write("cpu.max", "5000 10000");
  write("cpu.weight", "200");
  const auto unified =
      read_group_limits("0::" + own, "1 1 0:1 / " + folder.path() + " rw - cgroup2 cgroup2 rw");
  CHECK(unified.memory_bytes == 1000);
  CHECK(unified.memory_and_swap_bytes == 1024);
  CHECK(unified.tasks == unlimited);
  CHECK(unified.cpu_quota_us == 5000);
  CHECK(unified.cpu_period_us == 10'000);
  CHECK(unified.cpu_weight == 200);
  CHECK_FALSE(unified.cpu_shares);
  std::filesystem::remove(folder.path() + own + "/memory.swap.max");
  CHECK_FALSE(
      read_group_limits("0::" + own, "1 1 0:1 / " + folder.path() + " rw - cgroup2 cgroup2 rw")
          .memory_and_swap_bytes);

  write("memory.limit_in_bytes", "2000");
  write("memory.memsw.limit_in_bytes", "3000");
  write("cpu.cfs_quota_us", "-1");
  write("cpu.cfs_period_us", "10000");
  write("cpu.shares", "512");
  write("pids.max", "no number");
  const auto old =
      read_group_limits("1:memory,pids,cpu:" + own,
                        "1 1 0:1 / " + folder.path() + " rw - cgroup cgroup rw,cpu,memory,pids");
  CHECK(old.memory_bytes == 2000);
  CHECK(old.memory_and_swap_bytes == 3000);
  CHECK_FALSE(old.tasks);
  CHECK(old.cpu_quota_us == unlimited);
  CHECK(old.cpu_period_us == 10'000);
  CHECK(old.cpu_shares == 512);
  CHECK_FALSE(old.cpu_weight);
}

TEST_CASE("the share of the disks is where the scheduler of the disks has it") {
  const temporary_directory folder;
  const std::string own = "/bulkhead-1.2-3";
  std::filesystem::create_directory(folder.path() + own);
  const auto weight_in = [&](const char* file, const char* text, const std::string& tree) {
    std::ofstream{folder.path() + own + "/" + file} << text;
    return read_group_limits((tree == "cgroup2" ? "0::" : "1:blkio:") + own,
                             "1 1 0:1 / " + folder.path() + " rw - " + tree + " x rw,blkio")
        .io_weight;
  };
  CHECK_FALSE(weight_in("cpu.weight", "7\n", "cgroup2"));
  CHECK(weight_in("io.bfq.weight", "default 300\n8:0 200\n", "cgroup2") == 300);
  CHECK(weight_in("io.weight", "default 200\n", "cgroup2") == 200);
  CHECK(weight_in("blkio.bfq.weight", "400\n", "cgroup") == 400);
}

TEST_CASE("who has ended meanwhile is not taken for one that may be dumped") {
  auto view = good_view();
  view.files_owner = 1'900'000'001;
  view.status = with(view.status, "VmSize:\t    4096 kB\n", "");
  auto report = all_enforced();
  CHECK(hold_against(view, {}, report).none());
  CHECK_FALSE(report[wall::not_dumpable].observed);
}

TEST_CASE("a group that is not an instance's own is no wall") {
  const auto contradicted_in = [](const std::string& groups) {
    auto view = good_view();
    view.groups = groups;
    return contradicted(view);
  };
  CHECK(contradicted_in(good_groups).none());
  CHECK(contradicted_in("0::/bulkhead-12.7-3\n").none());  // version 2 has them all
  CHECK(contradicted_in("0::/\n") == all_groups());
  // The broker's own, or one beside it, is none of an instance's.
  for (const auto& other :
       {"0::/bulkhead-service\n", "0::/bulkhead-12.7-3/leaf\n", "0::/bulkhead-12.7-3.scope\n",
        "0::/bulkhead-12.7\n", "0::/bulkhead-12.-3\n", "0::/bulkhead-12-3\n", "0::/bulkhead-.7-3\n",
        "0::/bulkhead--3\n"})
    CHECK(contradicted_in(other) == all_groups());
  // As the end of a process shows in version 1.
  CHECK(contradicted_in(with(good_groups, "8:pids:/bulkhead-12.7-3", "8:pids:/")).none());
  CHECK(contradicted_in(with(good_groups, "4:memory:/x/bulkhead-12.7-3", "4:memory:/x")) ==
        only(wall::cgroup_memory));
  CHECK(contradicted_in(with(good_groups, "8:pids:/bulkhead-12.7-3", "8:pids:/x")) ==
        only(wall::cgroup_tasks));
  CHECK(contradicted_in(with(good_groups, "cpuacct:/bulkhead-12.7-3", "cpuacct:/x")) ==
        only(wall::cgroup_cpu));
}

TEST_CASE("a wall that is reported as missing contradicts nothing") {
  auto view = good_view();
  view.status = with(view.status, "Seccomp:\t2", "Seccomp:\t0");
  auto report = all_enforced();
  report[wall::seccomp].state = wall_state::unavailable;
  CHECK(hold_against(view, {}, report).none());
  CHECK_FALSE(report[wall::seccomp].observed);
}

TEST_CASE("a filter that has killed is a filter, and a bounding set that could not be emptied") {
  CHECK(contradicted_by("Seccomp:\t2", "Seccomp:\t3").none());
  auto view = good_view();
  view.status = with(view.status, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000100");
  auto report = all_enforced();
  report[wall::no_capabilities].value = 1;
  CHECK(hold_against(view, {}, report).none());
}

TEST_CASE("a status without numbers of processes says nothing of their namespace") {
  for (const auto* const instead : {"", "NSpid:\t"}) {
    auto view = good_view();
    view.status = with(view.status, "NSpid:\t4711\t2", instead);
    auto report = all_enforced();
    CHECK(hold_against(view, {}, report).none());
    CHECK_FALSE(report[wall::pid_namespace].observed);
    CHECK_FALSE(report[wall::own_session].observed);
  }
}

TEST_CASE("what could not be read marks nothing") {
  auto report = all_enforced();
  CHECK(hold_against({}, {}, report).none());
  for (const auto& each : report.walls) CHECK_FALSE(each.observed);
}
