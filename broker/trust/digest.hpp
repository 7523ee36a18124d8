// SPDX-License-Identifier: Apache-2.0
#pragma once

// Hashes and the texts that carry bytes: SHA-256 as hexadecimal digits, base64. Reading is strict:
// a value has one spelling, and nothing else is taken for it.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::trust {

/// A SHA-256.
struct digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const digest&) const = default;  // NOLINT(modernize-use-nullptr)
};

digest sha256(std::string_view bytes);

/// The same of bytes that come in pieces.
class sha256_hasher {
 public:
  sha256_hasher();
  ~sha256_hasher();
  sha256_hasher(const sha256_hasher&) = delete;
  sha256_hasher& operator=(const sha256_hasher&) = delete;
  sha256_hasher(sha256_hasher&&) = delete;
  sha256_hasher& operator=(sha256_hasher&&) = delete;

  void add(const void* data, std::size_t size);

  /// Of all that was added. Afterwards the hasher begins anew.
  digest finish();

 private:
  struct context;
  std::unique_ptr<context> context_;
};

/// BLAKE2b with 64 bytes of output, as minisign hashes a file before it signs.
std::array<std::uint8_t, 64> blake2b_512(std::string_view bytes);

/// 64 digits in lower case.
std::string to_hex(const digest& value);

/// Nothing unless `text` is 64 digits in lower case.
std::optional<digest> digest_from_hex(std::string_view text);

std::string base64_encode(std::string_view bytes);

/// Nothing unless `text` is what base64_encode() writes: padded, without blanks, and with no bits
/// set that stand for nothing. Leaves no copy behind, as it may be of a secret key.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace bulkhead::trust
