// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is trusted, as it lies in the store (schema/state.capnp), and as the embedding API says it.
// Pure.

#include <optional>
#include <string>
#include <string_view>

#include "broker/releases.hpp"
#include "broker/trust/trust_rules.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

inline constexpr std::string_view trust_prefix = "trust/";
inline constexpr std::string_view trust_keys_prefix = "trust/keys/";
inline constexpr std::string_view trust_policies_prefix = "trust/policy/";
inline constexpr std::string_view trust_floors_prefix = "trust/floors/";

std::string trust_key_key(const std::string& id);
std::string trust_policy_key(const std::string& kind);
std::string trust_floor_key(const trust::floor_key& floor);
/// Nothing when the key is not that of a floor.
std::optional<trust::floor_key> floor_of_key(std::string_view key);

std::string encode_trusted_key(const trust::trusted_key& from);
/// Nothing when the bytes are no record of a sound key.
std::optional<trust::trusted_key> decode_trusted_key(const std::string& record);

trusted_key_info describe(const trust::trusted_key& key);
/// Throws trust::refusal for a public key, pattern, name or time that cannot be.
trust::trusted_key read_trusted_key(const trusted_key_info& from);

void write_trusted_key(const trusted_key_info& from, schema::TrustedKey::Builder to);
trusted_key_info read_trusted_key(schema::TrustedKey::Reader from);

}  // namespace bulkhead
