// SPDX-License-Identifier: Apache-2.0
//
// The flags of `mount`: how they are called, and what they say to the broker. A group of rules of
// which no flag was given stays null in the message, so that the broker's defaults stand; in a
// group that was touched, the flags that are left out keep the contract's defaults. Pure.
#pragma once

#include <vector>

#include "schema/admin.capnp.h"
#include "tools/bulkhead/command_line.hpp"

namespace bulkhead::cli {

std::vector<flag_spec> mount_flags();

/// All that `mount PATH PLUGIN` and its flags say. Throws `failure` (usage).
void fill_mount_spec(schema::MountSpec::Builder spec, const invocation& command);

}  // namespace bulkhead::cli
