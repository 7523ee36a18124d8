// SPDX-License-Identifier: Apache-2.0
#pragma once

// A release: what the catalog holds of one version of a plugin, and how that lies in the store
// (schema/state.capnp). Pure.
//
// A release never changes. What changes around it - pins, trust, who uses it - is kept elsewhere
// and asked for when it counts.

#include <capnp/message.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "broker/releases.hpp"
#include "broker/trust/digest.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

inline constexpr std::string_view releases_prefix = "catalog/";
inline constexpr std::string_view pins_prefix = "pins/";
inline constexpr std::string_view declared_pins_prefix = "declared/pins/";

struct release_id {
  std::string kind;
  std::string name;
  std::string version;

  bool operator==(const release_id&) const = default;
  bool operator<(const release_id& other) const {
    return std::tie(kind, name, version) < std::tie(other.kind, other.name, other.version);
  }
};

/// "secrets/kv@1.2.0".
std::string to_string(const release_id& id);

struct release {
  release_spec spec;  // with nothing left empty but arguments and environment
  std::uint64_t size_bytes = 0;
  std::string manifest;    // as signed; empty without one
  std::string signatures;  // likewise
  std::int64_t registered_unix_ms = 0;
  bool declared = false;
  std::string link;
  std::uint32_t storage_version = 0;
  bool options_known = false;
  /// A schema::ReleaseRecord of which only the options count; null when it takes none.
  std::shared_ptr<capnp::MallocMessageBuilder> described;

  release_id id() const { return {spec.kind, spec.name, spec.version}; }
  capnp::List<schema::FieldSpec>::Reader options() const;
};

/// Keeps a copy of the mount options that a plugin told of.
void describe_options(release& to, capnp::List<schema::FieldSpec>::Reader options);

/// Whether the two are the same release, registered at whatever moment: the same bytes by the same
/// words.
bool same_release(const release& a, const release& b);

/// Of the release's bytes. Throws for one that has none, which is no release: what is compared with
/// nothing would be anything.
trust::digest digest_of(const release& of);

std::string release_key(const release_id& id);
std::string pin_key(const std::string& kind, const std::string& name);
/// Holds what the declared state pinned.
std::string declared_pin_key(const std::string& kind, const std::string& name);
/// Nothing when the key is not that of a release.
std::optional<release_id> release_of_key(std::string_view key);

std::string encode_release(const release& from);
/// Nothing when the bytes are no record.
std::optional<release> decode_release(const std::string& record);

/// As in a release: "secrets".
std::string to_string(schema::PluginKind kind);

}  // namespace bulkhead
