// SPDX-License-Identifier: Apache-2.0
//
// Names and texts that kv's handlers share: keys of the view, times, and the errors about paths.
// See record.capnp for the keys.
#pragma once

#include <cstdint>
#include <string>

#include "plugins/kv/record.hpp"
#include "plugins/sdk/request.hpp"

namespace bulkhead::kv {

inline const std::string config_key = "c";
std::string record_key(const std::string& path);
std::string version_key(const std::string& path, std::uint64_t number);

/// "2026-11-22T23:12:05.250Z"
std::string time_text(std::int64_t unix_ms);

[[noreturn]] void no_secret(const std::string& path);
/// The capture `path`; throws when it is above secret_path_bytes_max.
const std::string& checked_path(const sdk::request& what);

sdk::fields describe(const version_info& version);
sdk::fields describe_custom(const key_record& key);
sdk::response with_remarks(const version_change& change);

}  // namespace bulkhead::kv
