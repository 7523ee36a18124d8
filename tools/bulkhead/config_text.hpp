// SPDX-License-Identifier: Apache-2.0
//
// The declared state, and changes towards it, as tables. Pure.
#pragma once

#include <string>

#include "schema/admin.capnp.h"

namespace bulkhead::cli {

/// `done`: they were tried, and those without a problem are made.
std::string changes_text(capnp::List<schema::ConfigChange>::Reader changes, bool done, bool colour);

/// What of the two lists the configuration file brought; empty: nothing.
std::string declared_text(capnp::List<schema::Release>::Reader releases,
                          capnp::List<schema::MountStatus>::Reader mounts, bool colour);

}  // namespace bulkhead::cli
