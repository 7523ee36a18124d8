// SPDX-License-Identifier: Apache-2.0
#include "broker/host_posture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "actors/confinement/confinement.hpp"
#include "actors/unique_fd.hpp"

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
  int since = 0;  // the version that brought the switch, which is younger than what it restricts
  const char* or_else = "";  // another way than to set it
};

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();

/// As in 6006 for 6.6.
constexpr int version_number(int major, int minor) {
  return major * 1000 + minor;
}

/// Of a distribution's own switches, which leave root alone.
constexpr const char* needs_user_namespaces =
    "a broker that is not root, and never was, cannot confine by strict-unprivileged without user "
    "namespaces; any other does not need this";

constexpr std::array<setting, 10> settings{{
    {"kernel.io_uring_disabled", 2, 2, verdict::weak, true,
     "io_uring is a large way into the kernel, and only the system call filter keeps plugins from "
     "it",
     version_number(6, 6)},
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
    {"kernel.unprivileged_userns_clone", 1, 1, verdict::weak, true, needs_user_namespaces},
    {"kernel.apparmor_restrict_unprivileged_userns", 0, 0, verdict::weak, true,
     needs_user_namespaces, 0,
     ", or an AppArmor profile that allows the launcher to make user namespaces"},
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

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// -- What a file says, or why it does not ------------------------------------------------------

struct sight {
  enum class kind : std::uint8_t { there, absent, hidden };
  kind what = kind::there;
  std::string text;  // without the newline at its end; of what is hidden: how
};

std::string errno_name(int number) {
  const char* const name = ::strerrorname_np(number);
  return name != nullptr ? name : std::to_string(number);
}

/// A file beside `file` that every kernel has. Empty: none is known.
std::string neighbour_of(std::string_view file) {
  constexpr std::array<std::pair<std::string_view, const char*>, 5> known{{
      {"/proc/sys/kernel/", "/proc/sys/kernel/osrelease"},
      {"/proc/sys/vm/", "/proc/sys/vm/overcommit_memory"},
      {"/proc/sys/user/", "/proc/sys/user/max_pid_namespaces"},
      {"/proc/sys/fs/", "/proc/sys/fs/file-max"},
      {"/proc/sys/", "/proc/sys/kernel/osrelease"},
  }};
  for (const auto& [folder, neighbour] : known)
    if (file.starts_with(folder)) return neighbour;
  return {};
}

sight look_at(const std::string& file, const file_reader& read) {
  auto found = read(file);
  if (found.error_number == 0) {
    // No file of the kernel's is without even a newline, but for the null device in its place.
    if (found.text.empty()) return {sight::kind::hidden, "masked: an empty file is in its place"};
    while (!found.text.empty() && found.text.back() == '\n') found.text.pop_back();
    return {sight::kind::there, std::move(found.text)};
  }
  if (found.error_number != ENOENT && found.error_number != ENOTDIR)
    return {sight::kind::hidden,
            fmt::format("cannot be read ({})", errno_name(found.error_number))};
  const auto neighbour = neighbour_of(file);
  if (neighbour.empty()) return {sight::kind::absent, "not there"};
  const auto beside = read(neighbour);
  if (beside.error_number == 0 && !beside.text.empty()) return {sight::kind::absent, "not there"};
  return {sight::kind::hidden, fmt::format("hidden: {} is not there either", neighbour)};
}

void cannot_tell(host_finding& result, std::string found, std::string how) {
  result.says = verdict::unknown;
  result.found = std::move(found);
  result.how = std::move(how);
}

const char* const from_outside = "look from outside of the container, or as a user who may read it";

/// Of "6.1.0-18-amd64". 0: not known.
int running_version(const file_reader& read) {
  const auto release = look_at("/proc/sys/kernel/osrelease", read);
  if (release.what != sight::kind::there) return 0;
  const auto dot = release.text.find('.');
  if (dot == std::string::npos) return 0;
  const auto end = release.text.find_first_not_of("0123456789", dot + 1);
  const std::string_view text = release.text;
  const auto major = number_in(text.substr(0, dot));
  const auto minor = number_in(text.substr(dot + 1, end - dot - 1));
  return major && minor ? version_number(static_cast<int>(*major), static_cast<int>(*minor)) : 0;
}

void judge_absent(const setting& what, const file_reader& read, host_finding& result) {
  if (!what.may_be_absent) {
    result.says = what.otherwise;
    result.how = "a kernel that has it";
  } else if (running_version(read) < what.since) {
    const auto since = fmt::format("Linux {}.{}", what.since / 1000, what.since % 1000);
    cannot_tell(result, fmt::format("not there: the switch came with {}", since),
                fmt::format("a kernel from {} on, or one without what it restricts", since));
  } else {
    result.says = verdict::good;
  }
}

// -- The findings ------------------------------------------------------------------------------

host_finding judge(const setting& what, const file_reader& read) {
  host_finding result{what.name, verdict::unknown, {}, range_text(what), what.why, {}};
  const auto seen = look_at(file_of(what.name), read);
  result.found = seen.text;
  if (seen.what == sight::kind::hidden) {
    result.how = from_outside;
  } else if (seen.what == sight::kind::absent) {
    judge_absent(what, read, result);
  } else {
    const auto value = number_in(seen.text);
    if (value)
      result.says = *value >= what.least && *value <= what.most ? verdict::good : what.otherwise;
    if (result.says != verdict::good)
      result.how = fmt::format("sysctl -w {}={}{}", what.name, what.least, what.or_else);
  }
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
  const auto config = look_at("/proc/sys/abi/vsyscall32", read);
  if (config.what == sight::kind::absent) return result;
  const auto line = look_at("/proc/cmdline", read);
  if (config.what == sight::kind::hidden || line.what != sight::kind::there) {
    cannot_tell(result, config.what == sight::kind::hidden ? config.text : line.text, from_outside);
    return result;
  }
  if (line.text.find("ia32_emulation=0") != std::string::npos ||
      line.text.find("ia32_emulation=off") != std::string::npos)
    return result;
  result.says = verdict::weak;
  result.found = "on";
  result.how = "ia32_emulation=off on the kernel's command line";
  return result;
}

host_finding judge_core_pattern(const file_reader& read) {
  host_finding result{"kernel.core_pattern",
                      verdict::good,
                      {},
                      "core dumps that stay "
                      "with root",
                      "a core file holds the memory of the process, secrets and all; plugins and "
                      "the broker leave none, whatever this says",
                      {}};
  const auto pattern = look_at("/proc/sys/kernel/core_pattern", read);
  result.found = pattern.text;
  if (pattern.what == sight::kind::hidden) cannot_tell(result, pattern.text, from_outside);
  if (pattern.what != sight::kind::there || pattern.text.starts_with('|')) return result;
  const auto others = look_at("/proc/sys/fs/suid_dumpable", read);
  if (others.what == sight::kind::hidden) {
    cannot_tell(result, fmt::format("{} (fs.suid_dumpable {})", pattern.text, others.text),
                from_outside);
  } else if (others.text == "1") {
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
  const auto table = look_at("/proc/swaps", read);
  if (table.what != sight::kind::there) {
    cannot_tell(result, table.text, from_outside);
    return result;
  }
  // The worst counts. A machine may have several.
  const auto gravity = [](verdict of) {
    return of == verdict::weak ? 2 : of == verdict::unknown ? 1 : 0;
  };
  std::istringstream lines(table.text);
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
  const auto modules = look_at("/sys/kernel/security/lsm", read);
  if (modules.what != sight::kind::there) {
    cannot_tell(result, modules.text,
                "mount securityfs; the report of a confined mount says whether it stands");
  } else if (modules.text.find("landlock") == std::string::npos) {
    result.says = verdict::bad;
    result.found = "off";
    result.how = "lsm=landlock,... on the kernel's command line";
  }
  return result;
}

void add_name(std::string& to, const std::string& name) {
  to += (to.empty() ? "" : ", ") + name;
}

/// What the kernel says of the known faults of the processor: a file for each.
host_finding judge_processor(const file_reader& read) {
  const std::string folder = "/sys/devices/system/cpu/vulnerabilities/";
  host_finding result{"cpu vulnerabilities",
                      verdict::good,
                      "none is open",
                      "none that is open",
                      "what a processor tells by its timing goes through every wall between "
                      "processes",
                      {}};
  const auto names = look_at(folder, read);
  if (names.what != sight::kind::there) {
    cannot_tell(result, names.text, from_outside);
    return result;
  }
  std::string open;
  std::string untold;
  std::istringstream lines(names.text);
  for (std::string name; std::getline(lines, name);) {
    const auto seen = look_at(folder + name, read);
    if (seen.what != sight::kind::there || seen.text.starts_with("Unknown"))
      add_name(untold, name);
    else if (seen.text.starts_with("Vulnerable"))
      add_name(open, name);
  }
  if (!open.empty()) {
    result.says = verdict::weak;
    result.found = open;
    result.how = "newer microcode, a newer kernel, and no mitigations=off on its command line";
  } else if (!untold.empty()) {
    cannot_tell(result, "not told of " + untold, "ask who runs the machine beneath this one");
  }
  return result;
}

/// As the files beneath it are read: `file_reader` says how.
host_file list_host_directory(const std::string& directory) {
  std::error_code error;
  std::set<std::string> names;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error))
    names.insert(at->path().filename());
  if (error) return {{}, error.value()};
  host_file found;
  for (const auto& each : names) found.text += each + "\n";
  return found;
}

host_file read_host_file(const std::string& file) {
  if (file.ends_with('/')) return list_host_directory(file);
  const unique_fd from{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!from) return {{}, errno};
  host_file found;
  std::array<char, 4096> part{};
  for (;;) {
    const auto got = ::read(from.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {{}, errno};
    if (got == 0) return found;
    found.text.append(part.data(), static_cast<std::size_t>(got));
  }
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
  findings.reserve(settings.size() + 5);
  for (const auto& each : settings) findings.push_back(judge(each, read));
  findings.push_back(judge_landlock(read));
  findings.push_back(judge_ia32(read));
  findings.push_back(judge_processor(read));
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
  findings.push_back(broker_finding("broker: core files", cores.rlim_cur <= no_core_bytes,
                                    cores.rlim_cur <= no_core_bytes ? "none" : "allowed", "none",
                                    "a core file of the broker holds secrets of all mounts"));
  return findings;
}

}  // namespace bulkhead
