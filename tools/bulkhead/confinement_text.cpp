// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/confinement_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "schema/wire/enum_word.hpp"
#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace bulkhead::cli {
namespace {

std::string plain(capnp::Text::Reader text) {
  return wire::escape_line(text.cStr());
}

std::string joined(capnp::List<capnp::Text>::Reader words) {
  std::string text;
  for (auto each : words) text += (text.empty() ? "" : ", ") + plain(each);
  return text;
}

bool counts_bytes(std::string_view name) {
  return name == "memory" || name == "swap" || name == "stack" || name == "file-size" ||
         name.starts_with("rss-");
}

std::string amount_text(schema::NamedNumber::Reader amount) {
  const std::string name = plain(amount.getName());
  return counts_bytes(name) ? fmt::format("{} {}", name, short_bytes(amount.getValue()))
                            : fmt::format("{} {}", name, amount.getValue());
}

/// A 0 is no limit of its kind, which nobody wants to read of; but for what it forbids.
std::string amounts_text(capnp::List<schema::NamedNumber>::Reader amounts, bool with_zeros) {
  std::string text;
  for (auto each : amounts)
    if (with_zeros || each.getValue() > 0) text += (text.empty() ? "" : ", ") + amount_text(each);
  return text;
}

std::string walls_line(schema::ConfinementStatus::Reader confinement) {
  unsigned standing = 0;
  unsigned wanted = 0;
  std::string missing;
  for (auto each : confinement.getWalls()) {
    if (each.getState() == "off") continue;
    ++wanted;
    if (each.getState() == "enforced")
      ++standing;
    else
      missing += (missing.empty() ? "; missing: " : ", ") + plain(each.getName());
  }
  return wanted == 0 ? std::string() : fmt::format("{} of {} stand{}", standing, wanted, missing);
}

std::string usage_text(schema::Usage::Reader usage) {
  std::string text = fmt::format("{} of memory", short_bytes(usage.getRssBytes()));
  if (usage.getPssBytes() > 0)
    text += fmt::format(" ({} its share)", short_bytes(usage.getPssBytes()));
  text += fmt::format(", {:.1f} % of a core, {} in all, {} threads, {} fds, {} page faults",
                      usage.getCpuPercent(), short_duration(usage.getCpuMs()), usage.getThreads(),
                      usage.getFds(), usage.getMinorFaults() + usage.getMajorFaults());
  if (usage.getThrottledMs() > 0)
    text += fmt::format(", throttled for {}", short_duration(usage.getThrottledMs()));
  if (usage.getOomKills() > 0)
    text += fmt::format(", {} killed for want of memory", usage.getOomKills());
  if (usage.getTasksRefused() > 0)
    text += fmt::format(", {} task{} refused", usage.getTasksRefused(),
                        usage.getTasksRefused() == 1 ? "" : "s");
  if (usage.getUnread().size() > 0)
    text += fmt::format("; not to be read: {}", joined(usage.getUnread()));
  return text;
}

}  // namespace

std::string confinement_lines(schema::MountStatus::Reader mount) {
  std::string text;
  if (mount.hasConfinement()) {
    const auto confinement = mount.getConfinement();
    if (confinement.getUnconfined()) {
      text += detail_line("confinement", "NONE: the broker runs --unconfined");
    } else {
      text += detail_line(
          "confinement",
          plain(confinement.getProfile()) +
              (confinement.getPending() ? ", with the next start; what runs has another" : ""));
      text += detail_line("refused", plain(confinement.getProblem()));
      text += detail_line("may use", amounts_text(confinement.getLimits(), false));
      text += detail_line("waived", joined(confinement.getWaived()));
      text += detail_line("grants", joined(confinement.getGrants()));
      text += detail_line("walls", walls_line(confinement));
      for (auto each : confinement.getGaps()) text += detail_line("left open", plain(each));
    }
  }
  text += detail_line("thresholds", amounts_text(mount.getThresholds(), true));
  if (mount.hasUsage()) text += detail_line("uses", usage_text(mount.getUsage()));
  return text;
}

std::string walls_text(schema::ConfinementStatus::Reader confinement) {
  if (confinement.getWalls().size() == 0) return {};
  table rows({"WALL", "STATE", "ERROR", "VALUE", "SEEN", "NEEDED"});
  for (auto each : confinement.getWalls()) {
    if (each.getState() == "off") continue;
    rows.add({plain(each.getName()), plain(each.getState()), plain(each.getError()),
              each.getValue() == 0 ? "" : std::to_string(each.getValue()),
              each.getObserved() ? "yes" : "",
              each.getWaived()     ? "waived"
              : each.getRequired() ? "yes"
                                   : "no"});
  }
  return rows.render(false);
}

std::string rules_text(schema::Confinement::Reader rules) {
  std::string text;
  const auto add = [&text](std::string_view name, const std::string& what) {
    if (!what.empty()) text += fmt::format("{}{} {}", text.empty() ? "" : "; ", name, what);
  };
  add("profile", plain(rules.getProfile()));
  add("limits", amounts_text(rules.getLimits(), true));
  add("waived", joined(rules.getWaive()));
  add("grants", joined(rules.getGrants()));
  return text;
}

std::string protection_lines(schema::BrokerStatus::Reader status) {
  std::string text =
      detail_line("confinement", status.getUnconfined() ? "NONE: plugins run --unconfined"
                                                        : rules_text(status.getConfinement()));
  std::string missing;
  for (auto each : status.getWallsMissing())
    missing += fmt::format("{}{} in {} start{}", missing.empty() ? "" : ", ", plain(each.getName()),
                           each.getValue(), each.getValue() == 1 ? "" : "s");
  text += detail_line("walls missing", missing);
  if (status.getMemoryBytes() > 0)
    text += detail_line("memory", short_bytes(status.getMemoryBytes()));
  if (status.getShedding() || status.getCallsShed() > 0)
    text += detail_line(
        "shedding", fmt::format("{}, {} calls refused", status.getShedding() ? "yes" : "no longer",
                                status.getCallsShed()));
  if (status.getConnectionsOut() + status.getConnectionsRefused() + status.getConnectionsRevoked() >
      0)
    text += detail_line(
        "outside",
        fmt::format("{} connections of plugins, {} names looked up, {} refused, {} ended "
                    "with their grants",
                    status.getConnectionsOut(), status.getLookups(), status.getConnectionsRefused(),
                    status.getConnectionsRevoked()));
  return text;
}

std::string top_text(capnp::List<schema::MountStatus>::Reader mounts, bool colour) {
  std::vector<schema::MountStatus::Reader> running;
  for (auto each : mounts)
    if (each.getPid() != 0) running.push_back(each);
  std::stable_sort(running.begin(), running.end(), [](const auto& a, const auto& b) {
    const auto one = a.getUsage();
    const auto other = b.getUsage();
    if (one.getCpuPercent() != other.getCpuPercent())
      return one.getCpuPercent() > other.getCpuPercent();
    return one.getRssBytes() > other.getRssBytes();
  });
  table rows({"PATH", "STATE", "PID", "CPU %", "CPU", "RSS", "PSS", "THREADS", "FDS", "FAULTS",
              "THROTTLED", "IN", "OUT", "CALLS"});
  for (const auto& each : running) {
    const auto usage = each.getUsage();
    const bool known = each.hasUsage();
    const auto shown = [known](std::string text) { return known ? std::move(text) : "-"; };
    rows.add({each.getPath().cStr(), std::string(state_text(each.getState())),
              std::to_string(each.getPid()), shown(fmt::format("{:.1f}", usage.getCpuPercent())),
              shown(short_duration(usage.getCpuMs())), shown(short_bytes(usage.getRssBytes())),
              usage.getPssBytes() == 0 ? "-" : short_bytes(usage.getPssBytes()),
              shown(std::to_string(usage.getThreads())), shown(std::to_string(usage.getFds())),
              shown(std::to_string(usage.getMinorFaults() + usage.getMajorFaults())),
              shown(short_duration(usage.getThrottledMs())), shown(short_bytes(usage.getBytesIn())),
              shown(short_bytes(usage.getBytesOut())), std::to_string(each.getCallsTotal())},
             state_tint(each.getState()));
  }
  return rows.empty() ? "no process runs\n" : rows.render(colour);
}

std::string doctor_text(capnp::List<schema::Finding>::Reader findings, bool all) {
  std::string text;
  unsigned good = 0;
  unsigned unknown = 0;
  for (auto each : findings) {
    if (each.getVerdict() == schema::Finding::Verdict::UNKNOWN) ++unknown;
    if (each.getVerdict() == schema::Finding::Verdict::GOOD) {
      ++good;
      if (!all) continue;
    }
    text += fmt::format("{}: {}\n", plain(each.getName()), wire::enum_word(each.getVerdict()));
    text += detail_line("found", plain(each.getFound()));
    text += detail_line("wanted", plain(each.getWanted()));
    text += detail_line("why", plain(each.getWhy()));
    text += detail_line("try", plain(each.getHow()));
  }
  text += fmt::format("{} of {} are as they should be", good, findings.size());
  return text + (unknown == 0 ? "\n" : fmt::format("; {} cannot be told from here\n", unknown));
}

}  // namespace bulkhead::cli
