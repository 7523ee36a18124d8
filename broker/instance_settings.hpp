// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every instance gets of the broker's limits: one that serves a mount, and one that is only
// asked who it is.

#include "actors/instance.hpp"
#include "actors/log_lines.hpp"
#include "broker/limits.hpp"

namespace bulkhead {

/// What a plugin may make the broker keep.
wire::budget_limits link_budget_of(const broker_limits& limits);

/// Of the lines that it writes, and of those that it says.
log_line_limits line_limits_of(const broker_limits& limits);

/// All but what to start. Times are the broker's.
instance_config instance_settings(const broker_limits& limits, std::uint64_t generation);

}  // namespace bulkhead
