// SPDX-License-Identifier: Apache-2.0
//
// What kv knows of one secret, and the rules by which its versions come and go. Pure: no storage,
// no clock, no promise; kv.cpp reads a record, applies one of the functions here, and writes it
// back on the condition that nobody else did.
//
// Rules: version numbers start at 1, grow by one, and never repeat while the key lives. A version
// is there, deleted (hidden, can come back), or destroyed (its data is gone, its number stays). Of
// the newest `max_versions` versions the rest is forgotten at a write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plugins/sdk/value.hpp"

namespace bulkhead::kv {

/// Versions kept per secret when nothing else is configured.
inline constexpr unsigned max_versions_default = 10;
/// Most versions that can be configured. One transaction of the view (128 changes) must be able to
/// forget them all.
inline constexpr unsigned max_versions_limit = 100;

struct version_info {
  std::uint64_t number = 0;
  std::int64_t created_ms = 0;
  std::int64_t deleted_ms = 0;  ///< 0: not deleted
  bool destroyed = false;
};

struct key_record {
  std::uint64_t current = 0;  ///< the newest version; 0 before the first
  std::int64_t created_ms = 0;
  std::int64_t updated_ms = 0;
  unsigned max_versions = 0;  ///< 0: the configuration's
  bool cas_required = false;
  std::vector<std::pair<std::string, std::string>> custom;
  std::vector<version_info> versions;  ///< oldest first

  version_info* find(std::uint64_t number);
  const version_info* find(std::uint64_t number) const;
};

struct config_record {
  unsigned max_versions = 0;  ///< 0: the mount's option
  bool cas_required = false;
};

/// Adds the next version and forgets the oldest beyond `keep` (at least 1). Returns the numbers
/// that were forgotten and whose data must go.
std::vector<std::uint64_t> add_version(key_record& key, std::int64_t now_ms, unsigned keep);

/// What a change of some versions did: those changed, and a remark for each of the others.
struct version_change {
  std::vector<std::uint64_t> changed;
  std::vector<std::string> remarks;
};
version_change delete_versions(key_record& key, const std::vector<std::uint64_t>& which,
                               std::int64_t now_ms);
version_change undelete_versions(key_record& key, const std::vector<std::uint64_t>& which,
                                 std::int64_t now_ms);
version_change destroy_versions(key_record& key, const std::vector<std::uint64_t>& which,
                                std::int64_t now_ms);

// As bytes for the view, and back. Reading damaged bytes throws a kj::Exception.
sdk::bytes encode(const key_record& key);
key_record decode_key(const sdk::bytes& from);
sdk::bytes encode(const config_record& config);
config_record decode_config(const sdk::bytes& from);
sdk::bytes encode_secret(const sdk::fields& secret);
/// Every value comes back marked secret.
sdk::fields decode_secret(const sdk::bytes& from);

}  // namespace bulkhead::kv
