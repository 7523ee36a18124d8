// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/status_text.hpp"

#include <fmt/format.h>

#include <map>

#include "schema/wire/enum_word.hpp"
#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/command_line.hpp"
#include "tools/bulkhead/confinement_text.hpp"
#include "tools/bulkhead/release_text.hpp"
#include "tools/bulkhead/rules_text.hpp"

namespace bulkhead::cli {
namespace {

using schema::MountState;

std::string plain(capnp::Text::Reader text) {
  return wire::escape_line(text.cStr());
}

std::string plugin_text(schema::MountStatus::Reader mount) {
  std::string text = plain(mount.getPlugin());
  if (mount.getPluginName().size() == 0) return text;
  if (mount.getPluginName() != mount.getPlugin()) text += " (" + plain(mount.getPluginName()) + ")";
  return text + " " + plain(mount.getPluginVersion());
}

std::string window_text(schema::MountStatus::Reader mount) {
  return fmt::format("{} in all, {} of {} allowed in {}", mount.getRestarts(),
                     mount.getRestartsInWindow(), mount.getIntensity(),
                     short_duration(mount.getPeriodMs()));
}

std::string calls_text(schema::MountStatus::Reader mount) {
  std::string text =
      fmt::format("{} in all, {} failed, {} in flight, {} waiting", mount.getCallsTotal(),
                  mount.getCallsFailed(), mount.getCallsInFlight(), mount.getCallsWaiting());
  if (mount.getOldestCallMs() > 0) {
    text += fmt::format(", the oldest for {}", short_duration(mount.getOldestCallMs()));
  }
  return text;
}

/// What the catalog and trust have to say of the mount.
std::string release_lines(schema::MountStatus::Reader mount) {
  if (mount.getUnregistered())
    return detail_line("release", "unregistered: nobody has vouched for this file");
  const auto wanted = plain(mount.getVersionWanted());
  std::string release = plain(mount.getKind()) + "/" + plain(mount.getPlugin());
  if (mount.getVersion().size() > 0) release += "@" + plain(mount.getVersion());
  if (!wanted.empty() && wanted != mount.getPluginVersion().cStr())
    release += fmt::format(", {} with the next reload", wanted);
  std::string text = detail_line("release", release);
  if (mount.getSha256().size() == 0) return text;
  text += detail_line("sha256", plain(mount.getSha256()));
  return text + detail_line("signed by", mount.getSignedBy().size() == 0
                                             ? "nobody"
                                             : key_ids_text(mount.getSignedBy()));
}

std::string options_text(capnp::List<schema::Option>::Reader options) {
  std::string text;
  for (auto option : options) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", plain(option.getName()),
                        plain(option.getValue()));
  }
  return text;
}

void add_tree(std::string& text, schema::TreeNode::Reader node, const std::string& margin) {
  const auto children = node.getChildren();
  for (capnp::uint i = 0; i < children.size(); ++i) {
    const bool last = i + 1 == children.size();
    const auto child = children[i];
    text += fmt::format("{}{}{} ({}) {}", margin, last ? "└─ " : "├─ ", plain(child.getName()),
                        plain(child.getKind()), plain(child.getState()));
    if (child.getDetail().size() > 0) text += ": " + plain(child.getDetail());
    text += "\n";
    add_tree(text, child, margin + (last ? "   " : "│  "));
  }
}

}  // namespace

std::string detail_line(std::string_view name, const std::string& value) {
  return value.empty() ? std::string() : fmt::format("  {:<12}  {}\n", name, value);
}

std::string_view state_text(MountState state) {
  return wire::enum_word(state);
}

tint state_tint(MountState state) {
  switch (state) {
    case MountState::READY:
      return tint::good;
    case MountState::STARTING:
    case MountState::DRAINING:
    case MountState::BACKOFF:
      return tint::warn;
    case MountState::QUARANTINED:
      return tint::bad;
    case MountState::STOPPED:
      break;
  }
  return tint::faint;
}

exit_code state_code(MountState state) {
  switch (state) {
    case MountState::STOPPED:
    case MountState::BACKOFF:
    case MountState::QUARANTINED:
      return exit_code::not_running;
    case MountState::STARTING:
    case MountState::READY:
    case MountState::DRAINING:
      break;
  }
  return exit_code::done;
}

std::string mounts_text(capnp::List<schema::MountStatus>::Reader mounts, bool colour) {
  table rows({"PATH", "PLUGIN", "STATE", "PID", "UP", "RESTARTS", "CALLS", "FAILED", "REASON"});
  for (auto mount : mounts) {
    const bool ready = mount.getState() == MountState::READY;
    rows.add({mount.getPath().cStr(), plugin_text(mount), std::string(state_text(mount.getState())),
              mount.getPid() == 0 ? "-" : std::to_string(mount.getPid()),
              ready ? short_duration(mount.getUptimeMs()) : "-",
              std::to_string(mount.getRestarts()), std::to_string(mount.getCallsTotal()),
              std::to_string(mount.getCallsFailed()), ready ? "" : mount.getReason().cStr()},
             state_tint(mount.getState()));
  }
  return rows.render(colour);
}

std::string mount_text(schema::MountStatus::Reader mount, bool colour) {
  const auto state = mount.getState();
  std::string text = plain(mount.getPath()) + "  ";
  text += tinted(state_text(state), state_tint(state), colour);
  if (state == MountState::READY) {
    text += fmt::format(" for {}", short_duration(mount.getUptimeMs()));
  } else if (mount.getReason().size() > 0) {
    text += ": " + plain(mount.getReason());
  }
  text += "\n" + detail_line("plugin", plugin_text(mount));
  text += release_lines(mount);
  if (mount.getStorageVersion() > 0)
    text += detail_line("storage", fmt::format("version {}", mount.getStorageVersion()));
  if (mount.getSnapshot().size() > 0)
    text += detail_line("rollback", fmt::format("to {}", plain(mount.getSnapshot())));
  text += detail_line("description", plain(mount.getDescription()));
  text += detail_line("options", options_text(mount.getOptions()));
  if (mount.getOptionsPending()) {
    const std::string running = options_text(mount.getOptionsRunning());
    text += detail_line("running with", running.empty() ? "no options" : running);
  }
  if (mount.getPid() != 0) {
    text += detail_line(
        "process", fmt::format("pid {}, generation {}", mount.getPid(), mount.getGeneration()));
    text += detail_line("bytes", fmt::format("{} in, {} out", short_bytes(mount.getBytesIn()),
                                             short_bytes(mount.getBytesOut())));
  }
  text += confinement_lines(mount);
  text += detail_line("calls", calls_text(mount));
  text += detail_line("call rules", call_rules_text(mount.getCalls()));
  text += detail_line("breaker", breaker_text(mount));
  text += detail_line("reload", plain(mount.getReload()));
  text += detail_line("life", life_text(mount.getLife()));
  text += detail_line("group", plain(mount.getGroup()));
  text += detail_line("restart", std::string(wire::enum_word(mount.getRestart())));
  text += detail_line("restarts", window_text(mount));
  if (mount.getBackoffMs() > 0) {
    text += detail_line("next start", "in " + short_duration(mount.getBackoffMs()));
  }
  if (mount.hasLastCrash()) {
    const auto crash = mount.getLastCrash();
    text += detail_line(
        "last crash",
        fmt::format("generation {} {} after {}, then {}", crash.getGeneration(), cause_text(crash),
                    short_duration(crash.getUptimeMs()), plain(crash.getNext())));
  }
  text += detail_line("accessor", plain(mount.getAccessor()));
  return text + detail_line("uuid", plain(mount.getUuid()));
}

std::string broker_text(schema::BrokerStatus::Reader status) {
  return fmt::format("bulkheadd {}, pid {}, up {}\n", plain(status.getVersion()), status.getPid(),
                     short_duration(status.getUptimeMs())) +
         detail_line("mounts",
                     fmt::format("{}, {} ready", status.getMounts(), status.getMountsReady())) +
         detail_line("clients", std::to_string(status.getClients())) +
         detail_line("socket", plain(status.getSocketPath())) +
         detail_line("state", plain(status.getStateDirectory())) +
         detail_line("plugins", plain(status.getPluginDirectory())) + protection_lines(status);
}

std::string tree_text(schema::TreeNode::Reader root) {
  std::string text = plain(root.getName());
  if (root.getState().size() > 0) {
    text += fmt::format(" ({}) {}", plain(root.getKind()), plain(root.getState()));
  }
  if (root.getDetail().size() > 0) text += ": " + plain(root.getDetail());
  text += "\n";
  add_tree(text, root, "");
  return text;
}

std::string cause_text(schema::CrashReport::Reader crash) {
  const auto cause = crash.getCause();
  if (crash.getOutOfMemory()) return "was killed because its memory was used up";
  switch (cause.which()) {
    case schema::CrashReport::Cause::EXITED:
      return fmt::format("exited with status {}", cause.getExited());
    case schema::CrashReport::Cause::SIGNALED:
      return fmt::format("was ended by {}{}", signal_text(cause.getSignaled()),
                         crash.getCoreDumped() ? " (core dumped)" : "");
    case schema::CrashReport::Cause::START_FAILED:
      return "failed to start: " + plain(cause.getStartFailed());
    case schema::CrashReport::Cause::VIOLATION:
      return "broke the protocol: " + plain(cause.getViolation());
    case schema::CrashReport::Cause::LINK_CLOSED:
      return "closed its link and was ended";
    case schema::CrashReport::Cause::STOPPED:
      return "was stopped";
    case schema::CrashReport::Cause::STOP_KILLED:
      return "was told to stop, did not, and was killed";
    case schema::CrashReport::Cause::UNRESPONSIVE:
      return "hung and was killed: it " + plain(cause.getUnresponsive());
    case schema::CrashReport::Cause::OVER_LIMIT:
      return "was ended: it " + plain(cause.getOverLimit());
    case schema::CrashReport::Cause::UNKNOWN:
      break;
  }
  return "ended for an unknown reason";
}

std::string crash_text(schema::CrashReport::Reader crash) {
  const bool signaled = crash.getCause().isSignaled();
  std::string plugin = plain(crash.getPlugin());
  if (crash.getPluginVersion().size() > 0) plugin += " " + plain(crash.getPluginVersion());
  std::string text = fmt::format("{}: generation {} {}\n", plain(crash.getMount()),
                                 crash.getGeneration(), cause_text(crash)) +
                     detail_line("plugin", plugin) +
                     detail_line("when", utc_time(crash.getAtUnixMs())) +
                     detail_line("lived for", short_duration(crash.getUptimeMs())) +
                     detail_line("core", !signaled               ? ""
                                         : crash.getCoreDumped() ? "dumped"
                                                                 : "none") +
                     detail_line("calls lost", std::to_string(crash.getCallsInFlight()));
  const auto calls = crash.getCalls();
  for (auto call : calls) {
    text += fmt::format("    {}, {} old: {}\n", plain(call.getMethod()),
                        short_duration(call.getAgeMs()), plain(call.getOutcome()));
  }
  if (calls.size() > 0 && calls.size() < crash.getCallsInFlight())
    text += fmt::format("    and {} more\n", crash.getCallsInFlight() - calls.size());
  text += detail_line("then", plain(crash.getNext()));
  text += detail_line("try", plain(crash.getRemedy()));
  if (crash.getLastLines().size() > 0) text += "  its last lines\n";
  for (auto last : crash.getLastLines()) text += "    " + plain(last) + "\n";
  return text;
}

std::string reload_text(schema::ReloadResult::Reader result) {
  const auto path = plain(result.getPath());
  const auto before = result.getGenerationBefore();
  if (result.getOutcome() == schema::ReloadOutcome::FAILED) {
    const std::string after = before != 0 && before == result.getGenerationAfter()
                                  ? fmt::format("; generation {} ({}) serves on", before,
                                                plain(result.getVersionBefore()))
                                  : fmt::format("; see `status {}`", path);
    return fmt::format("failed {}: {}{}", path, plain(result.getReason()), after);
  }
  if (result.getOutcome() == schema::ReloadOutcome::NOTHING)
    return fmt::format("left {} alone: {}", path, plain(result.getReason()));
  const bool replaced = result.getOutcome() == schema::ReloadOutcome::REPLACED;
  const auto change = [](const std::string& from, const std::string& to) {
    return from.empty() || from == to ? to : from + " -> " + to;
  };
  return fmt::format("{} {}: generation {}, version {}, {}", replaced ? "reloaded" : "restarted",
                     path,
                     change(before == 0 ? "" : std::to_string(before),
                            std::to_string(result.getGenerationAfter())),
                     change(plain(result.getVersionBefore()), plain(result.getVersionAfter())),
                     short_duration(result.getTookMs()));
}

std::string now_text(schema::MountStatus::Reader mount) {
  const auto state = mount.getState();
  std::string text(state_text(state));
  if (state == MountState::READY)
    text += " for " + short_duration(mount.getUptimeMs());
  else if (mount.getReason().size() > 0)
    text += ": " + plain(mount.getReason());
  if (mount.getBackoffMs() > 0) text += "; next start in " + short_duration(mount.getBackoffMs());
  return text;
}

std::string health_text(capnp::List<schema::MountStatus>::Reader mounts) {
  std::map<std::uint16_t, unsigned> counts;
  for (auto mount : mounts) ++counts[static_cast<std::uint16_t>(mount.getState())];
  std::string text = fmt::format("{} up", counts[static_cast<std::uint16_t>(MountState::READY)]);
  for (const auto& [state, count] : counts) {
    if (state != static_cast<std::uint16_t>(MountState::READY) && count > 0) {
      text += fmt::format(" {} {}", count, state_text(static_cast<MountState>(state)));
    }
  }
  return text;
}

}  // namespace bulkhead::cli
