// SPDX-License-Identifier: Apache-2.0
#include "broker/host_posture.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

namespace bulkhead {
namespace {

using verdict = host_finding::verdict;

/// A number of the kernel's that should be within bounds.
struct setting {
  const char* name;  // of the sysctl
  std::int64_t least;
  std::int64_t most;
  verdict otherwise;
  bool may_be_absent;  // the kernel is built without what it restricts
  const char* why;
};

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();

constexpr std::array<setting, 8> settings{{
    {"kernel.io_uring_disabled", 2, 2, verdict::weak, true,
     "io_uring is a large way into the kernel, and only the system call filter keeps plugins from "
     "it"},
    {"kernel.unprivileged_bpf_disabled", 1, 2, verdict::weak, true,
     "programs for the kernel's BPF machine are checked by a verifier with a history of holes"},
    {"kernel.perf_event_paranoid", 3, any, verdict::weak, true,
     "performance counters are a large way into the kernel, and tell of other processes"},
    {"vm.unprivileged_userfaultfd", 0, 0, verdict::weak, true,
     "it stops the kernel at chosen moments, which makes races in it easy to win"},
    {"kernel.dmesg_restrict", 1, 1, verdict::weak, true,
     "the kernel's log tells where things lie in its memory"},
    {"kernel.kptr_restrict", 1, 2, verdict::weak, true,
     "addresses of the kernel are the first half of an attack on it"},
    {"kernel.yama.ptrace_scope", 1, 3, verdict::weak, false,
     "without it any process of the broker's user may read the memory of its other processes"},
    {"user.max_user_namespaces", 1, any, verdict::bad, false,
     "without user namespaces a broker that is not root cannot give plugins a root, network or "
     "process tree of their own (profile no-userns is what is left)"},
}};

std::string file_of(std::string_view sysctl) {
  std::string path = "/proc/sys/" + std::string(sysctl);
  std::replace(path.begin() + 10, path.end(), '.', '/');
  return path;
}

std::string range_text(const setting& what) {
  if (what.least == what.most) return std::to_string(what.least);
  if (what.most == any) return fmt::format("{} or more", what.least);
  return fmt::format("{} to {}", what.least, what.most);
}

std::optional<std::int64_t> number_in(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

host_finding judge(const setting& what, const file_reader& read) {
  host_finding result{what.name, verdict::unknown, "not there", range_text(what), what.why, {}};
  const auto how = fmt::format("sysctl -w {}={}", what.name, what.least);
  const auto text = read(file_of(what.name));
  if (!text) {
    result.says = what.may_be_absent ? verdict::good : what.otherwise;
    if (!what.may_be_absent) result.how = "a kernel that has it";
    return result;
  }
  result.found = *text;
  const auto value = number_in(*text);
  if (!value) {
    result.how = how;
    return result;
  }
  result.says = *value >= what.least && *value <= what.most ? verdict::good : what.otherwise;
  if (result.says != verdict::good) result.how = how;
  return result;
}

/// Programs of 32 bits: a second door for system calls, with other numbers.
host_finding judge_ia32(const file_reader& read) {
  host_finding result{"ia32 emulation",
                      verdict::good,
                      "off",
                      "off",
                      "system calls of 32 bits are a second way into the kernel, which only the "
                      "filter's look at the architecture closes",
                      {}};
  const auto config = read("/proc/sys/abi/vsyscall32");
  const auto line = read("/proc/cmdline").value_or("");
  if (!config || line.find("ia32_emulation=0") != std::string::npos ||
      line.find("ia32_emulation=off") != std::string::npos)
    return result;
  result.says = verdict::weak;
  result.found = "on";
  result.how = "ia32_emulation=off on the kernel's command line";
  return result;
}

host_finding judge_core_pattern(const file_reader& read) {
  host_finding result{"kernel.core_pattern",
                      verdict::good,
                      "not there",
                      "core dumps that stay "
                      "with root",
                      "a core file holds the memory of the process, secrets and all; plugins and "
                      "the broker leave none, whatever this says",
                      {}};
  const auto text = read("/proc/sys/kernel/core_pattern");
  if (!text) return result;
  result.found = *text;
  if (!text->empty() && (*text)[0] == '|') return result;
  const auto suid = read("/proc/sys/fs/suid_dumpable").value_or("0");
  if (suid == "1") {
    result.says = verdict::bad;
    result.found += " (fs.suid_dumpable = 1)";
    result.how = "sysctl -w fs.suid_dumpable=0";
  }
  return result;
}

/// Of a device in /proc/swaps.
verdict judge_swap_device(std::string_view device) {
  if (device.starts_with("/dev/zram")) return verdict::good;
  const bool may_be_sealed = device.starts_with("/dev/dm-") || device.starts_with("/dev/mapper/");
  return may_be_sealed ? verdict::unknown : verdict::weak;
}

host_finding judge_swap(const file_reader& read) {
  host_finding result{"swap",
                      verdict::good,
                      "none",
                      "none, or encrypted",
                      "what is swapped out lies on a disk; keys are kept out of it, what plugins "
                      "store and callers send is not",
                      {}};
  const auto text = read("/proc/swaps");
  if (!text) {
    result.says = verdict::unknown;
    result.found = "not known";
    result.how = "mount /proc";
    return result;
  }
  // The worst counts. A machine may have several.
  const auto gravity = [](verdict of) {
    return of == verdict::weak ? 2 : of == verdict::unknown ? 1 : 0;
  };
  std::istringstream lines(*text);
  std::string line;
  std::getline(lines, line);  // of headings
  bool any_device = false;
  while (std::getline(lines, line)) {
    const auto device = line.substr(0, line.find_first_of(" \t"));
    const auto says = judge_swap_device(device);
    if (std::exchange(any_device, true) && gravity(says) <= gravity(result.says)) continue;
    result.says = says;
    result.found = device;
  }
  if (result.says != verdict::good) result.how = "swapoff, zram, or an encrypted swap device";
  return result;
}

host_finding judge_landlock(const file_reader& read) {
  host_finding result{"landlock",
                      verdict::good,
                      "on",
                      "on",
                      "it is the second wall around files, and the only one without namespaces",
                      {}};
  const auto modules = read("/sys/kernel/security/lsm");
  if (!modules) {
    result.says = verdict::unknown;
    result.found = "not known";
    result.how = "mount securityfs; the report of a confined mount says whether it stands";
  } else if (modules->find("landlock") == std::string::npos) {
    result.says = verdict::bad;
    result.found = "off";
    result.how = "lsm=landlock,... on the kernel's command line";
  }
  return result;
}

std::optional<std::string> read_host_file(const std::string& file) {
  std::ifstream in(file);
  if (!in) return std::nullopt;
  std::ostringstream content;
  content << in.rdbuf();
  auto text = content.str();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

host_finding broker_finding(const char* name, bool good, std::string found, std::string wanted,
                            const char* why) {
  return {name,
          good ? verdict::good : verdict::weak,
          std::move(found),
          std::move(wanted),
          why,
          good ? ""
               : "bulkheadd does it by itself unless it runs --unconfined; a service that "
                 "embeds the broker decides for itself"};
}

}  // namespace

std::vector<host_finding> judge_host(const file_reader& read) {
  std::vector<host_finding> findings;
  findings.reserve(settings.size() + 4);
  for (const auto& each : settings) findings.push_back(judge(each, read));
  findings.push_back(judge_landlock(read));
  findings.push_back(judge_ia32(read));
  findings.push_back(judge_core_pattern(read));
  findings.push_back(judge_swap(read));
  return findings;
}

std::vector<host_finding> look_at_host() {
  auto findings = judge_host(read_host_file);
  const bool dumpable = ::prctl(PR_GET_DUMPABLE) != 0;
  findings.push_back(broker_finding("broker: dumpable", !dumpable, dumpable ? "yes" : "no", "no",
                                    "others of its user could read its memory"));
  rlimit cores{};
  ::getrlimit(RLIMIT_CORE, &cores);
  findings.push_back(broker_finding("broker: core files", cores.rlim_cur == 0,
                                    cores.rlim_cur == 0 ? "none" : "allowed", "none",
                                    "a core file of the broker holds secrets of all mounts"));
  return findings;
}

}  // namespace bulkhead
