// SPDX-License-Identifier: Apache-2.0
//
// What stands between a plugin and the machine, what it uses, and how the machine is hardened, as
// text for people. Pure.
#pragma once

#include <string>

#include "schema/admin.capnp.h"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {

/// The lines of a mount's status: profile, limits, waivers, grants, what it uses.
std::string confinement_lines(schema::MountStatus::Reader mount);

/// The confinement report, a wall a line; empty without one.
std::string walls_text(schema::ConfinementStatus::Reader confinement);

/// "profile strict, memory=268435456, grants env:TZ" of what somebody said; empty for nothing.
std::string rules_text(schema::Confinement::Reader rules);

/// The lines of the broker's status.
std::string protection_lines(schema::BrokerStatus::Reader status);

/// A table of all mounts with a process, the largest first.
std::string top_text(capnp::List<schema::MountStatus>::Reader mounts, bool colour);

std::string doctor_text(capnp::List<schema::Finding>::Reader findings, bool all);

}  // namespace bulkhead::cli
