// SPDX-License-Identifier: Apache-2.0
#pragma once

// A mount as it lies in the store (schema/state.capnp). Pure.

#include <optional>
#include <string>
#include <string_view>

#include "broker/mount_entry.hpp"

namespace bulkhead {

inline constexpr std::string_view mounts_prefix = "mounts/";

std::string mount_key(std::string_view path);

std::string encode_record(const mount_entry& entry, std::uint64_t generations_reserved);

/// Fills spec, uuid, accessor, creation and generations. False when the bytes are no record.
bool decode_record(const std::string& record, mount_entry& entry);

}  // namespace bulkhead
