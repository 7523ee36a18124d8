// SPDX-License-Identifier: Apache-2.0
#pragma once

// A mount as it lies in the store (schema/state.capnp). Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/broker.hpp"

namespace bulkhead {

inline constexpr std::string_view mounts_prefix = "mounts/";

/// As in schema/state.capnp.
enum class snapshot_state : std::uint8_t { copying, migrating, kept, restoring };

/// A mount's view as it was before a migration.
struct storage_snapshot {
  std::uint32_t storage_version = 0;
  std::string version;  // the release that wrote it; empty: an unregistered file
  std::int64_t taken_unix_ms = 0;
  snapshot_state state = snapshot_state::copying;
};

/// What of a mount is durable.
struct mount_record {
  mount_spec spec;
  std::string uuid;
  std::string accessor;
  std::int64_t created_unix_ms = 0;
  std::uint64_t generations_reserved = 0;
  std::string version_running;  // the release that it keeps to; see schema/state.capnp
  bool declared = false;        // the declared state asks for it: broker/config_desk.hpp
  std::uint32_t storage_version = 0;
  std::optional<storage_snapshot> snapshot;
  std::string
      declared_path;      // ... at this path, whatever operators moved it to; empty if it is not
  bool removing = false;  // nothing starts it any more; whoever reads this goes on removing it
};

/// What is_unsettled (upgrade_rules.hpp) asks for.
inline std::optional<snapshot_state> state_of_snapshot(const mount_record& record) {
  if (!record.snapshot) return std::nullopt;
  return record.snapshot->state;
}

std::string mount_key(std::string_view path);

std::string encode_record(const mount_record& record);

/// False when the bytes are no record; `record` then holds what could be read.
bool decode_record(const std::string& bytes, mount_record& record);

}  // namespace bulkhead
