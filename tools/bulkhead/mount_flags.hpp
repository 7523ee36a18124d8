// SPDX-License-Identifier: Apache-2.0
//
// The flags of `mount` and `tune`: how they are called, and what they say to the broker. Of `mount`
// a group of rules of which no flag was given stays null in the message, so that the broker's
// defaults stand; in a group that was touched, the flags that are left out keep the contract's
// defaults. Pure.
#pragma once

#include <vector>

#include "schema/admin.capnp.h"
#include "tools/bulkhead/command_line.hpp"

namespace bulkhead::cli {

std::vector<flag_spec> mount_flags();

/// Those of a release too.
std::vector<flag_spec> confinement_flags();
void fill_confinement(schema::Confinement::Builder to, const invocation& command);

/// Those of a mount but for its group, and how to take back what has no other word.
std::vector<flag_spec> tune_flags();

/// All that `tune PATH` and its flags say of a mount that is as `now` says: a rule of which no flag
/// was given stays as it is. Throws `failure` (usage).
void fill_tune(schema::TuneRequest::Builder request, const invocation& command,
               schema::MountStatus::Reader now);

/// All that `mount PATH PLUGIN` and its flags say. Throws `failure` (usage).
void fill_mount_spec(schema::MountSpec::Builder spec, const invocation& command);

}  // namespace bulkhead::cli
