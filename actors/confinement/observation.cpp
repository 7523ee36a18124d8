// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/observation.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <vector>

namespace bulkhead {
namespace {

constexpr int expected_oom_score = 800;
// The modes of a process with a filter; the second when it has killed it, which it may have by now.
constexpr int filtered = 2;
constexpr int killed_by_filter = 3;

std::string read_all(const std::string& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The words behind "key:" in a line of its own; nothing when there is no such line.
std::optional<std::vector<std::string>> words_of(const std::string& text, const std::string& key) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream rest{line.substr(key.size() + 1)};
    std::vector<std::string> words;
    for (std::string word; rest >> word;) words.push_back(word);
    return words;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_of(const std::string& text, int base = 10) {
  std::uint64_t number = 0;
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

/// The soft and the hard limit of a line such as "Max core file size   0   0   bytes".
bool limited_to(const std::string& limits, const std::string& name, std::uint64_t most) {
  std::istringstream lines{limits};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream rest{line.substr(name.size())};
    std::string soft, hard;
    rest >> soft >> hard;
    const auto now = number_of(soft), never_above = number_of(hard);
    return now && never_above && *now <= most && *never_above <= most;
  }
  return false;
}

/// The words, with a blank between, are one of these.
bool one_of(const std::vector<std::string>& words, std::initializer_list<std::string_view> list) {
  const auto text = fmt::format("{}", fmt::join(words, " "));
  return std::find(list.begin(), list.end(), text) != list.end();
}

class comparison {
 public:
  comparison(const outside_view& view, const resource_limits& limits, confinement_report& report)
      : view_{view},
        limits_{limits},
        report_{report},
        counts_tasks_{stands(wall::user_namespace) || stands(wall::own_uid)},
        groups_tasks_{stands(wall::cgroup_tasks)},
        counts_space_{!stands(wall::cgroup_memory) && report.of != profile::interpreter} {}

  wall_set compare() {
    if (!view_.status.empty()) compare_status();
    // Root's files are root's either way, and those of one that has ended say nothing.
    if (view_.files_owner && uid_ && *uid_ != 0 && words_of(view_.status, "VmSize"))
      note(wall::not_dumpable, *view_.files_owner != *uid_);
    if (view_.oom_score) note(wall::oom_first, *view_.oom_score == expected_oom_score);
    if (!view_.groups.empty()) compare_groups();
    if (!view_.limits.empty()) note(wall::resource_limits, limits_hold());
    return contradicted_;
  }

 private:
  bool stands(wall which) const { return report_[which].state == wall_state::enforced; }

  /// As the launcher does of a namespace that is not the child's own.
  void note(wall which, bool seen) {
    if (!stands(which)) return;
    auto& entry = report_[which];
    entry.observed = seen;
    if (seen) return;
    entry.state = wall_state::failed;
    entry.error_number = ENOTRECOVERABLE;
    contradicted_.set(index_of(which));
  }

  void compare_status() {
    note(wall::no_new_privileges, is("NoNewPrivs", 1));
    note(wall::seccomp, is("Seccomp", filtered) || is("Seccomp", killed_by_filter));
    note(wall::no_capabilities, capabilities_are_gone());
    const auto uids = words_of(view_.status, "Uid");
    if (uids && !uids->empty()) {
      uid_ = number_of(uids->front());
      const auto wanted = std::to_string(report_[wall::own_uid].value);
      note(wall::own_uid, std::all_of(uids->begin(), uids->end(),
                                      [&](const auto& each) { return each == wanted; }));
    }
    const auto groups = words_of(view_.status, "Groups");
    if (groups) note(wall::no_groups, groups->empty());
    compare_speculation();
    const auto pids = words_of(view_.status, "NSpid");
    const auto sessions = words_of(view_.status, "NSsid");
    if (!pids || pids->empty()) return;
    note(wall::pid_namespace, pids->size() > 1);
    if (sessions) note(wall::own_session, !sessions->empty() && sessions->back() == pids->back());
  }

  /// Kernels say it since 4.17 and 5.10.
  void compare_speculation() {
    const auto store = words_of(view_.status, "Speculation_Store_Bypass");
    const auto branch = words_of(view_.status, "SpeculationIndirectBranch");
    if (!store || !branch) return;
    // For good, or everywhere, or no matter on this processor.
    note(wall::speculation,
         one_of(*store, {"thread force mitigated", "globally mitigated", "not vulnerable"}) &&
             one_of(*branch, {"conditional force disabled", "always disabled", "not affected"}));
  }

  void compare_groups() {
    const auto unified = group_of(view_.groups, "");
    note(wall::cgroup_kill, unified && is_group_of_instance(*unified));
    compare_group(wall::cgroup_memory, "memory", memory_holds());
    compare_group(wall::cgroup_tasks, "pids",
                  at_most(view_.in_groups.tasks, limits_.tasks, limits_.tasks + 1ULL));
    compare_group(wall::cgroup_cpu, "cpu", cpu_holds());
    const auto& io = view_.in_groups.io_weight;
    compare_group(wall::cgroup_io, "blkio",
                  io ? std::optional{*io == limits_.io_weight} : std::nullopt);
  }

  /// Version 1 has the controller, or version 2 has all. Of version 1, who is about to end is shown
  /// at the top: that says nothing.
  void compare_group(wall which, std::string_view controller, std::optional<bool> limited) {
    auto group = group_of(view_.groups, controller);
    if (group == "/") return;
    if (!group) group = group_of(view_.groups, "");
    const bool own = group && is_group_of_instance(*group);
    if (!own || limited) note(which, own && *limited);
  }

  /// A limit that was asked for, and what is there of it, which may be less. Nothing: not to be
  /// read.
  static std::optional<bool> at_most(std::optional<std::uint64_t> found, std::uint64_t asked,
                                     std::uint64_t most) {
    if (asked == 0) return true;
    if (!found) return std::nullopt;
    return *found <= most;
  }

  std::optional<bool> memory_holds() const {
    const auto& in = view_.in_groups;
    const auto memory = at_most(in.memory_bytes, limits_.memory_bytes, limits_.memory_bytes);
    if (!memory || !*memory || !in.memory_and_swap_bytes) return memory;  // swap may be uncounted
    return at_most(in.memory_and_swap_bytes, limits_.memory_bytes,
                   limits_.memory_bytes + limits_.swap_bytes);
  }

  std::optional<bool> cpu_holds() const {
    const auto& in = view_.in_groups;
    constexpr std::uint64_t shares_of_100 = 1024, shares_min = 2;
    const auto shares =
        std::max(shares_min, std::uint64_t{limits_.cpu_weight} * shares_of_100 / 100);
    if (in.cpu_weight && *in.cpu_weight != limits_.cpu_weight) return false;
    if (in.cpu_shares && *in.cpu_shares != shares) return false;
    if (!in.cpu_weight && !in.cpu_shares) return std::nullopt;
    if (!in.cpu_period_us) return at_most(std::nullopt, limits_.cpu_percent, 0);
    return at_most(in.cpu_quota_us, limits_.cpu_percent,
                   *in.cpu_period_us * limits_.cpu_percent / 100);
  }

  bool is(const std::string& key, std::uint64_t wanted) const {
    const auto words = words_of(view_.status, key);
    return words && words->size() == 1 && number_of(words->front()) == wanted;
  }

  bool no_bits(const std::string& key) const {
    const auto words = words_of(view_.status, key);
    return words && words->size() == 1 && number_of(words->front(), 16) == 0U;
  }

  bool capabilities_are_gone() const {
    const bool bounded = no_bits("CapBnd") || report_[wall::no_capabilities].value != 0;
    return bounded && no_bits("CapInh") && no_bits("CapPrm") && no_bits("CapEff") &&
           no_bits("CapAmb");
  }

  /// All that the launcher sets (actors/launcher/walls.cpp).
  bool limits_hold() const {
    constexpr std::uint64_t realtime_us = 100'000;
    struct line {
      const char* name;
      bool set;
      std::uint64_t most;
    };
    const std::array<line, 14> lines{{
        {"Max core file size", true, no_core_bytes},
        {"Max locked memory", true, 0},
        {"Max msgqueue size", true, 0},
        {"Max file locks", true, 0},
        {"Max nice priority", true, 0},
        {"Max realtime priority", true, 0},
        {"Max realtime timeout", true, realtime_us},
        {"Max file size", true, limits_.file_bytes},
        {"Max data size", limits_.memory_bytes != 0, limits_.memory_bytes},
        {"Max address space", counts_space_ && limits_.memory_bytes != 0,
         address_space_bytes(limits_)},
        {"Max stack size", limits_.stack_bytes != 0, limits_.stack_bytes},
        {"Max processes", counts_tasks_ && limits_.tasks != 0,
         processes_max(limits_, groups_tasks_)},
        {"Max open files", limits_.descriptors != 0, limits_.descriptors},
        {"Max pending signals", limits_.pending_signals != 0, limits_.pending_signals},
    }};
    return std::all_of(lines.begin(), lines.end(), [this](const line& each) {
      return !each.set || limited_to(view_.limits, each.name, each.most);
    });
  }

  const outside_view& view_;
  const resource_limits& limits_;
  confinement_report& report_;
  bool counts_tasks_;  // where the limit of a user's tasks would count others', it is not set
  bool groups_tasks_;  // and the limit of the process is above that of the group
  bool counts_space_;  // where a group counts its memory, or it reserves much, it is not limited
  std::optional<std::uint64_t> uid_;
  wall_set contradicted_;
};

}  // namespace

outside_view look_at(pid_t process) {
  // Where the trees are mounted does not change.
  static const auto mounts = read_all("/proc/self/mountinfo");
  const auto path = fmt::format("/proc/{}/", process);
  outside_view view;
  // The owner first: who has ended by then has no memory in the status either.
  struct stat file {};
  if (::stat((path + "status").c_str(), &file) == 0) view.files_owner = file.st_uid;
  view.status = read_all(path + "status");
  view.limits = read_all(path + "limits");
  view.groups = read_all(path + "cgroup");
  view.in_groups = read_group_limits(view.groups, mounts);
  const auto score = read_all(path + "oom_score_adj");
  if (!score.empty()) view.oom_score = std::atoi(score.c_str());
  return view;
}

wall_set hold_against(const outside_view& view, const resource_limits& limits,
                      confinement_report& report) {
  return comparison{view, limits, report}.compare();
}

}  // namespace bulkhead
