// SPDX-License-Identifier: Apache-2.0
//
// Status structs as text for people. Pure.
#pragma once

#include <string>

#include "schema/admin.capnp.h"
#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {

/// "  name          value", a line below a heading; nothing when the value is empty.
std::string detail_line(std::string_view name, const std::string& value);

std::string_view state_text(schema::MountState state);
tint state_tint(schema::MountState state);

/// 0 while the mount serves or is on its way, 3 when it does not run.
exit_code state_code(schema::MountState state);

std::string mounts_text(capnp::List<schema::MountStatus>::Reader mounts, bool colour);
std::string mount_text(schema::MountStatus::Reader mount, bool colour);
std::string broker_text(schema::BrokerStatus::Reader status);
std::string tree_text(schema::TreeNode::Reader root);

/// "ended by SIGKILL", "exited with status 3".
std::string cause_text(schema::CrashReport::Reader crash);
std::string crash_text(schema::CrashReport::Reader crash);

/// "reloaded kv/: generation 3 -> 4, version 1.0.0 -> 1.1.0, 12 ms".
std::string reload_text(schema::ReloadResult::Reader result);

/// "ready for 3 s", "backoff: it crashed; next start in 400 ms".
std::string now_text(schema::MountStatus::Reader mount);

/// The prompt's health: "2 up 1 backoff".
std::string health_text(capnp::List<schema::MountStatus>::Reader mounts);

}  // namespace bulkhead::cli
