// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ed25519 keys and signatures, by OpenSSL's EVP, with the checks that OpenSSL 3.0 leaves out.
//
// OpenSSL 3.0 takes public keys of small order. With such a key there are signatures that fit many
// messages, so whoever talks an operator into trusting one can sign without a secret. And some
// points have two encodings, so a key could be known under two names. Both are refused here, for
// keys and for the point R of a signature, by the rules of libsodium: no small order, canonical
// encodings only, S below the order of the group. A signature that passes has one form: nobody can
// make a second one out of it.
//
// A key's identity is its key_id(), a hash of the key itself. The eight bytes by which minisign
// names keys are chosen by whoever makes the file; they only say which keys are worth trying.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::trust {

struct public_key {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const public_key&) const = default;
};

using signature = std::array<std::uint8_t, 64>;

/// A seed and what follows from it. Its bytes are overwritten when it is destroyed or moved from.
class secret_key {
 public:
  using seed_bytes = std::array<std::uint8_t, 32>;

  /// The key of this seed. The caller's copy stays the caller's to cleanse.
  explicit secret_key(const seed_bytes& seed);
  ~secret_key();
  secret_key(secret_key&& other) noexcept;
  secret_key& operator=(secret_key&& other) noexcept;
  secret_key(const secret_key&) = delete;
  secret_key& operator=(const secret_key&) = delete;

  /// From the operating system's randomness.
  static secret_key generate();

  const seed_bytes& seed() const { return seed_; }
  const public_key& verifier() const { return public_; }

 private:
  seed_bytes seed_;
  public_key public_;
};

/// False for encodings that are not canonical and for points of small order. Whether there is a
/// point at all shows when something is verified.
bool is_sound(const public_key& key);

/// 64 hexadecimal digits: SHA-256 of "bulkhead-key-v1", NUL, and the key.
std::string key_id(const public_key& key);

signature sign(const secret_key& key, std::string_view bytes);

/// True when the holder of `key` signed exactly these bytes. An unsound key or R never fits.
bool fits(const public_key& key, const signature& value, std::string_view bytes);

/// Overwrites memory in a way that is not optimised away.
void cleanse(void* data, std::size_t size);
void cleanse(std::string& text);

}  // namespace bulkhead::trust
