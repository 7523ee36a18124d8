// SPDX-License-Identifier: Apache-2.0
#include "actors/dependency_levels.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace bulkhead {
namespace {

using positions = std::vector<std::size_t>;

/// For each spec the positions of those that it names.
std::vector<positions> named_by(const std::vector<child_spec>& specs) {
  std::unordered_map<std::string_view, std::size_t> position;
  for (std::size_t i = 0; i < specs.size(); ++i) position.emplace(specs[i].id, i);
  std::vector<positions> named(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (const auto& name : specs[i].after) {
      const auto found = position.find(name);
      if (found != position.end()) named[i].push_back(found->second);
    }
  }
  return named;
}

/// Follows names that are still waited for until one comes twice: there always is one, because who
/// has no place waits for somebody who has none.
std::vector<std::string> find_cycle(const std::vector<child_spec>& specs,
                                    const std::vector<positions>& named, const positions& waiting) {
  std::size_t at = 0;
  while (waiting[at] == 0) ++at;
  positions path;
  positions step(specs.size(), specs.size());  // where in the path each was met
  while (step[at] == specs.size()) {
    step[at] = path.size();
    path.push_back(at);
    at = *std::find_if(named[at].begin(), named[at].end(),
                       [&](std::size_t other) { return waiting[other] > 0; });
  }
  std::vector<std::string> cycle;
  for (auto i = step[at]; i < path.size(); ++i) cycle.push_back(specs[path[i]].id);
  return cycle;
}

}  // namespace

dependency_levels levels_of(const std::vector<child_spec>& specs) {
  const auto named = named_by(specs);
  std::vector<positions> namers(specs.size());
  positions waiting(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    waiting[i] = named[i].size();
    for (const auto other : named[i]) namers[other].push_back(i);
  }
  positions placed;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (waiting[i] == 0) placed.push_back(i);
  }
  dependency_levels result;
  result.levels.assign(specs.size(), 0);
  for (std::size_t next = 0; next < placed.size(); ++next) {
    for (const auto namer : namers[placed[next]]) {
      auto& level = result.levels[namer];
      level = std::max(level, result.levels[placed[next]] + 1);
      if (--waiting[namer] == 0) placed.push_back(namer);
    }
  }
  if (placed.size() < specs.size()) {
    result.levels.clear();
    result.cycle = find_cycle(specs, named, waiting);
  }
  return result;
}

}  // namespace bulkhead
