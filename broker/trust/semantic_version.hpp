// SPDX-License-Identifier: Apache-2.0
#pragma once

// Versions as in semver.org, 2.0.0: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]. No leading "v".

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::trust {

inline constexpr std::size_t version_bytes_max = 64;

struct semantic_version {
  std::uint32_t major_number = 0;
  std::uint32_t minor_number = 0;
  std::uint32_t patch_number = 0;
  std::vector<std::string> prerelease;  ///< its parts; none: a stable version
  std::string build;                    ///< counts for nothing

  bool stable() const { return prerelease.empty(); }
};

/// Nothing unless `text` follows the rules and has at most `version_bytes_max` bytes.
std::optional<semantic_version> parse_version(std::string_view text);

/// Precedence: 1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-beta < 1.0.0 < 1.0.1; the build is left out.
std::weak_ordering compare(const semantic_version& a, const semantic_version& b);

}  // namespace bulkhead::trust
