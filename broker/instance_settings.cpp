// SPDX-License-Identifier: Apache-2.0
#include "broker/instance_settings.hpp"

namespace bulkhead {

wire::budget_limits link_budget_of(const broker_limits& limits) {
  return {.calls_open = limits.plugin_calls_open_max,
          .calls_unanswered = limits.plugin_calls_unanswered_max,
          .capabilities_held = limits.plugin_capabilities_max,
          .message_capabilities = limits.plugin_message_capabilities_max,
          .capabilities_given = limits.plugin_capabilities_given_max,
          .pipeline_steps = limits.plugin_pipeline_steps_max,
          .tail_calls = limits.plugin_tail_calls_max,
          .frames_per_s = limits.plugin_frames_per_s_max};
}

log_line_limits line_limits_of(const broker_limits& limits) {
  return {.line_bytes_max = limits.log_line_bytes_max,
          .lines_per_s_max = limits.log_lines_per_s_max};
}

instance_config instance_settings(const broker_limits& limits, std::uint64_t generation) {
  instance_config settings;
  settings.generation = generation;
  settings.broker_version = BULKHEAD_VERSION;
  settings.calls_in_flight_max = limits.calls_in_flight_max;
  settings.log_line_bytes_max = limits.log_line_bytes_max;
  settings.error_text_bytes_max = wire::error_text_bytes_max;
  settings.limits.start_max = limits.start_ms_max;
  settings.limits.log_bytes_per_s_max = limits.log_bytes_per_s_max;
  settings.stream.frame_ms = static_cast<std::uint64_t>(limits.plugin_frame_ms_max.count());
  settings.stream.write_ms = static_cast<std::uint64_t>(limits.plugin_write_ms_max.count());
  settings.budget = link_budget_of(limits);
  settings.flow_words_max = limits.plugin_flow_words_max;
  return settings;
}

}  // namespace bulkhead
