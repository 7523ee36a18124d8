// SPDX-License-Identifier: Apache-2.0
//
// A mount's rules for its instance and its calls as text for people: only what differs from the
// contract's defaults, so that an ordinary mount's status stays short. Pure.
#pragma once

#include <string>

#include "schema/admin.capnp.h"

namespace bulkhead::cli {

/// "lazy, stopped when idle for 30 s"; empty when all is as by default.
std::string life_text(schema::Life::Reader life);

/// "8 in flight at most, breaker off"; empty when all is as by default.
std::string call_rules_text(schema::CallRules::Reader calls);

/// "open, lets a call through in 12 s"; empty when the breaker is closed.
std::string breaker_text(schema::MountStatus::Reader mount);

}  // namespace bulkhead::cli
