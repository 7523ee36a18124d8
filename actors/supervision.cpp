// SPDX-License-Identifier: Apache-2.0
#include "actors/supervision.hpp"

#include <fmt/format.h>

namespace bulkhead {
namespace {

bool in_range(std::chrono::milliseconds duration) {
  return duration.count() >= 0 && duration <= supervision_duration_max;
}

std::string range_text() {
  return fmt::format("it must be within 0 and {}", supervision_duration_max.count());
}

}  // namespace

std::string check(const child_spec& spec) {
  if (spec.id.empty()) return "the child's id is empty";
  if (spec.id.size() > child_id_bytes_max) {
    return fmt::format("the child's id has {} bytes; at most {}", spec.id.size(),
                       child_id_bytes_max);
  }
  if (!in_range(spec.shutdown.timeout)) {
    return fmt::format("shutdown of child {} is {} ms; {}", spec.id, spec.shutdown.timeout.count(),
                       range_text());
  }
  if (!in_range(spec.start_max)) {
    return fmt::format("start_max of child {} is {} ms; {}", spec.id, spec.start_max.count(),
                       range_text());
  }
  if (spec.first_generation == 0) {
    return fmt::format("first_generation of child {} is 0; generations start at 1", spec.id);
  }
  return {};
}

std::string check(const supervisor_policy& policy) {
  if (policy.intensity > restart_intensity_max) {
    return fmt::format("intensity is {}; at most {}", policy.intensity, restart_intensity_max);
  }
  if (policy.period.count() <= 0 || !in_range(policy.period)) {
    return fmt::format("period is {} ms; it must be within 1 and {}", policy.period.count(),
                       supervision_duration_max.count());
  }
  if (!in_range(policy.kill_wait)) {
    return fmt::format("kill_wait is {} ms; {}", policy.kill_wait.count(), range_text());
  }
  return check(policy.backoff);
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
