// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the reader and the printer of manifests share.

#include <array>
#include <string_view>

namespace bulkhead::trust {

inline constexpr std::string_view manifest_header = "BULKHEAD-MANIFEST-V1";

/// The names of the fields, in the order of their lines.
inline constexpr std::array<std::string_view, 15> manifest_fields = {
    "kind",       "name",       "version",   "security-version", "os-arch", "protocol",
    "min-broker", "not-before", "expires",   "artifact",         "profile", "limit",
    "grants",     "grant",      "provenance"};

}  // namespace bulkhead::trust
