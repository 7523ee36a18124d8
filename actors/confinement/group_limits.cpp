// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/group_limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <vector>

namespace bulkhead {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool lists(std::string_view names, std::string_view name) {
  return fmt::format(",{},", names).find(fmt::format(",{},", name)) != std::string::npos;
}

struct mount_point {
  std::string root;   // which group is mounted there
  std::string place;  // where
};

/// Of an empty controller: the tree of version 2.
std::optional<mount_point> mount_of(const std::string& mountinfo, std::string_view controller) {
  std::istringstream lines{mountinfo};
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream first{line}, second{line.substr(dash + 3)};
    std::string ignored, type, options;
    mount_point found;
    first >> ignored >> ignored >> ignored >> found.root >> found.place;
    second >> type >> ignored >> options;
    const bool right =
        controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(options, controller);
    if (right) return found;
  }
  return std::nullopt;
}

/// The words of a file; none when it cannot be read.
std::vector<std::string> words_in(const std::string& directory, const char* name) {
  std::vector<std::string> words;
  if (directory.empty()) return words;
  std::ifstream file{fmt::format("{}/{}", directory, name)};
  for (std::string word; file >> word;) words.push_back(word);
  return words;
}

std::optional<std::uint64_t> number_in(const std::vector<std::string>& words, std::size_t which) {
  if (which >= words.size()) return std::nullopt;
  const auto& word = words[which];
  if (word == "max" || word == "-1") return unlimited;
  std::uint64_t number = 0;
  const auto* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> number_in(const std::string& directory, const char* name) {
  return number_in(words_in(directory, name), 0);
}

std::optional<std::uint64_t> sum_of(std::optional<std::uint64_t> one,
                                    std::optional<std::uint64_t> other) {
  if (!one || !other) return std::nullopt;
  return *one > unlimited - *other ? unlimited : *one + *other;
}

}  // namespace

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

std::optional<std::string> group_of(const std::string& proc_cgroup, std::string_view controller) {
  std::istringstream lines{proc_cgroup};
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto names = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? names.empty() : lists(names, controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

group_directory directory_of(const std::string& proc_cgroup, const std::string& mountinfo,
                             std::string_view controller) {
  auto group = group_of(proc_cgroup, controller);
  const bool unified = !group;
  if (unified) group = group_of(proc_cgroup, "");
  if (!group || !is_group_of_instance(*group)) return {};
  group_directory found{{}, unified, true};
  const auto mounted = mount_of(mountinfo, unified ? "" : controller);
  if (!mounted) return found;
  // Only a part of the tree may be mounted, as in a container.
  if (mounted->root == "/")
    found.path = mounted->place + *group;
  else if (group->starts_with(mounted->root + "/"))
    found.path = mounted->place + group->substr(mounted->root.size());
  return found;
}

namespace {

std::optional<std::uint64_t> io_weight_of(const std::string& proc_cgroup,
                                          const std::string& mountinfo) {
  const auto old = directory_of(proc_cgroup, mountinfo, "blkio");
  if (!old.unified) return number_in(old.path, "blkio.bfq.weight");
  // "default 100", and lines of devices that have another.
  for (const auto* const file : {"io.weight", "io.bfq.weight"})
    if (const auto words = words_in(old.path, file); !words.empty()) return number_in(words, 1);
  return std::nullopt;
}

}  // namespace

group_limits read_group_limits(const std::string& proc_cgroup, const std::string& mountinfo) {
  group_limits found;
  const auto memory = directory_of(proc_cgroup, mountinfo, "memory");
  if (memory.unified) {
    found.memory_bytes = number_in(memory.path, "memory.max");
    found.memory_and_swap_bytes =
        sum_of(found.memory_bytes, number_in(memory.path, "memory.swap.max"));
  } else {
    found.memory_bytes = number_in(memory.path, "memory.limit_in_bytes");
    found.memory_and_swap_bytes = number_in(memory.path, "memory.memsw.limit_in_bytes");
  }
  found.tasks = number_in(directory_of(proc_cgroup, mountinfo, "pids").path, "pids.max");
  const auto cpu = directory_of(proc_cgroup, mountinfo, "cpu");
  if (cpu.unified) {
    const auto words = words_in(cpu.path, "cpu.max");
    found.cpu_quota_us = number_in(words, 0);
    found.cpu_period_us = number_in(words, 1);
    found.cpu_weight = number_in(cpu.path, "cpu.weight");
  } else {
    found.cpu_quota_us = number_in(cpu.path, "cpu.cfs_quota_us");
    found.cpu_period_us = number_in(cpu.path, "cpu.cfs_period_us");
    found.cpu_shares = number_in(cpu.path, "cpu.shares");
  }
  found.io_weight = io_weight_of(proc_cgroup, mountinfo);
  return found;
}

}  // namespace bulkhead
