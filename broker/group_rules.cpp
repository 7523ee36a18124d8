// SPDX-License-Identifier: Apache-2.0
#include "broker/group_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/mount_rules.hpp"

namespace bulkhead {
namespace {

using group_map = std::map<std::string, const group_spec*>;

bool is_name(const std::string& name) {
  const auto fits = [](char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '_';
  };
  return !name.empty() && name.size() <= group_name_bytes_max && name[0] != '-' && name[0] != '_' &&
         std::all_of(name.begin(), name.end(), fits);
}

std::string chain_text(const std::vector<std::string>& chain, const std::string& closing) {
  std::string text;
  for (const auto& each : chain) text += each + " -> ";
  return text + closing;
}

/// A path from `name` back to a group on it, by the edges `next`; empty when there is none.
template <class Next>
std::string find_cycle(const std::string& name, std::vector<std::string>& chain,
                       std::map<std::string, bool>& done, const Next& next) {
  if (done[name]) return {};
  const auto seen = std::find(chain.begin(), chain.end(), name);
  if (seen != chain.end()) return chain_text({seen, chain.end()}, name);
  chain.push_back(name);
  for (const auto& other : next(name))
    if (auto cycle = find_cycle(other, chain, done, next); !cycle.empty()) return cycle;
  chain.pop_back();
  done[name] = true;
  return {};
}

std::string check_alone(const group_spec& group, const group_map& known) {
  if (!is_name(group.name))
    return fmt::format("a group's name is [a-z0-9][a-z0-9_-]*, at most {} bytes",
                       group_name_bytes_max);
  if (group.strategy > group_strategy::rest_for_one)
    return fmt::format("the strategy of group '{}' is unknown", group.name);
  if (auto wrong = supervision_problem(group.supervision); !wrong.empty())
    return fmt::format("group '{}': {}", group.name, wrong);
  if (!group.parent.empty() && !known.contains(group.parent))
    return fmt::format("group '{}' has the parent '{}', which is not configured", group.name,
                       group.parent);
  for (const auto& other : group.after) {
    const auto found = known.find(other);
    if (found == known.end())
      return fmt::format("group '{}' is after '{}', which is not configured", group.name, other);
    if (found->second->parent != group.parent)
      return fmt::format("group '{}' is after '{}', which has another parent", group.name, other);
  }
  return {};
}

std::size_t depth_of(const group_spec* group, const group_map& known) {
  std::size_t depth = 1;
  for (; !group->parent.empty(); group = known.at(group->parent)) ++depth;
  return depth;
}

}  // namespace

group_problem check_groups(const std::vector<group_spec>& groups) {
  if (groups.size() > groups_max)
    return {{},
            fmt::format("{} groups are configured, the limit is {} (groups_max)", groups.size(),
                        groups_max)};
  group_map known;
  for (const auto& each : groups)
    if (!known.emplace(each.name, &each).second)
      return {each.name, fmt::format("group '{}' is configured twice", each.name)};
  for (const auto& each : groups)
    if (auto wrong = check_alone(each, known); !wrong.empty()) return {each.name, wrong};
  const auto parent = [&known](const std::string& name) {
    const auto& above = known.at(name)->parent;
    return above.empty() ? std::vector<std::string>{} : std::vector<std::string>{above};
  };
  const auto before = [&known](const std::string& name) { return known.at(name)->after; };
  std::map<std::string, bool> no_parent_cycle;
  std::map<std::string, bool> no_cycle;
  for (const auto& each : groups) {
    std::vector<std::string> chain;
    if (auto cycle = find_cycle(each.name, chain, no_parent_cycle, parent); !cycle.empty())
      return {each.name, fmt::format("group '{}' is part of itself: {}", each.name, cycle)};
    chain.clear();
    if (auto cycle = find_cycle(each.name, chain, no_cycle, before); !cycle.empty())
      return {each.name, fmt::format("group '{}' waits for itself: {}", each.name, cycle)};
  }
  for (const auto& each : groups)
    if (depth_of(&each, known) > group_depth_max)
      return {each.name, fmt::format("group '{}' has more than {} groups above it "
                                     "(group_depth_max)",
                                     each.name, group_depth_max - 1)};
  return {};
}

std::string to_string(group_strategy strategy) {
  switch (strategy) {
    case group_strategy::one_for_one:
      return "one_for_one";
    case group_strategy::one_for_all:
      return "one_for_all";
    case group_strategy::rest_for_one:
      return "rest_for_one";
  }
  return "unknown";
}

}  // namespace bulkhead
