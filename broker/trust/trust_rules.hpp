// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a release may start: the rules, as a pure function of what is trusted, of the release,
// and of the moment. The catalog asks at registration and before every start.
//
// Signatures. A policy for each kind of plugin says whether one is needed: `required`, `optional`,
// or `automatic`, which means required as soon as the store knows any key. A revoked key counts
// there too: to revoke one must never let more run than before. A signature that is there has to
// be good whatever the policy: one of a key that is trusted, covers the plugin, is within its time
// and not revoked. Signatures of unknown keys beside a good one are nobody's business; one that
// bears the hint of a trusted key and does not fit it is damage or an attack, and refused.
//
// Rotation. Two keys may be trusted at once, and a release may be signed by both: it starts as long
// as one of them stands. A key's end (`not_after`) ends its signatures, whenever they were made: a
// signature carries no time that a thief of the key could not write.
//
// Rollback. Every start of a signed release leaves a floor: kind, name, who signed, and its
// security version; see next_floor(). A release is refused when its security version is below a
// floor that shares a signer with it.
//   * Shares, not equals: else an old release signed by one key would pass beside the floor of
//     newer ones that were signed by two.
//   * Not simply the highest of all: else a thief who signs security version 4294967295 once locks
//     the plugin's users out for good (a fast-forward attack). As it is, the thief raises floors of
//     the stolen key only. Revoked keys are nobody's signers, so revocation lifts these floors, and
//     keeps those that another signer has left with its own signature.
//   * What remains: of a release that was signed by two keys, one signature can be cut off. The
//     floors of the other key still hold.
// Unsigned releases have no floor: nobody vouches for their numbers.
//
// The clock is the broker's. Whoever sets it back revives what has expired; expiry bounds how long
// an old release can be passed off as the newest one, no more than that.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "broker/trust/manifest.hpp"
#include "broker/trust/minisign.hpp"

namespace bulkhead::trust {

inline constexpr std::size_t trusted_keys_max = 1024;
inline constexpr std::size_t key_name_bytes_max = 128;

struct trusted_key {
  minisign_public_key key;
  std::string name;                     ///< for people
  std::string plugins = "*";            ///< "*", "secrets/*", "secrets/kv"
  std::int64_t not_before_unix_ms = 0;  ///< 0: no bound
  std::int64_t not_after_unix_ms = 0;   ///< the last moment; 0: no bound
  bool revoked = false;
  std::string reason;  ///< of the revocation
  std::int64_t added_unix_ms = 0;
};

enum class signature_policy { automatic, required, optional };
std::string_view to_text(signature_policy policy);
std::optional<signature_policy> policy_from_text(std::string_view text);

/// A floor's place in the store: trust/floors/<kind>/<name>/<signers>.
struct floor_key {
  std::string kind;
  std::string name;
  std::string signers;  ///< key ids, rising, joined by "+"
  bool operator==(const floor_key&) const = default;
  bool operator<(const floor_key& other) const {
    return std::tie(kind, name, signers) < std::tie(other.kind, other.name, other.signers);
  }
};

struct trust_state {
  std::map<std::string, trusted_key> keys;           ///< by key_id()
  std::map<std::string, signature_policy> policies;  ///< by kind; one that is missing is automatic
  std::map<floor_key, std::uint32_t> floors;         ///< the highest security version started
};

/// What is to be judged. The digest and size are those of the bytes that would run.
struct candidate {
  std::string_view kind;
  std::string_view name;
  std::string_view version;
  digest sha256;
  std::uint64_t size_bytes = 0;
  std::string_view manifest;    ///< the file as it is; empty: none
  std::string_view signatures;  ///< likewise
};

struct circumstances {
  std::int64_t now_unix_ms = 0;
  std::string_view broker_version;
  std::string_view os_arch;  ///< this_os_arch()
};

/// Why not, for programs and tests; `verdict` has the words.
enum class ground {
  none,                // accepted
  unsigned_release,    // a signature is required
  signatures_alone,    // signatures without a manifest
  bad_signature_file,  // no such form
  unknown_signers,     // no key that is trusted
  broken_signature,    // bears a trusted key's hint and does not fit it
  revoked_signer,      // the good signatures are of revoked keys
  out_of_scope,        // ... of keys that may not sign this plugin
  key_not_yet_valid,
  key_expired,
  bad_manifest,  // no such form
  other_plugin,  // another kind or name
  other_version,
  other_bytes,  // another hash or size
  other_machine,
  broker_too_old,
  not_yet_valid,
  expired,
  below_floor,
};
std::string_view to_text(ground why_not);

struct verdict {
  ground refused = ground::none;
  std::vector<std::string> signers;         ///< ids of the keys whose signatures count, rising
  std::optional<trust::manifest> manifest;  ///< when there is one and it could be read
  std::string what;                         ///< of a refusal, one line each; see refusal.hpp
  std::string why;
  std::string remedy;

  bool accepted() const { return refused == ground::none; }
};

/// Pure. Costs up to two verifications for each signature whose hint is that of a trusted key.
verdict judge(const trust_state& state, const candidate& release, const circumstances& around);

/// Whether releases of this kind need a signature now.
bool signature_required(const trust_state& state, std::string_view kind);

/// The floor to store once an accepted release has started; nothing when it is there already, or
/// the release is unsigned.
std::optional<std::pair<floor_key, std::uint32_t>> next_floor(const trust_state& state,
                                                              const candidate& release,
                                                              const verdict& accepted);

/// The highest floor that a release of these signers must reach; 0: none.
std::uint32_t floor_for(const trust_state& state, std::string_view kind, std::string_view name,
                        const std::vector<std::string>& signers);

/// Floors that say nothing any more because each of their signers is revoked: to be deleted.
std::vector<floor_key> idle_floors(const trust_state& state);

/// Key ids joined by "+", as in floor_key. They are sorted.
std::string joined_signers(const std::vector<std::string>& signers);

/// Whether a key's pattern covers a plugin.
bool covers(std::string_view pattern, std::string_view kind, std::string_view name);

/// Throws `refusal` for a pattern, name, reason or time that a trusted key cannot have, and for a
/// key that is not sound.
void check_trusted_key(const trusted_key& key);

}  // namespace bulkhead::trust
