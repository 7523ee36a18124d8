// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's limits: each with a name, a unit, a default, and what happens at it. `bulkhead
// limits` shows them together with those of the wire (schema/wire/wire_limits.hpp), the store
// (broker/store/store_limits.hpp) and the views.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead {

struct broker_limits {
  std::uint32_t clients_max = 256;
  std::uint32_t client_sessions_max = 16;
  std::uint32_t mounts_max = 10'000;
  std::uint32_t options_max = 64;
  std::uint32_t option_bytes_max = 4096;
  std::uint32_t description_bytes_max = 1024;
  std::uint32_t calls_in_flight_max = 1024;
  std::uint32_t calls_waiting_max = 1024;
  std::chrono::milliseconds slot_wait_ms_max{10'000};
  std::chrono::milliseconds call_ms_max{90'000};
  std::chrono::milliseconds start_ms_max{5'000};
  std::chrono::milliseconds migrate_ms_max{300'000};
  std::uint64_t snapshot_bytes_max = 1'000'000'000;
  std::chrono::milliseconds drain_ms_max{5'000};
  std::chrono::milliseconds stop_grace_ms{2'000};
  std::chrono::milliseconds stop_term_ms{1'000};
  std::uint32_t schema_nodes_max = 4096;
  std::uint32_t features_max = 64;
  std::uint32_t feature_bytes_max = 64;
  std::uint32_t view_calls_in_store_max = 8;
  std::uint64_t view_unread_bytes_max = 2U << 20U;
  std::uint32_t log_line_bytes_max = 4096;
  std::uint32_t log_lines_kept = 1000;
  std::uint32_t log_bytes_per_s_max = 1U << 20U;
  std::uint32_t log_lines_per_s_max = 1000;
  std::uint64_t client_flow_words_max = 8U << 20U;
  std::uint32_t releases_max = 10'000;
  std::uint32_t registrations_at_once_max = 8;
  std::uint64_t plugin_file_bytes_max = 256U << 20U;
  std::uint64_t image_cache_bytes_max = 512U << 20U;
  std::uint32_t connections_max = 64;
  std::uint32_t broker_connections_max = 1024;
  std::uint32_t broker_lookups_max = 64;
  std::chrono::milliseconds connect_ms_max{10'000};
  std::chrono::milliseconds sample_ms{2'000};
  std::uint32_t samples_kept = 300;
  std::uint64_t memory_soft_bytes_max = 1ULL << 30U;
  std::uint64_t memory_hard_bytes_max = 4ULL << 30U;  // no less than threads and caches need
  // Of a plugin's link; schema/wire/wire_limits.hpp says what each bounds.
  std::chrono::milliseconds plugin_frame_ms_max{10'000};
  std::chrono::milliseconds plugin_write_ms_max{30'000};
  std::uint32_t plugin_calls_open_max = 4096;
  std::uint32_t plugin_calls_unanswered_max = 16'384;
  std::uint32_t plugin_capabilities_max = 16'384;
  std::uint32_t plugin_message_capabilities_max = 1024;
  std::uint32_t plugin_capabilities_given_max = 16'384;
  std::uint32_t plugin_pipeline_steps_max = 64;
  std::uint32_t plugin_tail_calls_max = 64;
  std::uint32_t plugin_frames_per_s_max = 100'000;
  std::uint64_t plugin_flow_words_max = 1U << 20U;
};

struct limit_line {
  std::string name;
  std::uint64_t value = 0;
  std::string unit;
  std::string outcome;
};

/// All limits, for people.
std::vector<limit_line> list_limits(const broker_limits& limits);

}  // namespace bulkhead
