// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/ed25519.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>

#include "broker/trust/digest.hpp"

namespace bulkhead::trust {
namespace {

struct free_key {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct free_context {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, free_key>;
using context_ptr = std::unique_ptr<EVP_MD_CTX, free_context>;

using point = std::array<std::uint8_t, 32>;

/// The y coordinates of the points of small order, without the sign of x.
constexpr std::array<point, 5> small_order = {{
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}};

/// The prime of the field, 2^255 - 19, and the order of the group. Little-endian, as all here.
constexpr point field_prime = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
constexpr point group_order = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                               0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                               0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

/// Of public values: need not take constant time.
bool is_below(const point& a, const point& b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

bool is_sound_point(point encoding) {
  encoding[31] &= 0x7f;  // the sign of x
  return is_below(encoding, field_prime) &&
         std::find(small_order.begin(), small_order.end(), encoding) == small_order.end();
}

void demand(bool done) {
  if (!done) throw std::runtime_error("OpenSSL cannot compute with Ed25519 keys");
}

key_ptr secret_half(const secret_key::seed_bytes& seed) {
  key_ptr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  demand(key != nullptr);
  return key;
}

const unsigned char* as_bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

secret_key::secret_key(const seed_bytes& seed) : seed_(seed) {
  std::size_t size = public_.bytes.size();
  demand(EVP_PKEY_get_raw_public_key(secret_half(seed_).get(), public_.bytes.data(), &size) == 1);
}

secret_key::~secret_key() {
  cleanse(seed_.data(), seed_.size());
}

secret_key::secret_key(secret_key&& other) noexcept : seed_(other.seed_), public_(other.public_) {
  cleanse(other.seed_.data(), other.seed_.size());
}

secret_key& secret_key::operator=(secret_key&& other) noexcept {
  if (this == &other) return *this;
  seed_ = other.seed_;
  public_ = other.public_;
  cleanse(other.seed_.data(), other.seed_.size());
  return *this;
}

secret_key secret_key::generate() {
  seed_bytes seed{};
  demand(RAND_priv_bytes(seed.data(), static_cast<int>(seed.size())) == 1);
  secret_key key(seed);
  cleanse(seed.data(), seed.size());
  return key;
}

bool is_sound(const public_key& key) {
  return is_sound_point(key.bytes);
}

std::string key_id(const public_key& key) {
  using namespace std::string_literals;
  std::string bytes = "bulkhead-key-v1\0"s;
  bytes.append(key.bytes.begin(), key.bytes.end());
  return to_hex(sha256(bytes));
}

signature sign(const secret_key& key, std::string_view bytes) {
  const key_ptr half = secret_half(key.seed());
  const context_ptr context(EVP_MD_CTX_new());
  signature result{};
  std::size_t size = result.size();
  demand(context != nullptr);
  demand(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, half.get()) == 1);
  demand(EVP_DigestSign(context.get(), result.data(), &size, as_bytes(bytes), bytes.size()) == 1);
  return result;
}

bool fits(const public_key& key, const signature& value, std::string_view bytes) {
  point r{};
  point s{};
  std::copy_n(value.begin(), r.size(), r.begin());
  std::copy_n(value.begin() + r.size(), s.size(), s.begin());
  if (!is_sound(key) || !is_sound_point(r) || !is_below(s, group_order)) return false;
  const key_ptr half(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size()));
  const context_ptr context(EVP_MD_CTX_new());
  demand(half != nullptr && context != nullptr);
  demand(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, half.get()) == 1);
  return EVP_DigestVerify(context.get(), value.data(), value.size(), as_bytes(bytes),
                          bytes.size()) == 1;
}

void cleanse(void* data, std::size_t size) {
  OPENSSL_cleanse(data, size);
}

void cleanse(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace bulkhead::trust
