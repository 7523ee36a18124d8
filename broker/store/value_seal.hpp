// SPDX-License-Identifier: Apache-2.0
#pragma once

// How one value is encrypted: XAES-256-GCM (C2SP's name for it), which is AES-256-GCM with a key of
// its own for each value, derived by AES-CMAC from the state's key and half of a random nonce of
// 192 bits.
//
// Why not plain AES-256-GCM: its nonce has 96 bits. Chosen by chance it must not be used more than
// 2^32 times with one key, which a busy broker does in days; counted, it repeats as soon as a
// backup is restored or a machine is cloned, and one repetition gives everything away. With 192
// random bits neither counting nor a bound matters (2^80 values), and rotation is a question of
// policy alone.
//
// The key in the store is part of what is authenticated: a value moved to another key, or to
// another mount, does not open there. What this cannot show is an older value of the same key put
// back in its place.
//
//   byte   0        1 ... 8           9 ... 32   33 ...
//          version  id of the key     nonce      ciphertext as long as the value, then 16 of tag
//
// One thread at a time.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

constexpr std::size_t state_key_bytes = 32;
constexpr std::size_t seal_nonce_bytes = 24;
/// What sealing adds to a value, in bytes.
constexpr std::size_t seal_overhead_bytes = 1 + 8 + seal_nonce_bytes + 16;

struct state_key {
  std::uint64_t id = 0;  ///< The first 8 bytes of a hash of the key. No secret.
  std::array<unsigned char, state_key_bytes> bytes{};
};

using seal_nonce = std::array<unsigned char, seal_nonce_bytes>;

/// The id of a key.
std::uint64_t state_key_id(const std::array<unsigned char, state_key_bytes>& key);

/// The id of the key that a value says it is sealed with; nothing: it is not sealed.
std::optional<std::uint64_t> sealed_with(std::string_view sealed);

class value_seal {
 public:
  value_seal();
  value_seal(const value_seal&) = delete;
  value_seal& operator=(const value_seal&) = delete;
  ~value_seal();

  /// `nonce` must be random and is used once. Throws `store_error` when OpenSSL cannot.
  std::string seal(const state_key& key, const seal_nonce& nonce, std::string_view name,
                   std::string_view value);
  /// Nothing when it was not sealed by this key for this name, or was changed since.
  std::optional<std::string> open(const state_key& key, std::string_view name,
                                  std::string_view sealed);

 private:
  struct machinery;
  std::unique_ptr<machinery> openssl_;
};

}  // namespace bulkhead
