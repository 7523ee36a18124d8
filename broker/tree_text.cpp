// SPDX-License-Identifier: Apache-2.0
#include "broker/tree_text.hpp"

#include <fmt/format.h>

namespace bulkhead {
namespace {

std::string window_text(std::size_t used, std::size_t intensity, std::chrono::nanoseconds period) {
  return fmt::format("{} of {} restart{} in {}", used, intensity, intensity == 1 ? "" : "s",
                     duration_text(period));
}

std::string mount_text(const mount_line& line) {
  const auto& from = line.now;
  const auto& status = from.status;
  auto text = status.plugin;
  if (!status.plugin_version.empty()) text += " " + status.plugin_version;
  if (status.restarts > 0) text += ", " + restarts_text(status.restarts);
  if (from.restarts_in_window > 0)
    text += ", " + window_text(from.restarts_in_window, line.rules.intensity, line.rules.period);
  if (status.state == mount_state::backoff)
    text += fmt::format(", next start in {}", duration_text(from.backoff_left));
  if (status.state != mount_state::ready) return text + ", " + status.reason;
  if (from.last_crash) text += ", last: " + describe_end(*from.last_crash);
  return text;
}

}  // namespace

std::string count_text(std::size_t count, const char* thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string restarts_text(std::uint64_t restarts) {
  if (restarts == 0) return {};
  return restarts == 1 ? "restarted once" : fmt::format("restarted {} times", restarts);
}

std::string supervisor_text(const supervisor_status& status) {
  std::string text(to_string(status.strategy));
  if (status.restarts_in_window > 0)
    text += ", " + window_text(status.restarts_in_window, status.intensity, status.period);
  return text;
}

tree_node mount_node(const mount_line& from) {
  const auto& status = from.now.status;
  tree_node mount{status.path, "mount", to_string(status.state), mount_text(from), {}};
  if (status.pid != 0)
    mount.children.push_back(
        {fmt::format("instance {}", status.generation),
         "instance",
         "running",
         fmt::format("pid {}, up {}", status.pid,
                     duration_text(std::chrono::milliseconds(from.now.instance.uptime_ms))),
         {}});
  return mount;
}

}  // namespace bulkhead
