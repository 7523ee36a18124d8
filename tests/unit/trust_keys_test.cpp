// SPDX-License-Identifier: Apache-2.0
//
// Keys, signatures and minisign's files. The vectors are those of RFC 8032, RFC 7693 and FIPS 180.
#include <catch2/catch.hpp>

#include <functional>
#include <random>

#include "broker/trust/blake2b.hpp"
#include "broker/trust/digest.hpp"
#include "broker/trust/minisign.hpp"
#include "tests/unit/trust_fixture.hpp"

namespace {

using namespace bulkhead::trust;
using bulkhead::testing::id_of;
using bulkhead::testing::key_of;
using bulkhead::testing::signed_by;
using Catch::Contains;

template <std::size_t size>
std::array<std::uint8_t, size> from_hex(std::string_view text) {
  std::array<std::uint8_t, size> bytes{};
  REQUIRE(text.size() == 2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] =
        static_cast<std::uint8_t>(std::stoul(std::string(text.substr(2 * i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string why_of(const std::function<void()>& refused) {
  try {
    refused();
  } catch (const refusal& problem) {
    return std::string(problem.what()) + "; " + problem.why();
  }
  FAIL("it was not refused");
  return {};
}

TEST_CASE("hashes are those of the standards, whole and in pieces") {
  CHECK(to_hex(sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  sha256_hasher hasher;
  hasher.add("a", 1);
  hasher.add("bc", 2);
  CHECK(hasher.finish() == sha256("abc"));
  CHECK(hasher.finish() == sha256(""));
  CHECK(to_hex(digest{from_hex<32>(
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")}) == [] {
    digest of;
    const std::string sum = blake2b_of_block("abc", 32);
    std::copy(sum.begin(), sum.end(), of.bytes.begin());
    return to_hex(of);
  }());
}

TEST_CASE("our BLAKE2b of a block is OpenSSL's where that has one") {
  std::mt19937 random(1);
  for (std::size_t size = 0; size <= blake2b_block_bytes; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random());
    const auto expected = blake2b_512(bytes);
    CHECK(blake2b_of_block(bytes, 64) == std::string(expected.begin(), expected.end()));
  }
}

TEST_CASE("hexadecimal digits and base64 have one spelling") {
  const std::string hex = to_hex(sha256("x"));
  CHECK(digest_from_hex(hex) == sha256("x"));
  std::string upper = hex;
  upper[0] = 'A';
  CHECK_FALSE(digest_from_hex(upper));
  CHECK_FALSE(digest_from_hex(hex + "0"));
  CHECK_FALSE(digest_from_hex(hex.substr(1)));
  CHECK(base64_decode("YQ==") == "a");
  CHECK(base64_decode("YWI=") == "ab");
  CHECK(base64_decode("") == "");
  for (const char* wrong :
       {"YR==", "YQ=", "YQ", "YQ==\n", " YQ==", "Y Q=", "====", "YQ=a", "Y!=="}) {
    INFO(wrong);
    CHECK_FALSE(base64_decode(wrong));
  }
}

TEST_CASE("Ed25519 signs as RFC 8032 says") {
  const secret_key key(
      from_hex<32>("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  CHECK(key.verifier().bytes ==
        from_hex<32>("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
  const auto expected = from_hex<64>(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b46bd25bf5f0595bbe24655141438e7a100b");
  CHECK(sign(key, "") == expected);
  CHECK(fits(key.verifier(), expected, ""));
  CHECK_FALSE(fits(key.verifier(), expected, "x"));
}

TEST_CASE("a key's id is a hash of the key, whatever its file says") {
  const auto key = key_of(1);
  auto other = key.verifier();
  other.hint.fill(9);
  CHECK(key_id(other.key) == id_of(key));
  CHECK(id_of(key).size() == 64);
  CHECK(id_of(key) != id_of(key_of(2)));
}

TEST_CASE("generated keys differ, and sign") {
  const auto a = generate_key();
  const auto b = generate_key();
  CHECK(a.key.verifier() != b.key.verifier());
  CHECK(a.hint != b.hint);
  CHECK(fits(a.key.verifier(), sign(a.key, "text"), "text"));
}

TEST_CASE("a secret key leaves nothing behind where it moved from") {
  auto key = key_of(1);
  const auto verifier = key.key.verifier();
  const secret_key moved(std::move(key.key));
  CHECK(key.key.seed() == secret_key::seed_bytes{});  // NOLINT(bugprone-use-after-move)
  CHECK(moved.verifier() == verifier);
}

TEST_CASE("key files are read as they are written") {
  const auto key = key_of(1);
  const auto again = parse_secret_key(print_secret_key(key));
  CHECK(again.hint == key.hint);
  CHECK(again.key.seed() == key.key.seed());
  for (const auto& text :
       {print_public_key(key.verifier()), print_public_key(key.verifier(), "of a team"),
        public_key_text(key.verifier()), public_key_text(key.verifier()) + "\n"}) {
    const auto read = parse_public_key(text);
    CHECK(read.key == key.key.verifier());
    CHECK(read.hint == key.hint);
  }
  CHECK_THROWS_AS(print_public_key(key.verifier(), "two\nlines"), refusal);
}

TEST_CASE("a hint is shown as minisign shows it") {
  CHECK(to_text(key_hint{0x3e, 0x0e, 0xcb, 0x0f, 0xa9, 0x0c, 0x6e, 0x72}) == "726E0CA90FCB0E3E");
}

/// The secret key file with one byte of its content changed.
std::string with_byte(const std::string& file, std::size_t index, char byte) {
  const auto line = file.find('\n') + 1;
  auto bytes = base64_decode(file.substr(line, file.size() - line - 1)).value();
  bytes[index] = byte;
  return file.substr(0, line) + base64_encode(bytes) + "\n";
}

TEST_CASE("a secret key that is encrypted, damaged or mixed up is refused without showing it") {
  const std::string file = print_secret_key(key_of(1));
  CHECK_THAT(why_of([&] { parse_secret_key(with_byte(file, 2, 'S')); }), Contains("password"));
  CHECK_THAT(why_of([&] { parse_secret_key(with_byte(file, 0, 'X')); }), Contains("algorithm"));
  CHECK_THAT(why_of([&] { parse_secret_key(with_byte(file, 62, 'X')); }), Contains("checksum"));
  std::string unsummed = file;
  for (std::size_t i = 126; i < 158; ++i) unsummed = with_byte(unsummed, i, '\0');
  CHECK(parse_secret_key(unsummed).key.seed() == key_of(1).key.seed());
  CHECK_THAT(why_of([&] { parse_secret_key(with_byte(unsummed, 62, 'X')); }),
             Contains("public half"));
  CHECK_THAT(why_of([&] { parse_secret_key(file + "x\n"); }), Contains("follows"));
  CHECK_THAT(why_of([&] { parse_secret_key(file.substr(0, file.size() - 9)); }),
             Contains("newline"));
  const std::string secret = file.substr(file.find('\n') + 1);
  CHECK_THAT(why_of([&] { parse_secret_key(file + "x\n"); }), !Contains(secret.substr(80, 20)));
  CHECK_THROWS_AS(parse_secret_key(""), refusal);
  CHECK_THROWS_AS(parse_secret_key(std::string(key_file_bytes_max + 1, 'a')), refusal);
}

TEST_CASE("a public key that is none is refused") {
  const std::string line = public_key_text(key_of(1).verifier());
  for (const std::string& wrong : std::vector<std::string>{
           std::string(), std::string("\n"), line + "x", line + "\nmore\n", line.substr(4),
           "comment: x\n" + line, "untrusted comment: x\n", "untrusted comment: \x1b[2J\n" + line,
           std::string(key_file_bytes_max + 1, 'a')}) {
    INFO(wrong);
    CHECK_THROWS_AS(parse_public_key(wrong), refusal);
  }
}

TEST_CASE("signatures are read as they are written, one or several") {
  const auto a = key_of(1);
  const auto b = key_of(2);
  const std::string text = signed_by(a, "file") + signed_by(b, "file");
  const auto blocks = parse_signatures(text);
  REQUIRE(blocks.size() == 2);
  CHECK(fits(blocks[0], a.key.verifier(), "file"));
  CHECK(fits(blocks[1], b.key.verifier(), "file"));
  CHECK_FALSE(fits(blocks[0], b.key.verifier(), "file"));
  CHECK(print_signature(blocks[0]) + print_signature(blocks[1]) == text);
  CHECK(blocks[0].trusted_comment == "timestamp:1\tfile:kv.manifest");
}

TEST_CASE("the old kind of signature, over the file itself, counts as well") {
  const auto key = key_of(1);
  auto block = sign_file("file", key, "comment");
  block.hashed = false;
  block.of_file = sign(key.key, "file");
  std::string commented(block.of_file.begin(), block.of_file.end());
  block.of_comment = sign(key.key, commented + "comment");
  const auto read = parse_signatures(print_signature(block));
  CHECK(fits(read.at(0), key.key.verifier(), "file"));
  CHECK_FALSE(fits(read.at(0), key.key.verifier(), "another file"));
}

TEST_CASE("a signature file has limits: 64 KiB, 16 signatures, 1024 bytes in a comment") {
  const std::string one = signed_by(key_of(1), "file");
  std::string many;
  for (std::size_t i = 0; i < signature_blocks_max; ++i) many += one;
  CHECK(parse_signatures(many).size() == signature_blocks_max);
  CHECK_THAT(why_of([&] { parse_signatures(many + one); }), Contains("at most 16"));
  CHECK_THAT(why_of([&] { parse_signatures(std::string(signature_file_bytes_max + 1, 'x')); }),
             Contains("65537"));
  const std::string longest(comment_bytes_max, 'c');
  CHECK_NOTHROW(parse_signatures(print_signature(sign_file("file", key_of(1), longest))));
  CHECK_THROWS_AS(sign_file("file", key_of(1), longest + "c"), refusal);
  CHECK_THROWS_AS(sign_file("file", key_of(1), "two\nlines"), refusal);
}

TEST_CASE("a refusal of a signature file names the line and the rule") {
  const std::string good = signed_by(key_of(1), "file");
  CHECK_THAT(why_of([&] { parse_signatures("x" + good); }), Contains("line 1, untrusted comment"));
  CHECK_THAT(why_of([&] { parse_signatures(good + "x"); }), Contains("line 5, untrusted comment"));
  std::string wrong = good;
  wrong[wrong.find('\n') + 1] = 'X';
  CHECK_THAT(why_of([&] { parse_signatures(wrong); }), Contains("line 2, signature"));
  CHECK_THAT(why_of([&] { parse_signatures(""); }), Contains("it is missing"));
}

TEST_CASE("no change of a byte makes a signature file crash the reader, or fit another way") {
  const auto key = key_of(1);
  const std::string good = signed_by(key, "file");
  const std::size_t first_line = good.find('\n');
  std::mt19937 random(2);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ (1 + random() % 255));
    try {
      const auto blocks = parse_signatures(changed);
      const bool is_hint =
          blocks.at(0).hint != key.hint;  // nobody signs it, and it decides nothing
      const bool counts = fits(blocks.at(0), key.key.verifier(), "file");
      CHECK(counts == (i < first_line || is_hint));
    } catch (const refusal&) {
      SUCCEED();
    }
  }
}

}  // namespace
