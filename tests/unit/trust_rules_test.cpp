// SPDX-License-Identifier: Apache-2.0
//
// Which release may start: policies, keys, times, floors. Attacks are in trust_attacks_test.cpp.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "tests/unit/trust_fixture.hpp"

namespace {

using namespace bulkhead::trust;
using bulkhead::testing::at;
using bulkhead::testing::id_of;
using bulkhead::testing::key_of;
using fixture = bulkhead::testing::trust_fixture;
using ids = std::vector<std::string>;

TEST_CASE("a release with a good signature of a trusted key may start") {
  const fixture f;
  const auto verdict = f.judge();
  INFO(verdict.what << "; " << verdict.why);
  CHECK(verdict.accepted());
  CHECK(verdict.signers == ids{id_of(f.first)});
  CHECK(verdict.manifest == f.says);
  CHECK(verdict.what.empty());
}

TEST_CASE("signatures are required as soon as a key is known, also when the last one is revoked") {
  fixture f;
  CHECK(signature_required(f.state, "secrets"));
  CHECK(signature_required(f.state, "auth"));
  f.state.keys.begin()->second.revoked = true;
  CHECK(signature_required(f.state, "secrets"));
  f.state.keys.clear();
  CHECK_FALSE(signature_required(f.state, "secrets"));
}

TEST_CASE("a policy is for one kind") {
  fixture f;
  f.state.policies["secrets"] = signature_policy::optional;
  CHECK_FALSE(signature_required(f.state, "secrets"));
  CHECK(signature_required(f.state, "auth"));
  f.state.keys.clear();
  f.state.policies["auth"] = signature_policy::required;
  CHECK(signature_required(f.state, "auth"));
  CHECK_FALSE(signature_required(f.state, "database"));
}

TEST_CASE("an unsigned release starts only where signatures are optional") {
  fixture f;
  f.signatures.clear();
  CHECK(f.judge().refused == ground::unsigned_release);
  CHECK(f.judge("").refused == ground::unsigned_release);
  f.state.policies["secrets"] = signature_policy::optional;
  CHECK(f.judge("").accepted());
  CHECK_FALSE(f.judge("").manifest);
  CHECK(f.judge().accepted());
  CHECK(f.judge().manifest);
  CHECK(f.judge().signers.empty());
}

TEST_CASE("what an unsigned manifest says has to be true all the same") {
  fixture f;
  f.signatures.clear();
  f.state.policies["secrets"] = signature_policy::optional;
  f.bytes += "x";
  CHECK(f.judge().refused == ground::other_bytes);
  CHECK(f.judge("nonsense").refused == ground::bad_manifest);
}

TEST_CASE("a signature that is there has to be good, whatever the policy") {
  fixture f;
  for (const auto policy :
       {signature_policy::automatic, signature_policy::required, signature_policy::optional}) {
    f.state.policies["secrets"] = policy;
    const auto stranger = key_of(9);
    f.sign_with({&stranger});
    CHECK(f.judge().refused == ground::unknown_signers);
    f.signatures = "nonsense";
    CHECK(f.judge().refused == ground::bad_signature_file);
    CHECK(f.judge("").refused == ground::signatures_alone);
  }
}

TEST_CASE("a key signs what its pattern covers") {
  fixture f;
  auto& key = f.trusts(f.first);
  for (const char* pattern : {"*", "secrets/*", "secrets/kv"}) {
    key.plugins = pattern;
    CHECK(f.judge().accepted());
  }
  for (const char* pattern : {"auth/*", "secrets/kv2", "secrets/k", "kv", "", "*/kv", "secrets/"}) {
    key.plugins = pattern;
    CHECK(f.judge().refused == ground::out_of_scope);
  }
}

TEST_CASE("a key counts within its time, both ends included") {
  fixture f;
  auto& key = f.trusts(f.first);
  key.not_before_unix_ms = f.now;
  key.not_after_unix_ms = f.now;
  CHECK(f.judge().accepted());
  --f.now;
  CHECK(f.judge().refused == ground::key_not_yet_valid);
  f.now += 2;
  CHECK(f.judge().refused == ground::key_expired);
}

TEST_CASE("a release runs from its beginning until before its end") {
  fixture f;
  f.now = f.says.not_before_unix_ms;
  CHECK(f.judge().accepted());
  --f.now;
  CHECK(f.judge().refused == ground::not_yet_valid);
  f.now = f.says.expires_unix_ms - 1;
  CHECK(f.judge().accepted());
  ++f.now;
  CHECK(f.judge().refused == ground::expired);
}

TEST_CASE("a manifest is about one plugin, version, file and machine") {
  const auto refused = [](auto change) {
    fixture f;
    change(f);
    return f.judge().refused;
  };
  CHECK(refused([](fixture& f) { f.name = "kv2"; }) == ground::other_plugin);
  CHECK(refused([](fixture& f) { f.kind = "auth"; }) == ground::other_plugin);
  CHECK(refused([](fixture& f) { f.version = "1.4.3"; }) == ground::other_version);
  CHECK(refused([](fixture& f) { f.version = "1.4.2+x"; }) == ground::other_version);
  CHECK(refused([](fixture& f) { f.bytes[0] = 'T'; }) == ground::other_bytes);
  CHECK(refused([](fixture& f) {
          f.says.size_bytes += 1;
          f.sign_with({&f.first});
        }) == ground::other_bytes);
  CHECK(refused([](fixture& f) {
          f.says.os_arch = "linux-aarch64";
          f.sign_with({&f.first});
        }) == ground::other_machine);
}

TEST_CASE("a release may want a newer broker") {
  fixture f;
  for (const char* enough : {"0.1.0", "0.1.1", "1.0.0"}) {
    f.broker_version = enough;
    CHECK(f.judge().accepted());
  }
  for (const char* little : {"0.0.9", "0.1.0-rc.1", "unknown"}) {
    f.broker_version = little;
    CHECK(f.judge().refused == ground::broker_too_old);
  }
}

TEST_CASE("a release signed by two keys survives the end of either") {
  fixture f;
  f.trusts(f.second);
  f.sign_with({&f.first, &f.second});
  ids both{id_of(f.first), id_of(f.second)};
  std::sort(both.begin(), both.end());
  CHECK(f.judge().signers == both);
  f.trusts(f.first).revoked = true;
  CHECK(f.judge().signers == ids{id_of(f.second)});
  f.trusts(f.first).revoked = false;
  f.trusts(f.second).not_after_unix_ms = f.now - 1;
  CHECK(f.judge().signers == ids{id_of(f.first)});
  f.state.keys.erase(id_of(f.second));
  CHECK(f.judge().signers == ids{id_of(f.first)});
  f.state.keys.erase(id_of(f.first));
  CHECK(f.judge().refused == ground::unknown_signers);
}

TEST_CASE("signatures of unknown keys beside a good one are nobody's business") {
  fixture f;
  const auto stranger = key_of(9);
  f.sign_with({&stranger, &f.first});
  CHECK(f.judge().signers == ids{id_of(f.first)});
}

TEST_CASE("two keys with one hint are told apart by their signatures") {
  fixture f;
  f.second.hint = f.first.hint;
  f.trusts(f.second);
  f.sign_with({&f.first, &f.second});
  CHECK(f.judge().signers.size() == 2);
}

TEST_CASE("a start raises the floor of its signers, and never lowers it") {
  fixture f;
  f.start();
  const floor_key key{"secrets", "kv", id_of(f.first)};
  CHECK(f.state.floors == std::map<floor_key, std::uint32_t>{{key, 7}});
  const std::string text = f.text();
  CHECK_FALSE(next_floor(f.state, f.candidate_of(text), f.judge()));
  f.says.security_version = 8;
  f.sign_with({&f.first});
  f.start();
  CHECK(f.state.floors.at(key) == 8);
  f.says.security_version = 7;
  f.sign_with({&f.first});
  CHECK(f.start().refused == ground::below_floor);
  CHECK(f.state.floors.at(key) == 8);
}

TEST_CASE("a floor is of one plugin") {
  fixture f;
  f.state.floors[{"secrets", "kv2", id_of(f.first)}] = 100;
  f.state.floors[{"auth", "kv", id_of(f.first)}] = 100;
  CHECK(f.judge().accepted());
  f.state.floors[{"secrets", "kv", id_of(f.first)}] = 8;
  CHECK(f.judge().refused == ground::below_floor);
}

TEST_CASE("unsigned and refused releases leave no floor") {
  fixture f;
  const std::string text = f.text();
  f.state.policies["secrets"] = signature_policy::optional;
  f.signatures.clear();
  CHECK(f.judge().accepted());
  CHECK_FALSE(next_floor(f.state, f.candidate_of(text), f.judge()));
  f.signatures = "nonsense";
  CHECK_FALSE(next_floor(f.state, f.candidate_of(text), f.judge()));
}

TEST_CASE("floors are idle when all their signers are revoked, not when they are forgotten") {
  fixture f;
  f.trusts(f.second);
  const floor_key one{"secrets", "kv", id_of(f.first)};
  const floor_key two{"secrets", "kv", joined_signers({id_of(f.first), id_of(f.second)})};
  const floor_key unknown{"secrets", "kv", std::string(64, '0')};
  f.state.floors = {{one, 1}, {two, 2}, {unknown, 3}};
  CHECK(idle_floors(f.state).empty());
  f.trusts(f.first).revoked = true;
  CHECK(idle_floors(f.state) == std::vector<floor_key>{one});
  f.trusts(f.second).revoked = true;
  CHECK(idle_floors(f.state).size() == 2);
}

TEST_CASE("each refusal has words of its own: what, why, and what to try") {
  std::vector<verdict> refusals;
  const auto refuse = [&](auto change) {
    fixture f;
    change(f);
    refusals.push_back(f.judge());
  };
  refuse([](fixture& f) { f.signatures.clear(); });
  refuse([](fixture& f) { f.signatures = "x\n"; });
  refuse([](fixture& f) { f.sign_with({&f.second}); });
  refuse([](fixture& f) { f.bytes += "x"; });
  refuse([](fixture& f) { f.says.version = "2.0.0", f.sign_with({&f.first}); });
  refuse([](fixture& f) { f.name = "other"; });
  refuse([](fixture& f) { f.says.os_arch = "linux-aarch64", f.sign_with({&f.first}); });
  refuse([](fixture& f) { f.broker_version = "0.0.1"; });
  refuse([](fixture& f) { f.now = 1; });
  refuse([](fixture& f) { f.now = at("2030-01-01T00:00:00Z"); });
  refuse([](fixture& f) { f.state.floors[{"secrets", "kv", id_of(f.first)}] = 8; });
  refuse([](fixture& f) { f.trusts(f.first).revoked = true; });
  refuse([](fixture& f) { f.trusts(f.first).plugins = "auth/*"; });
  refuse([](fixture& f) { f.trusts(f.first).not_after_unix_ms = 1; });
  refuse([](fixture& f) { f.trusts(f.first).not_before_unix_ms = f.now + 1; });
  refuse([](fixture& f) { f.manifest_text = f.text() + "x", f.sign_with({&f.first}); });
  refuse([](fixture& f) { f.manifest_text = f.text() + "x"; });
  std::set<std::string> names;
  std::set<std::string> words;
  for (const auto& each : refusals) {
    INFO(to_text(each.refused));
    CHECK_FALSE(each.accepted());
    CHECK(each.signers.empty());
    for (const auto* part : {&each.what, &each.why, &each.remedy}) {
      CHECK_FALSE(part->empty());
      CHECK(part->find('\n') == std::string::npos);
    }
    names.emplace(to_text(each.refused));
    words.insert(each.what + each.why + each.remedy);
  }
  CHECK(names.size() == refusals.size());
  CHECK(words.size() == refusals.size());
}

TEST_CASE("a key that cannot be trusted is refused in words") {
  const auto refused = [](auto change) {
    trusted_key key;
    key.key = key_of(1).verifier();
    CHECK_NOTHROW(check_trusted_key(key));
    change(key);
    CHECK_THROWS_AS(check_trusted_key(key), refusal);
  };
  for (const char* pattern : {"", "kv", "secret/*", "secrets/K", "*/kv", "secrets/*/x"}) {
    refused([&](trusted_key& key) { key.plugins = pattern; });
  }
  refused([](trusted_key& key) { key.name = "two\nlines"; });
  refused([](trusted_key& key) { key.name = std::string(key_name_bytes_max + 1, 'n'); });
  refused([](trusted_key& key) { key.reason = "\x1b[2J"; });
  refused([](trusted_key& key) { key.not_before_unix_ms = -1; });
  refused([](trusted_key& key) { key.not_before_unix_ms = 5, key.not_after_unix_ms = 4; });
  constexpr std::int64_t last = 253'402'300'799'999;  // of the year 9999
  refused([](trusted_key& key) { key.not_after_unix_ms = last + 1; });
  refused([](trusted_key& key) { key.not_before_unix_ms = last + 1; });
  CHECK_NOTHROW([] {
    trusted_key key;
    key.key = key_of(1).verifier();
    key.not_after_unix_ms = last;
    check_trusted_key(key);
  }());
  refused([](trusted_key& key) { key.key.key.bytes.fill(0); });
}

TEST_CASE("policies have names") {
  for (const auto policy :
       {signature_policy::automatic, signature_policy::required, signature_policy::optional}) {
    CHECK(policy_from_text(to_text(policy)) == policy);
  }
  CHECK_FALSE(policy_from_text("Required"));
}

}  // namespace
