// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words of the catalog and of trust, as the embedding API speaks them. What they mean is said
// in schema/admin.capnp, whose structs they mirror.

#include <cstdint>
#include <string>
#include <vector>

#include "broker/confinement_words.hpp"

namespace bulkhead {

struct release_spec {
  std::string kind{};     // "secrets", "auth", "database", "generic"; empty: what the plugin says
  std::string name;       // [a-z0-9][a-z0-9_-]*, at most 64 bytes
  std::string version{};  // semantic; empty: what the manifest, else the plugin, says
  std::string command{};  // the file, relative to the plugin directory; empty: the name
  std::string sha256{};   // that the file must have; empty: whatever it has
  std::vector<std::string> arguments{};
  std::vector<std::string> environment{};  // "NAME=value", beside what every plugin gets
  confinement_rules confinement{};         // of every mount that runs it, on top of the broker's

  bool operator==(const release_spec&) const = default;
};

/// A release of the catalog as it stands at the moment of the question.
struct release_info {
  std::string kind;
  std::string name;
  std::string version;
  std::string command;
  std::string sha256;
  std::uint64_t size_bytes = 0;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // names only
  std::string link;                      // "static", "dynamic", "script"
  std::vector<std::string> signed_by;    // ids of trusted keys with a good signature
  std::uint32_t security_version = 0;
  std::int64_t expires_unix_ms = 0;  // 0: never
  std::int64_t registered_unix_ms = 0;
  bool declared = false;  // the configuration file brought it
  bool pinned = false;
  bool pin_declared = false;         // ... by the configuration file
  bool preferred = false;            // a mount without a version takes it
  std::vector<std::string> used_by;  // mounts that run it, or would with their next start
  std::string refusal;               // when not empty: why it would not start now
  std::uint32_t storage_version = 0;
  confinement_rules confinement{};  // of environment variables only the name
};

struct trusted_key_info {
  std::string id{};        // 64 hex digits
  std::string public_key;  // base64, as the second line of a minisign public key
  std::string name{};
  std::string plugins{};                // "*", "secrets/*", "secrets/kv"; empty: "*", or as it was
  std::int64_t not_before_unix_ms = 0;  // 0: no bound
  std::int64_t not_after_unix_ms = 0;   // 0: no bound
  bool revoked = false;
  std::string reason{};  // of the revocation
  std::int64_t added_unix_ms = 0;
};

enum class signature_rule : std::uint8_t {
  automatic,  // required as soon as any key is trusted
  required,
  optional,  // unsigned releases may run; a signature that is there must be good
};

struct kind_policy_info {
  std::string kind;
  signature_rule policy = signature_rule::automatic;
  bool required = false;  // what that comes to now
};

struct floor_info {
  std::string kind;
  std::string name;
  std::string signers;  // ids joined by "+"
  std::uint32_t security_version = 0;
};

struct trust_report {
  std::vector<trusted_key_info> keys;
  std::vector<kind_policy_info> policies;
  std::vector<floor_info> floors;
  bool development = false;  // files may be mounted unregistered
};

}  // namespace bulkhead
