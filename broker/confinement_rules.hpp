// SPDX-License-Identifier: Apache-2.0
#pragma once

// What comes out when broker, release, mount and manifest each say something of confinement. Pure.
//
//     profile   the mount's, else the release's, else interpreter for a release that is a script,
//               which starts in no other, else the broker's; a manifest may name a narrower one,
//               and the narrower one it is. One that is wider, or that cannot be compared, is
//               refused: its maker says that the program does not work in less.
//     limits    each one by itself: the mount's, else the release's, else the broker's, else the
//               built-in one; then the smaller of that and the manifest's
//     waivers   of the three operators' words together; a manifest has none
//     grants    likewise. The `grant` lines of a manifest ask for capabilities of the broker's own,
//               and open nothing of the machine.
//
// Narrower means: it tries no wall less, and requires no wall less.
//
// Refusals are exceptions in the shape of schema/error.capnp, and name the word that is wrong.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/confinement/confinement.hpp"
#include "broker/confinement_words.hpp"

namespace bulkhead {

inline constexpr std::size_t grants_max = 64;
inline constexpr std::size_t grant_bytes_max = 4096;

/// What a release's manifest says of confinement.
struct manifest_bounds {
  std::string profile;  // empty: nothing
  std::vector<std::pair<std::string, std::uint64_t>> limits;
};

/// Fails with invalid_argument, naming it, for a word that means nothing, and for a grant that the
/// profile beside it cannot give.
void check_confinement(const confinement_rules& rules);

/// Of a broker whose operator named none.
profile default_profile(bool root);

/// What a release's program is, as far as confinement asks.
enum class release_form : std::uint8_t { compiled, script };

/// `broker.profile` is not empty. Fails with failed_precondition when the manifest asks for more
/// than it may have, or a grant does not go with the profile, and as check_confinement().
confinement effective_confinement(const confinement_rules& broker, const confinement_rules& release,
                                  const confinement_rules& mount, const manifest_bounds& bounds,
                                  release_form form = release_form::compiled);

/// Whether a program confined by `a` can do nothing that it could not by `b`.
bool narrower_or_same(profile a, profile b);

/// Where the broker connects to for the plugin (Host.connect), as the three operators have it, each
/// once. Holds for unconfined plugins too. Fails as check_confinement().
std::vector<std::string> granted_addresses(const confinement_rules& broker,
                                           const confinement_rules& release,
                                           const confinement_rules& mount);

/// "read-dir:/etc/ssl:/ssl", "net:db.example:5432". Nothing for what is none; `why` says what is
/// wrong then.
std::optional<grant> parse_grant(std::string_view text, std::string& why);
std::string to_string(const grant& one);
/// The same for people who need not know the values: "env:TZ".
std::string grant_shown(const std::string& text);
std::string grant_shown(const grant& one);

/// Every limit by its name, in the order of "memory", "swap", ...
std::vector<named_number> limits_shown(const resource_limits& limits);
/// The names.
const std::vector<std::string>& confinement_limit_names();
/// Whether the amount is one of bytes.
bool is_byte_limit(std::string_view name);

/// The rules with grants as they may be shown.
confinement_rules rules_shown(const confinement_rules& rules);

}  // namespace bulkhead
