// SPDX-License-Identifier: Apache-2.0
//
// What has been tried, or can be, against signed releases: each attack by name, and refused.
#include <catch2/catch.hpp>

#include "broker/trust/digest.hpp"
#include "tests/unit/trust_fixture.hpp"

namespace {

using namespace bulkhead::trust;
using bulkhead::testing::at;
using bulkhead::testing::id_of;
using bulkhead::testing::key_of;
using bulkhead::testing::signed_by;
using fixture = bulkhead::testing::trust_fixture;

/// The fixture's one signature, changed.
template <typename Change>
void forge(fixture& f, Change change) {
  auto block = parse_signatures(f.signatures).at(0);
  change(block);
  f.signatures = print_signature(block);
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
}

TEST_CASE("attack: a truncated signature, at every byte") {
  fixture f;
  const std::string whole = f.signatures;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    f.signatures = whole.substr(0, size);
    CHECK(f.judge().refused == ground::bad_signature_file);
  }
}

TEST_CASE("attack: no signature at all") {
  fixture f;
  f.signatures.clear();
  CHECK(f.judge().refused == ground::unsigned_release);
}

TEST_CASE("attack: the signature of another release, reused") {
  fixture f;
  const std::string of_this = f.signatures;
  f.says.version = f.version = "1.4.3";
  f.signatures = of_this;
  CHECK(f.judge().refused == ground::broken_signature);
}

TEST_CASE("attack: the signature of another file by the same key") {
  fixture f;
  f.signatures = signed_by(f.first, "a letter");
  CHECK(f.judge().refused == ground::broken_signature);
}

TEST_CASE("attack: the good manifest and signature of another plugin, beside this one") {
  fixture f;
  f.name = "transit";
  CHECK(f.judge().refused == ground::other_plugin);
}

TEST_CASE("attack: an unknown key") {
  fixture f;
  f.sign_with({&f.second});
  CHECK(f.judge().refused == ground::unknown_signers);
}

TEST_CASE("attack: an unknown key that bears the hint of a trusted one") {
  fixture f;
  f.second.hint = f.first.hint;
  f.sign_with({&f.second});
  CHECK(f.judge().refused == ground::broken_signature);
}

TEST_CASE("attack: a wrong hint on a good signature") {
  fixture f;
  forge(f, [](signature_block& block) { block.hint[0] ^= 1; });
  CHECK(f.judge().refused == ground::unknown_signers);
}

TEST_CASE("attack: a revoked key, which beats its scope and its time") {
  fixture f;
  auto& key = f.trusts(f.first);
  key.revoked = true;
  key.reason = "stolen";
  key.plugins = "auth/*";
  key.not_after_unix_ms = 1;
  CHECK(f.judge().refused == ground::revoked_signer);
  CHECK(f.judge().why.find("stolen") != std::string::npos);
}

TEST_CASE("attack: a revoked key where signatures are optional") {
  fixture f;
  f.trusts(f.first).revoked = true;
  f.state.policies["secrets"] = signature_policy::optional;
  CHECK(f.judge().refused == ground::revoked_signer);
}

TEST_CASE("attack: to have the last key revoked, and come unsigned") {
  fixture f;
  f.trusts(f.first).revoked = true;
  f.signatures.clear();
  CHECK(f.judge().refused == ground::unsigned_release);
}

TEST_CASE("attack: an edited manifest, at every byte") {
  const fixture f;
  const std::string text = f.text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string edited = text;
    edited[i] ^= 1;
    CHECK(f.judge(edited).refused == ground::broken_signature);
  }
}

TEST_CASE("attack: bytes after the manifest, its signature or the program") {
  fixture f;
  CHECK(f.judge(f.text() + "\n").refused == ground::broken_signature);
  f.bytes += '\0';
  CHECK(f.judge().refused == ground::other_bytes);
  f.bytes.pop_back();
  f.signatures += "x";
  CHECK(f.judge().refused == ground::bad_signature_file);
}

TEST_CASE("attack: an edited trusted comment") {
  fixture f;
  replace(f.signatures, "timestamp:1", "timestamp:2");
  CHECK(f.judge().refused == ground::broken_signature);
}

TEST_CASE("attack: the comment and its signature of another signature by the same key") {
  fixture f;
  const auto other = sign_file("a letter", f.first, "timestamp:9");
  forge(f, [&](signature_block& block) {
    block.trusted_comment = other.trusted_comment;
    block.of_comment = other.of_comment;
  });
  CHECK(f.judge().refused == ground::broken_signature);
}

TEST_CASE("attack: a hashed signature relabelled as one of the file itself") {
  fixture f;
  forge(f, [](signature_block& block) { block.hashed = false; });
  CHECK(f.judge().refused == ground::broken_signature);
  // The file whose bytes are that hash would fit: it is no manifest.
  const auto hash = blake2b_512(f.text());
  const std::string bytes(hash.begin(), hash.end());
  CHECK(f.judge(bytes).refused == ground::bad_manifest);
}

TEST_CASE("attack: a second signature out of a good one, S + L") {
  constexpr std::array<std::uint8_t, 32> order = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                                  0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                                  0,    0,    0,    0,    0,    0,    0,    0,
                                                  0,    0,    0,    0,    0,    0,    0,    0x10};
  fixture f;
  forge(f, [&](signature_block& block) {
    unsigned carry = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      carry += block.of_file[32 + i] + order[i];
      block.of_file[32 + i] = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
  });
  CHECK(f.judge().refused == ground::broken_signature);
}

/// Encodings of points of small order and such that are not canonical, with either sign.
std::vector<public_key> unsound_keys() {
  std::vector<public_key> keys;
  for (const std::uint8_t last : {0x7f, 0xff}) {
    for (const unsigned first : {0xec, 0xed, 0xee, 0xef, 0xf5, 0xff}) {
      public_key key;
      key.bytes.fill(0xff);
      key.bytes[0] = static_cast<std::uint8_t>(first);
      key.bytes[31] = last;
      keys.push_back(key);
    }
  }
  for (const std::uint8_t sign : {0x00, 0x80}) {
    for (const std::uint8_t y : {0, 1}) {
      public_key key;
      key.bytes[0] = y;
      key.bytes[31] = sign;
      keys.push_back(key);
    }
  }
  const std::array<std::string_view, 2> of_order_eight = {
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"};
  for (const auto text : of_order_eight) {
    public_key key{digest_from_hex(text).value().bytes};
    keys.push_back(key);
    key.bytes[31] |= 0x80;
    keys.push_back(key);
  }
  return keys;
}

TEST_CASE("attack: a key of small order, whose signatures fit anything") {
  fixture f;
  for (const auto& key : unsound_keys()) {
    CHECK_FALSE(is_sound(key));
    minisign_public_key as_file{f.first.hint, key};
    CHECK_THROWS_AS(parse_public_key(public_key_text(as_file)), refusal);
    // Even if it came into the store: R and S of the universal signature are 1 and 0.
    f.trusts(f.first).key = as_file;
    forge(f, [&](signature_block& block) {
      block.of_file = {1};
      block.of_comment = {1};
    });
    CHECK(f.judge().refused == ground::broken_signature);
  }
  CHECK(is_sound(f.second.key.verifier()));
}

TEST_CASE("attack: an R of small order in a signature") {
  fixture f;
  for (const auto& point : unsound_keys()) {
    forge(f, [&](signature_block& block) {
      std::copy(point.bytes.begin(), point.bytes.end(), block.of_file.begin());
    });
    CHECK(f.judge().refused == ground::broken_signature);
  }
}

TEST_CASE("attack: a downgraded version") {
  fixture f;
  const std::string old_text = f.text();
  const std::string old_signatures = f.signatures;
  f.says.version = f.version = "1.5.0";
  f.says.security_version = 8;
  f.sign_with({&f.first});
  CHECK(f.start().accepted());
  f.version = "1.4.2";
  f.signatures = old_signatures;
  CHECK(f.judge(old_text).refused == ground::below_floor);
}

TEST_CASE("attack: a downgrade to a release of one key, after newer ones were signed by two") {
  fixture f;
  const std::string old_text = f.text();
  const std::string old_signatures = f.signatures;
  f.trusts(f.second);
  f.says.security_version = 8;
  f.sign_with({&f.first, &f.second});
  CHECK(f.start().accepted());
  f.signatures = old_signatures;
  CHECK(f.judge(old_text).refused == ground::below_floor);
  // Nor by cutting one signature off, with whichever is left.
  f.says.security_version = 7;
  for (const auto* key : {&f.first, &f.second}) {
    f.sign_with({key});
    CHECK(f.judge().refused == ground::below_floor);
  }
}

TEST_CASE("attack: a thief's fast-forward is undone by revoking the stolen key, and only it is") {
  fixture f;
  f.trusts(f.second);
  f.sign_with({&f.first, &f.second});
  CHECK(f.start().accepted());
  f.says.security_version = 4294967295;
  f.sign_with({&f.first});  // by the thief
  CHECK(f.start().accepted());
  f.says.security_version = 8;
  f.sign_with({&f.first, &f.second});
  CHECK(f.judge().refused == ground::below_floor);
  f.trusts(f.first).revoked = true;
  CHECK(f.judge().accepted());
  CHECK(f.judge().signers == std::vector<std::string>{id_of(f.second)});
  // What both keys had signed before is a floor of the second one still.
  f.says.security_version = 6;
  f.sign_with({&f.first, &f.second});
  CHECK(f.judge().refused == ground::below_floor);
}

TEST_CASE("attack: a thief's fast-forward does not touch releases of other keys") {
  fixture f;
  f.says.security_version = 4294967295;
  f.sign_with({&f.first});
  CHECK(f.start().accepted());
  f.trusts(f.second);
  f.says.security_version = 8;
  f.sign_with({&f.second});
  CHECK(f.judge().accepted());
}

TEST_CASE("attack: to have a key forgotten and trusted again, and so its floor lifted") {
  fixture f;
  f.state.floors[{"secrets", "kv", id_of(f.first)}] = 8;
  f.state.keys.clear();
  CHECK(idle_floors(f.state).empty());
  f.trusts(f.first);
  CHECK(f.judge().refused == ground::below_floor);
}

TEST_CASE("attack: an expired release, one that is not yet valid, and those of expired keys") {
  fixture f;
  f.now = at("2028-01-01T00:00:00Z");
  CHECK(f.judge().refused == ground::expired);
  f.now = at("2026-10-01T00:00:00Z");
  CHECK(f.judge().refused == ground::not_yet_valid);
  f.now = at("2026-12-01T00:00:00Z");
  f.trusts(f.first).not_after_unix_ms = f.now - 1;
  CHECK(f.judge().refused == ground::key_expired);
}

TEST_CASE("attack: a huge manifest and a huge signature file are refused as such") {
  fixture f;
  CHECK(f.judge(std::string(manifest_bytes_max + 1, 'x')).refused == ground::bad_manifest);
  f.signatures.assign(signature_file_bytes_max + 1, 'x');
  CHECK(f.judge().refused == ground::bad_signature_file);
}

TEST_CASE("attack: text of a signed manifest that would deceive a terminal") {
  fixture f;
  f.manifest_text = f.text();
  replace(f.manifest_text, "name: kv", "name: kv\x1b[2J");
  f.sign_with({&f.first});
  const auto verdict = f.judge();
  CHECK(verdict.refused == ground::bad_manifest);
  CHECK((verdict.what + verdict.why + verdict.remedy).find('\x1b') == std::string::npos);
}

}  // namespace
