// SPDX-License-Identifier: Apache-2.0
#include "actors/supervision.hpp"

#include <fmt/format.h>

#include <utility>

namespace bulkhead {
child_spec supervisor_spec(std::string id) {
  child_spec spec;
  spec.id = std::move(id);
  spec.type = child_type::supervisor;
  spec.shutdown = shutdown_rule::infinity();
  return spec;
}

std::string_view to_string(restart_type value) {
  switch (value) {
    case restart_type::permanent:
      return "permanent";
    case restart_type::transient:
      return "transient";
    case restart_type::temporary:
      break;
  }
  return "temporary";
}

std::string_view to_string(restart_strategy value) {
  switch (value) {
    case restart_strategy::one_for_one:
      return "one_for_one";
    case restart_strategy::one_for_all:
      return "one_for_all";
    case restart_strategy::rest_for_one:
      return "rest_for_one";
    case restart_strategy::dynamic:
      break;
  }
  return "dynamic";
}

std::string_view to_string(auto_shutdown value) {
  switch (value) {
    case auto_shutdown::never:
      return "never";
    case auto_shutdown::any_significant:
      return "any_significant";
    case auto_shutdown::all_significant:
      break;
  }
  return "all_significant";
}

std::string_view to_string(stop_order value) {
  switch (value) {
    case stop_order::reverse:
      return "reverse";
    case stop_order::together:
      return "together";
    case stop_order::levels:
      break;
  }
  return "levels";
}

std::string_view to_string(child_type value) {
  return value == child_type::worker ? "worker" : "supervisor";
}

std::string_view to_string(exit_kind value) {
  switch (value) {
    case exit_kind::normal:
      return "normal";
    case exit_kind::shutdown:
      return "shutdown";
    case exit_kind::killed:
      return "killed";
    case exit_kind::abnormal:
      break;
  }
  return "abnormal";
}

std::string_view to_string(child_state value) {
  switch (value) {
    case child_state::stopped:
      return "stopped";
    case child_state::starting:
      return "starting";
    case child_state::ready:
      return "ready";
    case child_state::stopping:
      return "stopping";
    case child_state::backoff:
      return "backoff";
    case child_state::quarantined:
      break;
  }
  return "quarantined";
}

std::string_view to_string(supervisor_phase value) {
  switch (value) {
    case supervisor_phase::idle:
      return "idle";
    case supervisor_phase::booting:
      return "booting";
    case supervisor_phase::running:
      return "running";
    case supervisor_phase::stopping:
      return "stopping";
    case supervisor_phase::finished:
      break;
  }
  return "finished";
}

std::string to_text(const shutdown_rule& rule) {
  switch (rule.how) {
    case shutdown_rule::kind::timeout:
      return duration_text(rule.timeout);
    case shutdown_rule::kind::brutal:
      return "brutal";
    case shutdown_rule::kind::infinity:
      break;
  }
  return "infinity";
}

std::string bounded_reason(std::string reason) {
  if (reason.size() <= reason_bytes_max) return reason;
  static constexpr std::string_view mark = "...";
  auto end = reason_bytes_max - mark.size();
  const auto continues = [&] { return (static_cast<unsigned char>(reason[end]) & 0xc0U) == 0x80U; };
  while (end > 0 && continues()) --end;
  reason.resize(end);
  reason += mark;
  return reason;
}

std::string duration_text(std::chrono::nanoseconds duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms < 1'000) return fmt::format("{} ms", ms);
  if (ms < 60'000) {
    const auto tenths = ms / 100;
    if (tenths % 10 == 0) return fmt::format("{} s", tenths / 10);
    return fmt::format("{}.{} s", tenths / 10, tenths % 10);
  }
  const auto seconds = ms / 1'000;
  if (seconds % 60 == 0) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} min {} s", seconds / 60, seconds % 60);
}

}  // namespace bulkhead
