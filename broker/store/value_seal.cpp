// SPDX-License-Identifier: Apache-2.0
#include "broker/store/value_seal.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>

#include "broker/store/store_failure.hpp"

namespace bulkhead {
namespace {

constexpr unsigned char seal_version = 1;
constexpr std::size_t id_at = 1;
constexpr std::size_t nonce_at = 9;
constexpr std::size_t text_at = nonce_at + seal_nonce_bytes;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t block_bytes = 16;
constexpr std::size_t gcm_nonce_bytes = 12;

using block = std::array<unsigned char, block_bytes>;
using derived_key = std::array<unsigned char, state_key_bytes>;

void require(bool done) {
  if (done) return;
  throw store_error(store_fault::internal, "OpenSSL could not encrypt or decrypt a value");
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text, std::size_t at) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}

std::string head_of(std::uint64_t id) {
  std::string head(nonce_at, '\0');
  head[0] = static_cast<char>(seal_version);
  for (std::size_t i = 0; i < 8; ++i) head[id_at + i] = static_cast<char>(id >> (56 - 8 * i));
  return head;
}

/// The first subkey of CMAC: doubling in GF(2^128).
block doubled(const block& from) {
  block to{};
  for (std::size_t i = 0; i < block_bytes; ++i) {
    const unsigned next = i + 1 < block_bytes ? from[i + 1] : 0U;
    to[i] = static_cast<unsigned char>((from[i] << 1U) | (next >> 7U));
  }
  if ((from[0] & 0x80U) != 0) to[block_bytes - 1] ^= 0x87U;
  return to;
}

/// Wipes what it refers to at the end of the scope.
template <class T>
class wiped {
 public:
  explicit wiped(T& what) : what_(what) {}
  wiped(const wiped&) = delete;
  wiped& operator=(const wiped&) = delete;
  ~wiped() { OPENSSL_cleanse(what_.data(), what_.size()); }

 private:
  T& what_;
};

}  // namespace

struct value_seal::machinery {
  machinery()
      : gcm(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)),
        ecb(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr)),
        context(EVP_CIPHER_CTX_new()) {
    if (gcm == nullptr || ecb == nullptr || context == nullptr) {
      release();
      require(false);
    }
  }
  machinery(const machinery&) = delete;
  machinery& operator=(const machinery&) = delete;
  ~machinery() { release(); }

  void release() const {
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(gcm);
    EVP_CIPHER_free(ecb);
  }

  /// Two blocks of CMAC in counter mode, over the first half of the nonce.
  void derive(const state_key& from, const unsigned char* nonce, derived_key& to) const {
    int size = 0;
    block zero{};
    block encrypted{};
    const wiped wipe_encrypted(encrypted);
    require(EVP_CIPHER_CTX_reset(context) == 1 &&
            EVP_EncryptInit_ex2(context, ecb, from.bytes.data(), nullptr, nullptr) == 1 &&
            EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
            EVP_EncryptUpdate(context, encrypted.data(), &size, zero.data(), block_bytes) == 1);
    auto subkey = doubled(encrypted);
    const wiped wipe_subkey(subkey);
    std::array<unsigned char, 2 * block_bytes> input{};
    const wiped wipe_input(input);
    for (std::size_t i = 0; i < 2; ++i) {
      auto* at = input.data() + i * block_bytes;
      const std::array<unsigned char, 4> head{0, static_cast<unsigned char>(i + 1), 'X', 0};
      std::copy(head.begin(), head.end(), at);
      std::copy(nonce, nonce + gcm_nonce_bytes, at + head.size());
      for (std::size_t j = 0; j < block_bytes; ++j) at[j] ^= subkey[j];
    }
    require(EVP_EncryptUpdate(context, to.data(), &size, input.data(), 2 * block_bytes) == 1);
  }

  EVP_CIPHER* gcm;
  EVP_CIPHER* ecb;
  EVP_CIPHER_CTX* context;
};

std::uint64_t state_key_id(const std::array<unsigned char, state_key_bytes>& key) {
  std::string text = "bulkhead-state-key-v1";
  text.push_back('\0');
  text.append(reinterpret_cast<const char*>(key.data()), key.size());
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(bytes_of(text), text.size(), hash.data());
  OPENSSL_cleanse(text.data(), text.size());
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < 8; ++i) id = id << 8U | hash.at(i);
  return id;
}

std::optional<std::uint64_t> sealed_with(std::string_view sealed) {
  if (sealed.size() < seal_overhead_bytes || sealed[0] != static_cast<char>(seal_version)) {
    return std::nullopt;
  }
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    id = id << 8U | static_cast<unsigned char>(sealed[id_at + i]);
  }
  return id;
}

value_seal::value_seal() : openssl_(std::make_unique<machinery>()) {}
value_seal::~value_seal() = default;

std::string value_seal::seal(const state_key& key, const seal_nonce& nonce, std::string_view name,
                             std::string_view value) {
  derived_key once{};
  const wiped wipe(once);
  openssl_->derive(key, nonce.data(), once);
  auto* context = openssl_->context;
  std::string sealed = head_of(key.id);
  sealed.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  sealed.resize(value.size() + seal_overhead_bytes);
  int size = 0;
  require(EVP_CIPHER_CTX_reset(context) == 1 &&
          EVP_EncryptInit_ex2(context, openssl_->gcm, once.data(), nonce.data() + gcm_nonce_bytes,
                              nullptr) == 1 &&
          EVP_EncryptUpdate(context, nullptr, &size, bytes_of(name),
                            static_cast<int>(name.size())) == 1);
  if (!value.empty()) {
    require(EVP_EncryptUpdate(context, bytes_of(sealed, text_at), &size, bytes_of(value),
                              static_cast<int>(value.size())) == 1);
  }
  auto* tag = bytes_of(sealed, text_at + value.size());
  require(EVP_EncryptFinal_ex(context, tag, &size) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag) == 1);
  return sealed;
}

std::optional<std::string> value_seal::open(const state_key& key, std::string_view name,
                                            std::string_view sealed) {
  if (sealed_with(sealed) != key.id) return std::nullopt;
  const auto* nonce = bytes_of(sealed) + nonce_at;
  derived_key once{};
  const wiped wipe(once);
  openssl_->derive(key, nonce, once);
  auto* context = openssl_->context;
  std::string value(sealed.size() - seal_overhead_bytes, '\0');
  std::array<unsigned char, tag_bytes> tag{};
  std::copy_n(bytes_of(sealed) + text_at + value.size(), tag_bytes, tag.begin());
  int size = 0;
  require(EVP_CIPHER_CTX_reset(context) == 1 &&
          EVP_DecryptInit_ex2(context, openssl_->gcm, once.data(), nonce + gcm_nonce_bytes,
                              nullptr) == 1 &&
          EVP_DecryptUpdate(context, nullptr, &size, bytes_of(name),
                            static_cast<int>(name.size())) == 1);
  if (!value.empty()) {
    require(EVP_DecryptUpdate(context, bytes_of(value, 0), &size, bytes_of(sealed) + text_at,
                              static_cast<int>(value.size())) == 1);
  }
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1);
  if (EVP_DecryptFinal_ex(context, tag.data(), &size) == 1) return value;
  OPENSSL_cleanse(value.data(), value.size());
  return std::nullopt;
}

}  // namespace bulkhead
