// SPDX-License-Identifier: Apache-2.0
#pragma once

// A mount as it lies in the store (schema/state.capnp). Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/broker.hpp"

namespace bulkhead {

inline constexpr std::string_view mounts_prefix = "mounts/";

/// What of a mount is durable.
struct mount_record {
  mount_spec spec;
  std::string uuid;
  std::string accessor;
  std::int64_t created_unix_ms = 0;
  std::uint64_t generations_reserved = 0;
  std::string version_running;  // the release that it keeps to; see schema/state.capnp
  bool declared = false;        // the declared state asks for it: broker/config_desk.hpp
  std::string
      declared_path;      // ... at this path, whatever operators moved it to; empty if it is not
  bool removing = false;  // nothing starts it any more; whoever reads this goes on removing it
};

std::string mount_key(std::string_view path);

std::string encode_record(const mount_record& record);

/// False when the bytes are no record; `record` then holds what could be read.
bool decode_record(const std::string& bytes, mount_record& record);

}  // namespace bulkhead
