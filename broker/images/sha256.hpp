// SPDX-License-Identifier: Apache-2.0
#pragma once

// SHA-256 of what a descriptor holds, and digests as text.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

using sha256_digest = std::array<std::uint8_t, 32>;

/// 64 lower-case hex digits.
std::string to_hex(const sha256_digest& digest);

/// Exactly 64 hex digits, of either case; anything else is nothing.
std::optional<sha256_digest> sha256_from_hex(std::string_view text);

/// Of bytes 0 to `size` of a descriptor that can be read at offsets. Throws std::system_error when
/// they cannot be read, also when there are fewer.
sha256_digest sha256_of(int fd, std::uint64_t size);

}  // namespace bulkhead
