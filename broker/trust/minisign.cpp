// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/minisign.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

#include "broker/trust/blake2b.hpp"
#include "broker/trust/digest.hpp"

namespace bulkhead::trust {
namespace {

using namespace std::string_literals;

constexpr std::string_view untrusted_mark = "untrusted comment: ";
constexpr std::string_view trusted_mark = "trusted comment: ";

/// A file, line by line, each with a newline at its end.
class line_reader {
 public:
  line_reader(std::string_view text, std::string_view what) : rest_(text), what_(what) {}

  bool at_end() const { return rest_.empty(); }

  std::string_view next(std::string_view field) {
    ++line_;
    field_ = field;
    if (rest_.empty()) fail("it is missing");
    const auto end = rest_.find('\n');
    if (end == std::string_view::npos) fail("the line does not end in a newline");
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }

  std::string comment(std::string_view field, std::string_view mark) {
    const auto line = next(field);
    if (line.substr(0, mark.size()) != mark) fail(fmt::format("it begins with \"{}\"", mark));
    const auto text = line.substr(mark.size());
    if (text.size() > comment_bytes_max) {
      fail(fmt::format("a comment has at most {} bytes", comment_bytes_max));
    }
    if (!is_comment(text)) fail("a comment has no control characters");
    return std::string(text);
  }

  std::string base64(std::string_view field, std::size_t size) {
    const auto line = next(field);
    auto bytes = base64_decode(line);
    if (!bytes) fail("it is no base64, or not in its one right spelling");
    if (bytes->size() != size) {
      cleanse(*bytes);
      fail(fmt::format("it has {} bytes in base64", size));
    }
    return std::move(*bytes);
  }

  [[noreturn]] void fail(const std::string& rule, std::string remedy = {}) const {
    throw refusal(fmt::format("{}, line {}, {}: refused", what_, line_, field_), rule,
                  std::move(remedy));
  }

  static bool is_comment(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
    });
  }

 private:
  std::string_view rest_;
  std::string_view what_;
  std::string_view field_;
  std::size_t line_ = 0;
};

void check_comment(std::string_view text) {
  if (text.size() <= comment_bytes_max && line_reader::is_comment(text)) return;
  throw refusal("this cannot be a comment",
                fmt::format("it is one line of at most {} bytes", comment_bytes_max));
}

template <std::size_t size>
void take(std::string_view& from, std::array<std::uint8_t, size>& to) {
  std::copy_n(from.begin(), size, to.begin());
  from.remove_prefix(size);
}

template <std::size_t size>
std::string_view as_text(const std::array<std::uint8_t, size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Not by iterators: std::string makes a copy of bytes that are no characters, and leaves it
/// behind.
template <std::size_t size>
void put(std::string& to, const std::array<std::uint8_t, size>& from) {
  to += as_text(from);
}

// -- Secret keys: "Ed", two zeros for "not encrypted", "B2", 48 bytes for the key derivation, then
// hint, seed, public key, and a checksum of "Ed" and these.

constexpr std::size_t algorithm_bytes = 2;
constexpr std::size_t derivation_bytes = 32 + 8 + 8;
constexpr std::size_t checksum_bytes = 32;
constexpr std::size_t pair_bytes = 8 + 64;
constexpr std::size_t secret_bytes =
    3 * algorithm_bytes + derivation_bytes + pair_bytes + checksum_bytes;

std::string checksum(std::string_view pair) {
  std::string summed = "Ed";
  summed.reserve(algorithm_bytes + pair_bytes);
  summed += pair;
  std::string sum = blake2b_of_block(summed, checksum_bytes);
  cleanse(summed);
  return sum;
}

/// The bytes of a secret key, overwritten in the end.
struct secret_text {
  std::string bytes;
  explicit secret_text(std::string of) : bytes(std::move(of)) {}
  ~secret_text() { cleanse(bytes); }
  secret_text(const secret_text&) = delete;
  secret_text& operator=(const secret_text&) = delete;
  secret_text(secret_text&&) = delete;
  secret_text& operator=(secret_text&&) = delete;
};

}  // namespace

std::string to_text(const key_hint& hint) {
  std::string text;
  for (auto byte = hint.rbegin(); byte != hint.rend(); ++byte) text += fmt::format("{:02X}", *byte);
  return text;
}

minisign_secret_key generate_key() {
  key_hint hint{};
  if (RAND_bytes(hint.data(), static_cast<int>(hint.size())) != 1) {
    throw std::runtime_error("OpenSSL has no randomness");
  }
  return {hint, secret_key::generate()};
}

minisign_public_key parse_public_key(std::string_view text) {
  constexpr std::size_t public_bytes = 42;
  if (text.size() > key_file_bytes_max) {
    throw refusal("this is no public key",
                  fmt::format("its file has {} bytes; a key has at most {}", text.size(),
                              key_file_bytes_max));
  }
  std::string whole(text);
  if (whole.empty() || whole.back() != '\n') whole += '\n';
  line_reader lines(whole, "public key");
  if (text.substr(0, untrusted_mark.size()) == untrusted_mark) {
    lines.comment("comment", untrusted_mark);
  }
  const std::string bytes = lines.base64("key", public_bytes);
  if (bytes.substr(0, algorithm_bytes) != "Ed") lines.fail("the algorithm is not Ed25519");
  if (!lines.at_end()) lines.fail("something follows the key");
  std::string_view rest(bytes);
  rest.remove_prefix(algorithm_bytes);
  minisign_public_key result;
  take(rest, result.hint);
  take(rest, result.key.bytes);
  if (!is_sound(result.key)) {
    lines.fail("it is of small order or not canonical: anybody could sign with it",
               "do not trust whoever gave it to you");
  }
  return result;
}

std::string public_key_text(const minisign_public_key& key) {
  std::string bytes = "Ed";
  put(bytes, key.hint);
  put(bytes, key.key.bytes);
  return base64_encode(bytes);
}

std::string print_public_key(const minisign_public_key& key, std::string_view comment) {
  check_comment(comment);
  const std::string text =
      comment.empty() ? "minisign public key " + to_text(key.hint) : std::string(comment);
  return fmt::format("{}{}\n{}\n", untrusted_mark, text, public_key_text(key));
}

minisign_secret_key parse_secret_key(std::string_view text) {
  if (text.size() > key_file_bytes_max) throw refusal("this is no secret key", "it is too long");
  line_reader lines(text, "secret key");
  lines.comment("comment", untrusted_mark);
  const secret_text secret(lines.base64("key", secret_bytes));
  const std::string_view bytes = secret.bytes;
  if (bytes.substr(0, 2) != "Ed" || bytes.substr(4, 2) != "B2") {
    lines.fail("the algorithm is not Ed25519 with a BLAKE2b checksum");
  }
  if (bytes.substr(2, 2) != "\0\0"s) {
    lines.fail("it is encrypted with a password, which is not supported",
               "make one without: bulkhead key generate FILE, or minisign -G -W");
  }
  if (!lines.at_end()) lines.fail("something follows the key");
  std::string_view rest = bytes.substr(3 * algorithm_bytes + derivation_bytes);
  // minisign leaves the checksum of an unencrypted key at zeros; others fill it in.
  const auto sum = rest.substr(pair_bytes);
  if (sum != std::string(checksum_bytes, '\0') && sum != checksum(rest.substr(0, pair_bytes))) {
    lines.fail("the checksum is wrong: the file is damaged", "take it from a backup");
  }
  key_hint hint{};
  take(rest, hint);
  secret_key::seed_bytes seed{};
  take(rest, seed);
  secret_key key(seed);
  cleanse(seed.data(), seed.size());
  if (rest.substr(0, key.verifier().bytes.size()) != as_text(key.verifier().bytes)) {
    lines.fail("its public half does not belong to it: the file is damaged",
               "take it from a backup");
  }
  return {hint, std::move(key)};
}

std::string print_secret_key(const minisign_secret_key& key) {
  secret_text pair{std::string()};
  pair.bytes.reserve(pair_bytes);
  put(pair.bytes, key.hint);
  put(pair.bytes, key.key.seed());
  put(pair.bytes, key.key.verifier().bytes);
  secret_text whole{std::string()};
  whole.bytes.reserve(secret_bytes);
  whole.bytes += "Ed\0\0B2"s;
  whole.bytes.append(derivation_bytes, '\0');
  whole.bytes += pair.bytes;
  whole.bytes += checksum(pair.bytes);
  const secret_text line(base64_encode(whole.bytes));
  std::string file = fmt::format("{}minisign secret key {}\n", untrusted_mark, to_text(key.hint));
  file.reserve(file.size() + line.bytes.size() + 1);  // so that no copy stays behind
  file += line.bytes;
  file += '\n';
  return file;
}

std::vector<signature_block> parse_signatures(std::string_view text) {
  constexpr std::size_t signed_bytes = 2 + 8 + 64;
  if (text.size() > signature_file_bytes_max) {
    throw refusal(
        "the signature file is too long",
        fmt::format("it has {} bytes; the limit is {}", text.size(), signature_file_bytes_max));
  }
  line_reader lines(text, "signature file");
  std::vector<signature_block> blocks;
  do {
    signature_block block;
    block.untrusted_comment = lines.comment("untrusted comment", untrusted_mark);
    if (blocks.size() == signature_blocks_max) {
      lines.fail(fmt::format("there are at most {} signatures in a file", signature_blocks_max));
    }
    const std::string bytes = lines.base64("signature", signed_bytes);
    std::string_view rest(bytes);
    const auto algorithm = rest.substr(0, algorithm_bytes);
    if (algorithm != "ED" && algorithm != "Ed") lines.fail("the algorithm is neither ED nor Ed");
    block.hashed = algorithm == "ED";
    rest.remove_prefix(algorithm_bytes);
    take(rest, block.hint);
    take(rest, block.of_file);
    block.trusted_comment = lines.comment("trusted comment", trusted_mark);
    const std::string of_comment = lines.base64("signature of the comment", 64);
    rest = of_comment;
    take(rest, block.of_comment);
    blocks.push_back(std::move(block));
  } while (!lines.at_end());
  return blocks;
}

std::string print_signature(const signature_block& block) {
  std::string bytes = block.hashed ? "ED" : "Ed";
  put(bytes, block.hint);
  put(bytes, block.of_file);
  return fmt::format("{}{}\n{}\n{}{}\n{}\n", untrusted_mark, block.untrusted_comment,
                     base64_encode(bytes), trusted_mark, block.trusted_comment,
                     base64_encode(as_text(block.of_comment)));
}

namespace {

std::string comment_bytes(const signature_block& block) {
  std::string bytes(as_text(block.of_file));
  return bytes + block.trusted_comment;
}

}  // namespace

signature_block sign_file(std::string_view bytes, const minisign_secret_key& key,
                          std::string_view trusted_comment) {
  check_comment(trusted_comment);
  signature_block block;
  block.hint = key.hint;
  block.of_file = sign(key.key, as_text(blake2b_512(bytes)));
  block.untrusted_comment = "signature of key " + to_text(key.hint);
  block.trusted_comment = trusted_comment;
  block.of_comment = sign(key.key, comment_bytes(block));
  return block;
}

bool fits(const signature_block& block, const public_key& key, std::string_view bytes) {
  const bool signs_file = block.hashed ? fits(key, block.of_file, as_text(blake2b_512(bytes)))
                                       : fits(key, block.of_file, bytes);
  return signs_file && fits(key, block.of_comment, comment_bytes(block));
}

}  // namespace bulkhead::trust
