// SPDX-License-Identifier: Apache-2.0
#include "broker/images/sha256.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

namespace bulkhead {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{128} << 10U;
constexpr std::string_view digits = "0123456789abcdef";

struct free_context {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// OpenSSL fails here only for want of memory.
void check(int done) {
  if (done != 1) throw std::bad_alloc{};
}

int digit_of(char letter) {
  if (letter >= 'A' && letter <= 'F') letter = static_cast<char>(letter - 'A' + 'a');
  const auto at = digits.find(letter);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string to_hex(const sha256_digest& digest) {
  std::string text;
  text.reserve(2 * digest.size());
  for (const unsigned byte : digest) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

std::optional<sha256_digest> sha256_from_hex(std::string_view text) {
  sha256_digest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = digit_of(text[2 * i]);
    const int low = digit_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

sha256_digest sha256_of(int fd, std::uint64_t size) {
  const std::unique_ptr<EVP_MD_CTX, free_context> context{EVP_MD_CTX_new()};
  check(context ? EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) : 0);
  std::vector<unsigned char> chunk(chunk_bytes);
  for (std::uint64_t at = 0; at < size;) {
    const auto wanted = std::min<std::uint64_t>(chunk.size(), size - at);
    const auto got = ::pread(fd, chunk.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw std::system_error{got < 0 ? errno : EIO, std::generic_category(), "pread"};
    check(EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(got)));
    at += static_cast<std::uint64_t>(got);
  }
  sha256_digest digest{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(context.get(), digest.data(), &length));
  return digest;
}

}  // namespace bulkhead
