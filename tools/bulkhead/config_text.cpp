// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/config_text.hpp"

#include <fmt/format.h>

#include "tools/bulkhead/release_text.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

std::string plugin_of(schema::MountStatus::Reader mount) {
  return fmt::format("{}{}{}{}{}", mount.getKind().cStr(), mount.getKind().size() == 0 ? "" : "/",
                     mount.getPlugin().cStr(), mount.getVersion().size() == 0 ? "" : "@",
                     mount.getVersion().cStr());
}

}  // namespace

std::string changes_text(capnp::List<schema::ConfigChange>::Reader changes, bool done,
                         bool colour) {
  table rows({"CHANGE", "TARGET", "WHAT", done ? "OUTCOME" : "PROBLEM"});
  for (auto each : changes) {
    const bool only_told = each.getAction() == "keep" || each.getAction() == "configure";
    const bool was_done = done && !only_told && each.getProblem().size() == 0;
    rows.add({each.getAction().cStr(), each.getTarget().cStr(), each.getDetail().cStr(),
              was_done ? "done" : each.getProblem().cStr()});
  }
  return rows.render(colour);
}

std::string declared_text(capnp::List<schema::Release>::Reader releases,
                          capnp::List<schema::MountStatus>::Reader mounts, bool colour) {
  table rows({"DECLARED", "TARGET", "WHAT"});
  for (auto each : releases)
    if (each.getDeclared())
      rows.add(
          {"release", release_title(each), fmt::format("command {}", each.getCommand().cStr())});
  for (auto each : releases)
    if (each.getPinDeclared())
      rows.add({"pin", fmt::format("{}/{}", each.getKind().cStr(), each.getName().cStr()),
                fmt::format("version {}", each.getVersion().cStr())});
  for (auto each : mounts)
    if (each.getDeclared())
      rows.add({"mount", each.getPath().cStr(), fmt::format("plugin {}", plugin_of(each))});
  return rows.empty() ? std::string() : rows.render(colour);
}

}  // namespace bulkhead::cli
