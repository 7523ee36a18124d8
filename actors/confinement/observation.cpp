// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/observation.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
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

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// ".../bulkhead-PID.RANDOM-N", as the launcher names the group of an instance; the broker's own
/// may begin alike.
bool is_group_of_instance(std::string_view group) {
  constexpr std::string_view prefix = "bulkhead-";
  const auto name = group.substr(group.rfind('/') + 1);
  if (!name.starts_with(prefix)) return false;
  const auto numbers = name.substr(prefix.size());
  const auto dot = numbers.find('.');
  const auto dash = numbers.find('-');
  return dot < dash && dash != std::string_view::npos && is_digits(numbers.substr(0, dot)) &&
         is_digits(numbers.substr(dot + 1, dash - dot - 1)) && is_digits(numbers.substr(dash + 1));
}

class comparison {
 public:
  comparison(const outside_view& view, const resource_limits& limits, confinement_report& report)
      : view_{view}, limits_{limits}, report_{report} {}

  std::optional<wall> compare() {
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
  void note(wall which, bool seen) {
    auto& entry = report_[which];
    if (entry.state != wall_state::enforced) return;
    entry.observed = seen;
    if (!seen && !contradicted_) contradicted_ = which;
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
    const auto pids = words_of(view_.status, "NSpid");
    const auto sessions = words_of(view_.status, "NSsid");
    if (!pids || pids->empty()) return;
    note(wall::pid_namespace, pids->size() > 1);
    if (sessions) note(wall::own_session, !sessions->empty() && sessions->back() == pids->back());
  }

  void compare_groups() {
    const auto unified = group_of("");
    note(wall::cgroup_kill, unified && is_group_of_instance(*unified));
    for (const auto& [which, controller] :
         {std::pair{wall::cgroup_memory, "memory"}, std::pair{wall::cgroup_tasks, "pids"},
          std::pair{wall::cgroup_cpu, "cpu"}}) {
      // Version 1 has the controller, or version 2 has all. Of version 1, who is about to end is
      // shown at the top: that says nothing.
      const auto old = group_of(controller);
      if (old != "/")
        note(which, old ? is_group_of_instance(*old) : unified && is_group_of_instance(*unified));
    }
  }

  /// Of a line such as "4:memory:/some/group" of version 1, or, without a controller,
  /// "0::/some/group" of version 2. Nothing when there is no such line.
  std::optional<std::string> group_of(std::string_view controller) const {
    std::istringstream lines{view_.groups};
    for (std::string line; std::getline(lines, line);) {
      const auto first = line.find(':'), second = line.find(':', first + 1);
      if (second == std::string::npos) continue;
      const auto names = "," + line.substr(first + 1, second - first - 1) + ",";
      const bool right = controller.empty()
                             ? names == ",,"
                             : names.find(fmt::format(",{},", controller)) != std::string::npos;
      if (right) return line.substr(second + 1);
    }
    return std::nullopt;
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

  bool limits_hold() const {
    const auto holds = [this](const char* name, std::uint64_t most) {
      return limited_to(view_.limits, name, most);
    };
    return holds("Max core file size", 0) && holds("Max locked memory", 0) &&
           holds("Max file size", limits_.file_bytes) &&
           (limits_.memory_bytes == 0 || holds("Max data size", limits_.memory_bytes)) &&
           (limits_.descriptors == 0 || holds("Max open files", limits_.descriptors));
  }

  const outside_view& view_;
  const resource_limits& limits_;
  confinement_report& report_;
  std::optional<std::uint64_t> uid_;
  std::optional<wall> contradicted_;
};

}  // namespace

outside_view look_at(pid_t process) {
  const auto path = fmt::format("/proc/{}/", process);
  outside_view view;
  // The owner first: who has ended by then has no memory in the status either.
  struct stat file {};
  if (::stat((path + "status").c_str(), &file) == 0) view.files_owner = file.st_uid;
  view.status = read_all(path + "status");
  view.limits = read_all(path + "limits");
  view.groups = read_all(path + "cgroup");
  const auto score = read_all(path + "oom_score_adj");
  if (!score.empty()) view.oom_score = std::atoi(score.c_str());
  return view;
}

std::optional<wall> hold_against(const outside_view& view, const resource_limits& limits,
                                 confinement_report& report) {
  return comparison{view, limits, report}.compare();
}

}  // namespace bulkhead
