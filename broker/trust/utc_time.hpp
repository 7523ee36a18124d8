// SPDX-License-Identifier: Apache-2.0
#pragma once

// Moments as people and manifests write them: 2026-11-01T00:00:00Z, whole seconds in UTC.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::trust {

/// Nothing unless it is exactly of that form, with a date that exists, from 1970-01-01T00:00:01Z to
/// the end of 9999.
std::optional<std::int64_t> unix_ms_from_utc(std::string_view text);

/// The last moment that has a spelling here.
inline constexpr std::int64_t utc_unix_ms_max = 253'402'300'799'999;

/// The reverse, from 1970 to `utc_unix_ms_max`; parts of a second are cut off.
std::string utc_from_unix_ms(std::int64_t unix_ms);

}  // namespace bulkhead::trust
