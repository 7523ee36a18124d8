// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/resolution.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "broker/trust/manifest.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

using outcome = resolution::outcome;
using line_entry = plugin_lines::value_type;

resolution refused(outcome how, std::string what, std::string why, std::string remedy) {
  return {how, nullptr, std::move(what), std::move(why), std::move(remedy)};
}

std::vector<const line_entry*> lines_of(const plugin_lines& lines, const release_wish& wish) {
  std::vector<const line_entry*> result;
  const auto look = [&](std::string_view kind) {
    const auto line = lines.find({std::string(kind), wish.name});
    if (line != lines.end() && !line->second.empty()) result.push_back(&*line);
  };
  if (!wish.kind.empty())
    look(wish.kind);
  else
    for (const auto kind : trust::plugin_kinds()) look(kind);
  return result;
}

resolution unknown(const release_wish& wish) {
  const auto name = wire::escape_line(wish.name);
  return refused(outcome::unknown,
                 wish.kind.empty() ? fmt::format("there is no plugin '{}'", name)
                                   : fmt::format("there is no plugin '{}/{}'",
                                                 wire::escape_line(wish.kind), name),
                 "the catalog has no release of it",
                 fmt::format("bulkhead plugin register {}   |   bulkhead plugin list", name));
}

resolution ambiguous(const std::vector<const line_entry*>& lines, const release_wish& wish) {
  std::string kinds;
  for (const auto* line : lines)
    kinds += fmt::format("{}{}/{}", kinds.empty() ? "" : ", ", line->first.first, wish.name);
  return refused(outcome::ambiguous, fmt::format("'{}' is the name of several plugins", wish.name),
                 fmt::format("the catalog has {}", kinds), "name it with its kind");
}

resolution damaged_record(const std::string& name, const std::string& version,
                          const std::string& reason) {
  const auto shown = wire::escape_line(version);
  return refused(
      outcome::damaged, fmt::format("{}@{} cannot be used", name, shown), reason,
      fmt::format("bulkhead plugin deregister {}@{}, and register it anew", name, shown));
}

}  // namespace

std::shared_ptr<const release> plugin_line::find(const std::string& version) const {
  const auto parsed = trust::parse_version(version);
  if (!parsed) return nullptr;
  const auto found = releases.find(*parsed);
  return found == releases.end() ? nullptr : found->second;
}

std::shared_ptr<const release> plugin_line::highest() const {
  const auto stable = std::find_if(releases.rbegin(), releases.rend(),
                                   [](const auto& each) { return each.first.stable(); });
  if (stable != releases.rend()) return stable->second;
  return releases.empty() ? nullptr : releases.rbegin()->second;
}

resolution resolve(const plugin_lines& lines, const release_wish& wish) {
  const auto known = lines_of(lines, wish);
  if (known.empty()) return unknown(wish);
  if (known.size() > 1) return ambiguous(known, wish);
  const auto& [id, line] = *known.front();
  const auto name = fmt::format("{}/{}", id.first, id.second);
  const auto& version = line.pin.empty() ? wish.version : line.pin;
  if (auto chosen = version.empty() ? line.highest() : line.find(version))
    return {outcome::found, std::move(chosen), {}, {}, {}};
  const auto asked_by =
      line.pin.empty() ? "it is the version that was asked for" : "it is the pinned version";
  if (const auto damaged = version.empty() ? line.damaged.begin() : line.damaged.find(version);
      damaged != line.damaged.end())
    return damaged_record(name, damaged->first, damaged->second);
  return refused(outcome::missing,
                 fmt::format("there is no release {}@{}", name, wire::escape_line(version)),
                 fmt::format("{}, and the catalog does not hold it", asked_by),
                 fmt::format("bulkhead plugin list {}", name));
}

resolution resolve_kept(const plugin_lines& lines, const release_id& id) {
  const auto line = lines.find({id.kind, id.name});
  if (line == lines.end()) return {outcome::missing, nullptr, {}, {}, {}};
  if (auto kept = line->second.find(id.version))
    return {outcome::found, std::move(kept), {}, {}, {}};
  const auto damaged = line->second.damaged.find(id.version);
  if (damaged == line->second.damaged.end()) return {outcome::missing, nullptr, {}, {}, {}};
  return damaged_record(fmt::format("{}/{}", id.kind, id.name), id.version, damaged->second);
}

}  // namespace bulkhead
