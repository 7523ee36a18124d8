// SPDX-License-Identifier: Apache-2.0
#pragma once

// The manifest of a release: what its maker says of it, and signs.
//
//     BULKHEAD-MANIFEST-V1
//     kind: secrets
//     name: kv
//     version: 1.4.2
//     security-version: 7
//     os-arch: linux-x86_64
//     protocol: 1
//     min-broker: 0.1.0
//     not-before: 2026-11-01T00:00:00Z
//     expires: 2027-11-01T00:00:00Z
//     artifact: plugin sha256=<64 digits> size=3105096 link=static
//     profile: static-v1
//     limit: memory=268435456 tasks=16
//     grants: 2
//     grant: kv-namespace name=acme quota=67108864
//     grant: log
//     provenance: sha256=<64 digits>
//     end
//
// Every line is there, once, in this order; what does not apply says so: "any" for min-broker and
// not-before, "never" for expires, "none" for profile, limit and provenance, "0" for grants. So a
// manifest has one spelling: print(parse(text)) is the text, and no line can be lost, doubled or
// moved without the grammar noticing, signature or not. Limits come in the order of
// `limit_names()`, grants in that of their bytes, both without doubles. ASCII, LF, at most 64 KiB.
//
// The first line is there for the signature: a key that signs manifests signs bytes that begin so,
// and they mean nothing to any other program.
//
// `security-version` is what anti-rollback counts: raise it when older releases must not run again.
// `protocol` is decided by the plugin's hello. `profile`, `limit` and `grant` are what the maker
// asks for or is content with; they can only narrow what an operator allows, and are carried here
// for the broker's confinement to read.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/trust/digest.hpp"
#include "broker/trust/refusal.hpp"

namespace bulkhead::trust {

inline constexpr std::size_t manifest_bytes_max = 64 * 1024;
inline constexpr std::size_t manifest_grants_max = 64;
inline constexpr std::size_t plugin_name_bytes_max = 64;

/// What is known of how a program finds its code: all of it in the file ("static"), with libraries
/// of the machine ("dynamic"), or read by another program ("script").
enum class link_kind { static_link, dynamic_link, script };
std::string_view to_text(link_kind link);
std::optional<link_kind> link_from_text(std::string_view text);

struct manifest_grant {
  std::string name;  ///< [a-z][a-z0-9-]*
  /// Keys as the name; values are [A-Za-z0-9_.:/@+-]+.
  std::vector<std::pair<std::string, std::string>> parameters;
  bool operator==(const manifest_grant&) const = default;
};

struct manifest {
  std::string kind;
  std::string name;
  std::string version;  ///< semantic
  std::uint32_t security_version = 0;
  std::string os_arch;  ///< "linux-x86_64"
  std::uint32_t protocol = 1;
  std::string min_broker;               ///< semantic; empty: any
  std::int64_t not_before_unix_ms = 0;  ///< whole seconds, as `expires`; 0: any
  std::int64_t expires_unix_ms = 0;     ///< 0: never
  digest sha256;
  std::uint64_t size_bytes = 0;
  link_kind link = link_kind::static_link;
  std::string profile;                                        ///< empty: none
  std::vector<std::pair<std::string, std::uint64_t>> limits;  ///< in the order of limit_names()
  std::vector<manifest_grant> grants;                         ///< in the order of their lines
  std::optional<digest> provenance;  ///< of a statement on how it was built

  bool operator==(const manifest&) const = default;
};

/// Throws `refusal`, naming line, field and rule.
manifest parse_manifest(std::string_view text);

/// The reverse. Throws `refusal` for a value that has no spelling: what it returns can be parsed.
std::string print_manifest(const manifest& value);

/// "secrets", "auth", "database", "generic".
const std::vector<std::string_view>& plugin_kinds();
bool is_plugin_kind(std::string_view text);

/// [a-z0-9][a-z0-9_-]*, at most `plugin_name_bytes_max`.
bool is_plugin_name(std::string_view text);

/// The limits that a manifest may name: memory, tasks, cpu-percent, fds, start-ms, call-ms.
const std::vector<std::string_view>& limit_names();

/// The words for the machine that this is compiled for, as in "linux-x86_64".
std::string this_os_arch();

}  // namespace bulkhead::trust
