// SPDX-License-Identifier: Apache-2.0
#pragma once

// What may be mounted: the rules of a mount's specification, apart from the state of the broker.
// They throw kj::Exception in the shape of schema/error.capnp, which names the field and the limit.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "broker/broker.hpp"
#include "broker/limits.hpp"
#include "broker/slot.hpp"

namespace bulkhead {

// Shorter ones would start and stop processes without end. A zero turns the rule off.
inline constexpr std::chrono::milliseconds idle_stop_min{100};
inline constexpr std::chrono::milliseconds lifetime_min{1000};

/// Empty, or what is wrong, as "FIELD: it is at most N".
std::string supervision_problem(const restart_limits& rules);

/// Checks every field and puts `spec.path` into its normal form. Fails with invalid_argument.
void check_mount_spec(mount_spec& spec, const broker_limits& limits);

/// What a release's manifest says of times (`limit start-ms=N`, `limit call-ms=N`); 0: nothing.
struct manifest_times {
  std::chrono::milliseconds start_max{0};
  std::chrono::milliseconds call_max{0};
};

manifest_times times_in(const std::vector<std::pair<std::string, std::uint64_t>>& limits);

/// The operator's word for the mount counts first, whatever it is; else the manifest's, which may
/// be less than the broker's limit and never more; else that limit. 0: not said.
std::chrono::milliseconds time_within(std::chrono::milliseconds of_mount,
                                      std::chrono::milliseconds of_manifest,
                                      std::chrono::milliseconds limit);

/// What the mount says of its calls, and the manifest's word and the broker's limits where it says
/// nothing.
slot_limits slot_rules(const call_rules& calls, const broker_limits& limits,
                       const manifest_times& times = {});

/// The plugin is a file name, and the directory holds an executable file of that name. Fails with
/// invalid_argument or not_found. Looks at the file system.
void check_plugin_file(const std::string& directory, const std::string& plugin);

}  // namespace bulkhead
