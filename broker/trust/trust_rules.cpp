// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/trust_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "broker/trust/semantic_version.hpp"
#include "broker/trust/utc_time.hpp"

namespace bulkhead::trust {
namespace {

/// Why a release is refused. Thrown inside judge() only.
struct refused {
  ground why_not;
  std::string what;
  std::string why;
  std::string remedy;
};

std::string title(const candidate& release) {
  return fmt::format("{}/{} {}", quoted(release.kind), quoted(release.name),
                     quoted(release.version));
}

/// "kv-team (0123456789abcdef...)".
std::string title(const std::string& id, const trusted_key& key) {
  constexpr std::size_t digits = 16;
  const std::string short_id = id.substr(0, digits);
  return key.name.empty() ? short_id : fmt::format("{} ({})", quoted(key.name), short_id);
}

// -- Signatures.

/// What a good signature of a known key is worth.
enum class standing { counts, not_yet_valid, expired, out_of_scope, revoked };

standing standing_of(const trusted_key& key, const candidate& release, std::int64_t now_unix_ms) {
  if (key.revoked) return standing::revoked;
  if (!covers(key.plugins, release.kind, release.name)) return standing::out_of_scope;
  if (key.not_after_unix_ms != 0 && now_unix_ms > key.not_after_unix_ms) return standing::expired;
  if (now_unix_ms < key.not_before_unix_ms) return standing::not_yet_valid;
  return standing::counts;
}

refused refuse_standing(const candidate& release, standing worth, const std::string& id,
                        const trusted_key& key) {
  const std::string what = "the release " + title(release) + " has no signature that counts";
  const std::string signer = "it is signed by key " + title(id, key);
  const std::string resign = "have it signed by a key that is trusted for it";
  switch (worth) {
    case standing::revoked:
      return {ground::revoked_signer, what,
              signer + ", which is revoked" +
                  (key.reason.empty() ? std::string() : ": " + quoted(key.reason)),
              resign};
    case standing::out_of_scope:
      return {ground::out_of_scope, what,
              fmt::format("{}, which may sign {} only", signer, quoted(key.plugins)), resign};
    case standing::expired:
      return {
          ground::key_expired, what,
          fmt::format("{}, which expired at {}", signer, utc_from_unix_ms(key.not_after_unix_ms)),
          resign + ", or give the key more time"};
    case standing::not_yet_valid:
    case standing::counts:
      break;
  }
  return {
      ground::key_not_yet_valid, what,
      fmt::format("{}, which is valid from {}", signer, utc_from_unix_ms(key.not_before_unix_ms)),
      "wait until then, or look at the clock of this machine"};
}

/// The known key that made a signature; the end of the map when it is unknown.
std::map<std::string, trusted_key>::const_iterator signer_of(const trust_state& state,
                                                             const candidate& release,
                                                             const signature_block& block) {
  std::string bears;
  for (auto at = state.keys.begin(); at != state.keys.end(); ++at) {
    if (at->second.key.hint != block.hint) continue;
    if (fits(block, at->second.key.key, release.manifest)) return at;
    bears = title(at->first, at->second);
  }
  if (!bears.empty()) {
    throw refused{ground::broken_signature,
                  "a signature of the release " + title(release) + " is broken",
                  fmt::format("it bears the mark of key {} and does not fit the manifest: one of "
                              "the two, or the signature's comment, was changed",
                              bears),
                  "get the manifest and its signature from their source again"};
  }
  return state.keys.end();
}

std::vector<signature_block> read_signatures(const candidate& release) {
  try {
    return parse_signatures(release.signatures);
  } catch (const refusal& problem) {
    throw refused{ground::bad_signature_file, problem.what(), problem.why(),
                  "get the signature file from its source again"};
  }
}

/// The ids of the keys whose signatures count: at least one, or it throws.
std::vector<std::string> good_signers(const trust_state& state, const candidate& release,
                                      std::int64_t now_unix_ms) {
  std::set<std::string> good;
  std::string best;  // of those that do not count: the one to name
  auto worth = standing::counts;
  for (const auto& block : read_signatures(release)) {
    const auto signer = signer_of(state, release, block);
    if (signer == state.keys.end()) continue;
    const auto found = standing_of(signer->second, release, now_unix_ms);
    if (found == standing::counts) good.insert(signer->first);
    if (found > worth) {
      worth = found;
      best = signer->first;
    }
  }
  if (!good.empty()) return {good.begin(), good.end()};
  if (!best.empty()) throw refuse_standing(release, worth, best, state.keys.at(best));
  throw refused{ground::unknown_signers,
                "the release " + title(release) + " has no signature that counts",
                "none of its signatures is of a key that is trusted here",
                "trust the signer's public key: bulkhead key trust FILE.pub"};
}

/// Likewise; empty for an unsigned release that may run.
std::vector<std::string> check_signatures(const trust_state& state, const candidate& release,
                                          std::int64_t now_unix_ms) {
  if (release.manifest.size() > manifest_bytes_max) return {};  // the parser refuses it, in words
  if (!release.signatures.empty()) {
    if (release.manifest.empty()) {
      throw refused{ground::signatures_alone,
                    "the release " + title(release) + " has signatures but no manifest",
                    "what is signed is the manifest", "put the manifest beside its signatures"};
    }
    return good_signers(state, release, now_unix_ms);
  }
  if (!signature_required(state, release.kind)) return {};
  throw refused{ground::unsigned_release, "the release " + title(release) + " is not signed",
                fmt::format("plugins of kind {} must be", quoted(release.kind)),
                "sign it with a trusted key (bulkhead plugin manifest, bulkhead key sign), or set "
                "the policy of this kind to optional"};
}

// -- What the manifest says.

void check_identity(const manifest& says, const candidate& release) {
  const std::string again = "register the plugin as what its manifest says it is";
  if (says.kind != release.kind || says.name != release.name) {
    throw refused{ground::other_plugin, "the manifest is of another plugin than " + title(release),
                  fmt::format("it is of {}/{}", says.kind, says.name), again};
  }
  if (says.version != release.version) {
    throw refused{ground::other_version,
                  "the manifest is of another version than " + title(release),
                  "it is of version " + says.version, again};
  }
}

void check_bytes(const manifest& says, const candidate& release) {
  if (says.sha256 == release.sha256 && says.size_bytes == release.size_bytes) return;
  const std::string why = says.sha256 != release.sha256
                              ? fmt::format("its SHA-256 is {}; the manifest says {}",
                                            to_hex(release.sha256), to_hex(says.sha256))
                              : fmt::format("it has {} bytes; the manifest says {}",
                                            release.size_bytes, says.size_bytes);
  throw refused{ground::other_bytes,
                "the file is not the one that the manifest of " + title(release) + " is about", why,
                "get the file from its source again"};
}

void check_surroundings(const manifest& says, const candidate& release,
                        const circumstances& around) {
  if (says.os_arch != around.os_arch) {
    throw refused{ground::other_machine, "the release " + title(release) + " is for other machines",
                  fmt::format("it is for {}; this is {}", says.os_arch, around.os_arch),
                  "get the build for this machine"};
  }
  if (says.min_broker.empty()) return;
  const auto least = parse_version(says.min_broker);
  const auto broker = parse_version(around.broker_version);
  if (least && broker && std::is_gteq(compare(*broker, *least))) return;
  throw refused{ground::broker_too_old, "the release " + title(release) + " wants a newer broker",
                fmt::format("it wants {}; this is {}", says.min_broker, around.broker_version),
                "upgrade the broker, or run an older release"};
}

void check_times(const manifest& says, const candidate& release, std::int64_t now_unix_ms) {
  if (now_unix_ms < says.not_before_unix_ms) {
    throw refused{
        ground::not_yet_valid, "the release " + title(release) + " is not valid yet",
        fmt::format("it is from {} on; now it is {}", utc_from_unix_ms(says.not_before_unix_ms),
                    utc_from_unix_ms(now_unix_ms)),
        "wait until then, or look at the clock of this machine"};
  }
  if (says.expires_unix_ms != 0 && now_unix_ms >= says.expires_unix_ms) {
    throw refused{ground::expired, "the release " + title(release) + " has expired",
                  fmt::format("it expired at {}", utc_from_unix_ms(says.expires_unix_ms)),
                  "get a newer release, or this one with a newer manifest"};
  }
}

void check_floor(const trust_state& state, const candidate& release, const manifest& says,
                 const std::vector<std::string>& signers) {
  const auto floor = floor_for(state, release.kind, release.name, signers);
  if (says.security_version >= floor) return;
  throw refused{ground::below_floor, "the release " + title(release) + " is older than what ran",
                fmt::format("its security version is {}; one of {} has been started, signed by "
                            "the same key",
                            says.security_version, floor),
                "run a newer release; if that one was not its maker's, revoke the key"};
}

std::vector<std::string_view> split_signers(std::string_view joined) {
  std::vector<std::string_view> ids;
  while (!joined.empty()) {
    const auto end = std::min(joined.find('+'), joined.size());
    ids.push_back(joined.substr(0, end));
    joined.remove_prefix(std::min(end + 1, joined.size()));
  }
  return ids;
}

void judge_into(verdict& result, const trust_state& state, const candidate& release,
                const circumstances& around) {
  // Signatures first: of a signed manifest nothing is read before somebody known has vouched for
  // it.
  auto signers = check_signatures(state, release, around.now_unix_ms);
  if (release.manifest.empty()) return;
  try {
    result.manifest = parse_manifest(release.manifest);
  } catch (const refusal& problem) {
    throw refused{ground::bad_manifest, problem.what(), problem.why(), problem.remedy()};
  }
  const auto& says = *result.manifest;
  check_identity(says, release);
  check_bytes(says, release);
  check_surroundings(says, release, around);
  check_times(says, release, around.now_unix_ms);
  check_floor(state, release, says, signers);
  result.signers = std::move(signers);
}

}  // namespace

verdict judge(const trust_state& state, const candidate& release, const circumstances& around) {
  verdict result;
  try {
    judge_into(result, state, release, around);
  } catch (refused& no) {
    result.refused = no.why_not;
    result.what = std::move(no.what);
    result.why = std::move(no.why);
    result.remedy = std::move(no.remedy);
  }
  return result;
}

bool signature_required(const trust_state& state, std::string_view kind) {
  const auto found = state.policies.find(std::string(kind));
  const auto policy = found == state.policies.end() ? signature_policy::automatic : found->second;
  if (policy == signature_policy::automatic) return !state.keys.empty();
  return policy == signature_policy::required;
}

std::optional<std::pair<floor_key, std::uint32_t>> next_floor(const trust_state& state,
                                                              const candidate& release,
                                                              const verdict& accepted) {
  if (!accepted.accepted() || accepted.signers.empty() || !accepted.manifest) return std::nullopt;
  floor_key key{std::string(release.kind), std::string(release.name),
                joined_signers(accepted.signers)};
  const auto version = accepted.manifest->security_version;
  const auto found = state.floors.find(key);
  if (version == 0 || (found != state.floors.end() && found->second >= version)) {
    return std::nullopt;
  }
  return std::make_pair(std::move(key), version);
}

std::uint32_t floor_for(const trust_state& state, std::string_view kind, std::string_view name,
                        const std::vector<std::string>& signers) {
  std::uint32_t highest = 0;
  // There may be floors of thousands of plugins: only those of this one are looked at.
  auto at = state.floors.lower_bound({std::string(kind), std::string(name), {}});
  for (; at != state.floors.end() && at->first.kind == kind && at->first.name == name; ++at) {
    const auto& [key, version] = *at;
    const auto ids = split_signers(key.signers);
    const bool shared = std::any_of(ids.begin(), ids.end(), [&](std::string_view id) {
      return std::find(signers.begin(), signers.end(), id) != signers.end();
    });
    if (shared) highest = std::max(highest, version);
  }
  return highest;
}

std::vector<floor_key> idle_floors(const trust_state& state) {
  std::vector<floor_key> idle;
  for (const auto& [key, version] : state.floors) {
    const auto ids = split_signers(key.signers);
    const bool all_revoked = std::all_of(ids.begin(), ids.end(), [&](std::string_view id) {
      const auto found = state.keys.find(std::string(id));
      return found != state.keys.end() && found->second.revoked;
    });
    if (all_revoked) idle.push_back(key);
  }
  return idle;
}

std::string joined_signers(const std::vector<std::string>& signers) {
  auto sorted = signers;
  std::sort(sorted.begin(), sorted.end());
  return fmt::format("{}", fmt::join(sorted, "+"));
}

bool covers(std::string_view pattern, std::string_view kind, std::string_view name) {
  if (pattern == "*") return true;
  const auto slash = pattern.find('/');
  if (slash == std::string_view::npos || pattern.substr(0, slash) != kind) return false;
  const auto names = pattern.substr(slash + 1);
  return names == "*" || names == name;
}

}  // namespace bulkhead::trust
