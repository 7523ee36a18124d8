// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/digest.hpp"

#include <openssl/evp.h>

#include <stdexcept>

#include "broker/trust/ed25519.hpp"

namespace bulkhead::trust {
namespace {

struct free_context {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using context_ptr = std::unique_ptr<EVP_MD_CTX, free_context>;

/// Hashing fails only where the process has no memory or no such algorithm.
void demand(bool done) {
  if (!done) throw std::runtime_error("OpenSSL cannot hash");
}

template <std::size_t size>
void hash(std::string_view bytes, const EVP_MD* algorithm, std::array<std::uint8_t, size>& to) {
  unsigned written = 0;
  demand(algorithm != nullptr && EVP_MD_get_size(algorithm) == static_cast<int>(size));
  demand(EVP_Digest(bytes.data(), bytes.size(), to.data(), &written, algorithm, nullptr) == 1);
}

const unsigned char* as_bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

digest sha256(std::string_view bytes) {
  digest result;
  hash(bytes, EVP_sha256(), result.bytes);
  return result;
}

std::array<std::uint8_t, 64> blake2b_512(std::string_view bytes) {
  std::array<std::uint8_t, 64> result{};
  hash(bytes, EVP_blake2b512(), result);
  return result;
}

struct sha256_hasher::context {
  context_ptr of{EVP_MD_CTX_new()};

  void begin() { demand(of != nullptr && EVP_DigestInit_ex(of.get(), EVP_sha256(), nullptr) == 1); }
};

sha256_hasher::sha256_hasher() : context_(std::make_unique<context>()) {
  context_->begin();
}

sha256_hasher::~sha256_hasher() = default;

void sha256_hasher::add(const void* data, std::size_t size) {
  demand(EVP_DigestUpdate(context_->of.get(), data, size) == 1);
}

digest sha256_hasher::finish() {
  digest result;
  demand(EVP_DigestFinal_ex(context_->of.get(), result.bytes.data(), nullptr) == 1);
  context_->begin();
  return result;
}

std::string to_hex(const digest& value) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const auto byte : value.bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::optional<digest> digest_from_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  digest result;
  if (text.size() != 2 * result.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = digits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    auto& byte = result.bytes[i / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | digit);
  }
  return result;
}

std::string base64_encode(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                      as_bytes(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  constexpr std::size_t text_bytes_max = 1024 * 1024;
  if (text.size() % 4 != 0 || text.size() > text_bytes_max) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int written = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                      as_bytes(text), static_cast<int>(text.size()));
  const bool decoded = written == static_cast<int>(bytes.size());
  for (std::size_t i = 0; decoded && i < 2 && i < text.size() && text[text.size() - 1 - i] == '=';
       ++i) {
    bytes.pop_back();
  }
  std::string again = base64_encode(bytes);
  const bool same = decoded && again == text;
  cleanse(again);
  if (same) return bytes;
  cleanse(bytes);
  return std::nullopt;
}

}  // namespace bulkhead::trust
