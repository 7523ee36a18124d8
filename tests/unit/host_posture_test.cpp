// SPDX-License-Identifier: Apache-2.0
//
// The judgement on a machine, by files that are made up.
#include "broker/host_posture.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

using namespace bulkhead;

namespace {

using verdict = host_finding::verdict;
using files = std::map<std::string, std::string>;

const files hardened{
    {"/proc/sys/kernel/io_uring_disabled", "2"},
    {"/proc/sys/kernel/unprivileged_bpf_disabled", "2"},
    {"/proc/sys/kernel/perf_event_paranoid", "3"},
    {"/proc/sys/vm/unprivileged_userfaultfd", "0"},
    {"/proc/sys/kernel/dmesg_restrict", "1"},
    {"/proc/sys/kernel/kptr_restrict", "2"},
    {"/proc/sys/kernel/yama/ptrace_scope", "1"},
    {"/proc/sys/user/max_user_namespaces", "15000"},
    {"/proc/sys/kernel/core_pattern", "core"},
    {"/proc/swaps", "Filename\tType\tSize\tUsed\tPriority"},
    {"/sys/kernel/security/lsm", "capability,landlock,yama"},
    {"/proc/cmdline", "ro quiet"},
    {"/sys/devices/system/cpu/vulnerabilities/", "l1tf\nmds\nspectre_v2\n"},
    {"/sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n"},
    {"/sys/devices/system/cpu/vulnerabilities/mds", "Mitigation: Clear CPU buffers\n"},
    {"/sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: Retpolines\n"},
    {"/proc/sys/kernel/osrelease", "6.12.3-amd64\n"},
    {"/proc/sys/vm/overcommit_memory", "0\n"},
    {"/proc/sys/user/max_pid_namespaces", "15000\n"},
    {"/proc/sys/fs/file-max", "1000000\n"},
};

// For a content that is none.
const std::string forbidden = "EACCES";

std::vector<host_finding> judged(const files& machine) {
  return judge_host([&machine](const std::string& file) -> host_file {
    const auto found = machine.find(file);
    if (found == machine.end()) return {{}, ENOENT};
    if (found->second == forbidden) return {{}, EACCES};
    return {found->second, 0};
  });
}

host_finding finding(const std::string& name, const files& changes,
                     const std::string& absent = {}) {
  auto machine = hardened;
  for (const auto& [file, content] : changes) machine[file] = content;
  machine.erase(absent);
  const auto all = judged(machine);
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&name](const host_finding& each) { return each.name == name; });
  REQUIRE(found != all.end());
  return *found;
}

}  // namespace

TEST_CASE("on a hardened machine every finding is good, and has nothing to do") {
  for (const auto& each : judged(hardened)) {
    INFO(each.name);
    CHECK(each.says == verdict::good);
    CHECK(each.how.empty());
    CHECK_FALSE(each.why.empty());
    CHECK_FALSE(each.wanted.empty());
  }
}

TEST_CASE("each setting that is not as it should be is found, and says how to mend it") {
  const std::map<std::string, std::string> worse{
      {"kernel.io_uring_disabled", "0"},
      {"kernel.unprivileged_bpf_disabled", "0"},
      {"kernel.perf_event_paranoid", "2"},
      {"vm.unprivileged_userfaultfd", "1"},
      {"kernel.dmesg_restrict", "0"},
      {"kernel.kptr_restrict", "0"},
      {"kernel.yama.ptrace_scope", "0"},
      {"user.max_user_namespaces", "0"},
      {"kernel.unprivileged_userns_clone", "0"},
      {"kernel.apparmor_restrict_unprivileged_userns", "1"},
  };
  for (const auto& [name, value] : worse) {
    auto file = "/proc/sys/" + name;
    std::replace(file.begin() + 10, file.end(), '.', '/');
    const auto found = finding(name, {{file, value}});
    INFO(name);
    CHECK(found.says == (name == "user.max_user_namespaces" ? verdict::bad : verdict::weak));
    CHECK(found.found == value);
    CHECK(found.how.find("sysctl -w " + name + "=") == 0);
  }
}

TEST_CASE("what the kernel is built without needs no switch, but Yama does") {
  CHECK(finding("kernel.io_uring_disabled", {}, "/proc/sys/kernel/io_uring_disabled").says ==
        verdict::good);
  CHECK(finding("kernel.yama.ptrace_scope", {}, "/proc/sys/kernel/yama/ptrace_scope").says ==
        verdict::weak);
}

TEST_CASE("switches of user namespaces that a kernel does not have forbid none") {
  for (const auto* const name :
       {"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"}) {
    INFO(name);
    CHECK(finding(name, {}).says == verdict::good);
    CHECK(finding(name, {}).found == "not there");
  }
}

TEST_CASE("a large machine may have any number of user namespaces") {
  const auto found =
      finding("user.max_user_namespaces", {{"/proc/sys/user/max_user_namespaces", "2062607"}});
  CHECK(found.says == verdict::good);
  CHECK(found.wanted == "1 or more");
}

TEST_CASE("what cannot be read, or is hidden or masked, is not called good, and says why") {
  for (const auto* const name :
       {"kernel.io_uring_disabled", "kernel.unprivileged_bpf_disabled",
        "kernel.perf_event_paranoid", "vm.unprivileged_userfaultfd", "kernel.dmesg_restrict",
        "kernel.kptr_restrict", "kernel.yama.ptrace_scope", "user.max_user_namespaces",
        "kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns",
        "kernel.core_pattern"}) {
    auto file = "/proc/sys/" + std::string(name);
    std::replace(file.begin() + 10, file.end(), '.', '/');
    INFO(name);
    const auto unreadable = finding(name, {{file, forbidden}});
    CHECK(unreadable.says == verdict::unknown);
    CHECK(unreadable.found == "cannot be read (EACCES)");
    CHECK_FALSE(unreadable.how.empty());
    const auto masked = finding(name, {{file, ""}});  // by the null device
    CHECK(masked.says == verdict::unknown);
    CHECK(masked.found == "masked: an empty file is in its place");
    // As a container does with whole directories.
    auto machine = hardened;
    std::erase_if(machine, [](const auto& each) { return each.first.starts_with("/proc/sys/"); });
    for (const auto& each : judged(machine)) {
      if (each.name != name) continue;
      CHECK(each.says == verdict::unknown);
      CHECK(each.found.starts_with("hidden: /proc/sys/"));
    }
  }
  CHECK(finding("ia32 emulation", {{"/proc/sys/abi/vsyscall32", forbidden}}).says ==
        verdict::unknown);
  CHECK(finding("ia32 emulation", {{"/proc/sys/abi/vsyscall32", "1"}, {"/proc/cmdline", forbidden}})
            .says == verdict::unknown);
  CHECK(finding("kernel.core_pattern", {{"/proc/sys/fs/suid_dumpable", forbidden}}).says ==
        verdict::unknown);
  CHECK(finding("swap", {{"/proc/swaps", forbidden}}).found == "cannot be read (EACCES)");
  CHECK(finding("landlock", {{"/sys/kernel/security/lsm", forbidden}}).says == verdict::unknown);
}

TEST_CASE("a kernel older than the switch of io_uring may have it all the same") {
  const auto older =
      finding("kernel.io_uring_disabled", {{"/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"}},
              "/proc/sys/kernel/io_uring_disabled");
  CHECK(older.says == verdict::unknown);
  CHECK(older.found == "not there: the switch came with Linux 6.6");
}

TEST_CASE("an empty pattern of core files is one, with its newline") {
  CHECK(finding("kernel.core_pattern", {{"/proc/sys/kernel/core_pattern", "\n"}}).says ==
        verdict::good);
}

TEST_CASE("a setting that makes no sense is not called good") {
  CHECK(finding("kernel.dmesg_restrict", {{"/proc/sys/kernel/dmesg_restrict", "one"}}).says ==
        verdict::unknown);
}

TEST_CASE("swap is as good as where it lies") {
  const auto with = [](const std::string& device) {
    return finding("swap", {{"/proc/swaps", "Filename\tType\n" + device + " partition 1 0 -2"}});
  };
  CHECK(with("/dev/sda2").says == verdict::weak);
  CHECK(with("/dev/sda2").found == "/dev/sda2");
  CHECK(with("/dev/zram0").says == verdict::good);
  CHECK(with("/dev/dm-1").says == verdict::unknown);
  // Of several the worst counts, wherever it stands.
  const auto last = with("/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 5\n/dev/sda2");
  CHECK(last.says == verdict::weak);
  CHECK(last.found == "/dev/sda2");
  CHECK(with("/dev/dm-1 partition 1 0 5\n/dev/zram0").found == "/dev/dm-1");
  CHECK(finding("swap", {}, "/proc/swaps").says == verdict::unknown);
}

TEST_CASE("a kernel without Landlock, and one that dumps for everybody, are bad") {
  CHECK(finding("landlock", {{"/sys/kernel/security/lsm", "capability,yama"}}).says ==
        verdict::bad);
  CHECK(finding("landlock", {}, "/sys/kernel/security/lsm").says == verdict::unknown);
  CHECK(finding("kernel.core_pattern", {{"/proc/sys/fs/suid_dumpable", "1"}}).says == verdict::bad);
}

TEST_CASE("programs of 32 bits are a second door unless the kernel was told") {
  CHECK(finding("ia32 emulation", {{"/proc/sys/abi/vsyscall32", "1"}}).says == verdict::weak);
  CHECK(finding("ia32 emulation",
                {{"/proc/sys/abi/vsyscall32", "1"}, {"/proc/cmdline", "ro ia32_emulation=0"}})
            .says == verdict::good);
}

TEST_CASE("faults of the processor that are open are named, and so are those not told of") {
  const std::string folder = "/sys/devices/system/cpu/vulnerabilities/";
  const auto with = [&](const files& changes) { return finding("cpu vulnerabilities", changes); };
  const auto open =
      with({{folder + "mds", "Vulnerable: Clear CPU buffers attempted, no microcode\n"},
            {folder + "spectre_v2", "Vulnerable\n"},
            {folder + "l1tf", "Unknown: No mitigations\n"}});
  CHECK(open.says == verdict::weak);
  CHECK(open.found == "mds, spectre_v2");
  CHECK_FALSE(open.how.empty());
  const auto untold = with({{folder + "mds", "Unknown: Dependent on hypervisor status\n"},
                            {folder + "l1tf", forbidden}});
  CHECK(untold.says == verdict::unknown);
  CHECK(untold.found == "not told of l1tf, mds");
  CHECK_FALSE(untold.how.empty());
  // Of guests of this machine, and not of its processes.
  CHECK(with({{folder + "l1tf", "KVM: Vulnerable\n"}}).says == verdict::good);
  CHECK(with({{folder, forbidden}}).says == verdict::unknown);
  CHECK(finding("cpu vulnerabilities", {}, folder).says == verdict::unknown);
}

TEST_CASE("this machine and this process can be looked at") {
  const auto all = look_at_host();
  CHECK(all.size() == judged(hardened).size() + 2);
  const auto processor = std::find_if(all.begin(), all.end(), [](const host_finding& each) {
    return each.name == "cpu vulnerabilities";
  });
  REQUIRE(processor != all.end());
  std::error_code absent;
  for (const auto& each :
       std::filesystem::directory_iterator("/sys/devices/system/cpu/vulnerabilities", absent)) {
    std::string word;
    std::ifstream{each.path()} >> word;
    if (!word.starts_with("Vulnerable")) continue;
    CHECK(processor->says == verdict::weak);
    CHECK(processor->found.find(each.path().filename()) != std::string::npos);
  }
}
