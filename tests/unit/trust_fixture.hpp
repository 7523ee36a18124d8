// SPDX-License-Identifier: Apache-2.0
//
// Keys from seeds, a manifest, its signatures, and a trust store in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/trust/trust_rules.hpp"
#include "broker/trust/utc_time.hpp"

namespace bulkhead::testing {

inline trust::minisign_secret_key key_of(std::uint8_t number) {
  trust::secret_key::seed_bytes seed{};
  seed.fill(number);
  trust::key_hint hint{};
  hint.fill(static_cast<std::uint8_t>(number + 100));
  return {hint, trust::secret_key(seed)};
}

inline std::string id_of(const trust::minisign_secret_key& key) {
  return trust::key_id(key.key.verifier());
}

inline std::int64_t at(std::string_view moment) {
  return trust::unix_ms_from_utc(moment).value();
}

inline const std::string program_bytes = "the bytes of a program";

inline trust::manifest some_manifest() {
  trust::manifest says;
  says.kind = "secrets";
  says.name = "kv";
  says.version = "1.4.2";
  says.security_version = 7;
  says.os_arch = "linux-x86_64";
  says.protocol = 1;
  says.min_broker = "0.1.0";
  says.not_before_unix_ms = at("2026-11-01T00:00:00Z");
  says.expires_unix_ms = at("2027-11-01T00:00:00Z");
  says.sha256 = trust::sha256(program_bytes);
  says.size_bytes = program_bytes.size();
  says.profile = "static-v1";
  says.limits = {{"memory", 268435456}, {"tasks", 16}};
  says.grants = {{"kv-namespace", {{"name", "acme"}, {"quota", "67108864"}}}, {"log", {}}};
  says.provenance = trust::sha256("how it was built");
  return says;
}

inline std::string signed_by(const trust::minisign_secret_key& key, const std::string& bytes) {
  return trust::print_signature(trust::sign_file(bytes, key, "timestamp:1\tfile:kv.manifest"));
}

/// What a broker trusts, a release, and what it thinks of it.
struct trust_fixture {
  trust::minisign_secret_key first = key_of(1);
  trust::minisign_secret_key second = key_of(2);
  trust::trust_state state;
  trust::manifest says = some_manifest();
  std::string manifest_text;  ///< when empty, that of `says`
  std::string signatures;
  std::string broker_version = "0.1.0";
  std::int64_t now = at("2026-12-01T00:00:00Z");
  std::string kind = "secrets";
  std::string name = "kv";
  std::string version = "1.4.2";
  std::string bytes = program_bytes;

  trust_fixture() {
    trusts(first);
    sign_with({&first});
  }

  trust::trusted_key& trusts(const trust::minisign_secret_key& key) {
    auto& entry = state.keys[id_of(key)];
    entry.key = key.verifier();
    return entry;
  }

  std::string text() const {
    return manifest_text.empty() ? trust::print_manifest(says) : manifest_text;
  }

  void sign_with(const std::vector<const trust::minisign_secret_key*>& keys) {
    signatures.clear();
    for (const auto* key : keys) signatures += signed_by(*key, text());
  }

  trust::verdict judge() const { return judge(text()); }

  trust::verdict judge(const std::string& manifest_bytes) const {
    const trust::candidate release = candidate_of(manifest_bytes);
    return trust::judge(state, release, {now, broker_version, "linux-x86_64"});
  }

  /// Judges and, when it may start, does what a broker does after the start.
  trust::verdict start() {
    const std::string manifest_bytes = text();
    auto result = judge(manifest_bytes);
    const auto floor = trust::next_floor(state, candidate_of(manifest_bytes), result);
    if (floor) state.floors[floor->first] = floor->second;
    return result;
  }

  trust::candidate candidate_of(const std::string& manifest_bytes) const {
    return {kind, name, version, trust::sha256(bytes), bytes.size(), manifest_bytes, signatures};
  }
};

}  // namespace bulkhead::testing
