// SPDX-License-Identifier: Apache-2.0
//
// The grammar of manifests: one spelling for each manifest, one refusal for everything else.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <random>

#include "broker/trust/manifest.hpp"
#include "broker/trust/semantic_version.hpp"
#include "broker/trust/utc_time.hpp"
#include "tests/unit/trust_fixture.hpp"

namespace {

using namespace bulkhead::trust;
using bulkhead::testing::some_manifest;
using Catch::Contains;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line;
  return text;
}

bool is_refused(const std::string& text) {
  try {
    parse_manifest(text);
  } catch (const refusal& problem) {
    CHECK_THAT(problem.what(), Contains("line ") || Contains("too long"));
    CHECK_FALSE(problem.why().empty());
    return true;
  }
  return false;
}

manifest bare_manifest() {
  manifest says = some_manifest();
  says.min_broker = says.profile = "";
  says.not_before_unix_ms = says.expires_unix_ms = 0;
  says.limits.clear();
  says.grants.clear();
  says.provenance.reset();
  return says;
}

TEST_CASE("a manifest is read as it is written") {
  for (const auto& says : {some_manifest(), bare_manifest()}) {
    const std::string text = print_manifest(says);
    CHECK(parse_manifest(text) == says);
    CHECK(print_manifest(parse_manifest(text)) == text);
  }
}

TEST_CASE("what does not apply says so") {
  CHECK(print_manifest(bare_manifest()) ==
        "BULKHEAD-MANIFEST-V1\nkind: secrets\nname: kv\nversion: 1.4.2\nsecurity-version: 7\n"
        "os-arch: linux-x86_64\nprotocol: 1\nmin-broker: any\nnot-before: any\nexpires: never\n"
        "artifact: plugin sha256=" +
            to_hex(sha256(bulkhead::testing::program_bytes)) +
            " size=22 link=static\nprofile: none\nlimit: none\ngrants: 0\nprovenance: none\nend\n");
}

TEST_CASE("no line can be lost, doubled or moved") {
  for (const auto& says : {some_manifest(), bare_manifest()}) {
    const auto lines = lines_of(print_manifest(says));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      INFO(lines[i]);
      auto changed = lines;
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK(is_refused(joined(changed)));
      changed = lines;
      changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
      CHECK(is_refused(joined(changed)));
      for (std::size_t j = i + 1; j < lines.size(); ++j) {
        changed = lines;
        std::swap(changed[i], changed[j]);
        CHECK(is_refused(joined(changed)));
      }
    }
  }
}

TEST_CASE("no beginning of a manifest is one") {
  const std::string text = print_manifest(some_manifest());
  for (std::size_t size = 0; size < text.size(); ++size) CHECK(is_refused(text.substr(0, size)));
  CHECK(is_refused(text + "\n"));
  CHECK(is_refused(text + text));
}

/// BULKHEAD_TRUST_MUTATIONS: how many; the whole proof takes a million.
std::size_t mutations() {
  const char* count = std::getenv("BULKHEAD_TRUST_MUTATIONS");
  return count == nullptr ? 20'000 : std::strtoul(count, nullptr, 10);
}

TEST_CASE("whatever bytes come, a manifest that is taken is printed as it came") {
  const std::string original = print_manifest(some_manifest());
  const std::string pieces = "\n :=0123456789-+.zZ\t\r\x80";
  std::mt19937 random(3);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < mutations(); ++i) {
    std::string text = original;
    for (std::size_t change = 0; change <= random() % 2; ++change) {
      const std::size_t where = random() % text.size();
      const char piece = random() % 2 == 0 ? pieces[random() % pieces.size()]
                                           : original[random() % original.size()];
      switch (random() % 3) {
        case 0:
          text[where] = piece;
          break;
        case 1:
          text.insert(where, 1, piece);
          break;
        default:
          text.erase(where, 1 + random() % 8);
      }
    }
    try {
      const auto says = parse_manifest(text);
      ++taken;
      if (print_manifest(says) != text) FAIL("taken, and printed differently:\n" << text);
    } catch (const refusal&) {
      continue;
    }
  }
  CHECK(taken > mutations() / 100);  // else it looked at refusals only
}

struct wrong_line {
  std::string from;
  std::string to;
  std::string named;  // line and field
  std::string rule;
};

TEST_CASE("a refusal names line, field and rule") {
  const std::string text = print_manifest(some_manifest());
  const std::vector<wrong_line> wrongs = {
      {"V1\n", "V2\n", "line 1, BULKHEAD-MANIFEST-V1", "here must stand"},
      {"kind: secrets", "kind: secret", "line 2, kind", "none of: secrets, auth"},
      {"kind: secrets", "colour: red", "line 2, kind", "'colour' is no field"},
      {"kind: secrets", "kind:secrets", "line 2, kind", "no field"},
      {"kind: secrets", "kind", "line 2, kind", "it reads kind: VALUE"},
      {"name: kv", "name: KV", "line 3, name", "[a-z0-9]"},
      {"name: kv", "name: " + std::string(65, 'k'), "line 3, name", "at most 64"},
      {"name: kv", "kind: kv", "line 3, name", "'kind' stands here again"},
      {"name: kv", "version: kv", "line 3, name", "it is missing"},
      {"version: 1.4.2", "version: v1.4.2", "line 4, version", "no semantic version"},
      {"security-version: 7", "security-version: 07", "line 5, security-version", "leading zeros"},
      {"security-version: 7", "security-version: 4294967296", "line 5", "4294967295"},
      {"security-version: 7", "security-version: -1", "line 5", "whole number"},
      {"os-arch: linux-x86_64", "os-arch: linux", "line 6, os-arch", "system and machine"},
      {"protocol: 1", "protocol: 0", "line 7, protocol", "from 1"},
      {"min-broker: 0.1.0", "min-broker: 0.1", "line 8, min-broker", "no semantic version"},
      {"2026-11-01T00", "2026-02-30T00", "line 9, not-before", "no moment"},
      {"expires: 2027", "expires: 2025", "line 10, expires", "before it begins"},
      {"expires: 2027-11-01T00:00:00Z", "expires: any", "line 10, expires", "nor \"never\""},
      {"artifact: plugin", "artifact: script", "line 11, artifact", "it reads: plugin"},
      {"sha256=", "sha256=0", "line 11, artifact", "64 digits"},
      {"size=22", "size=0", "line 11, artifact", "from 1"},
      {"size=22", "bytes=22", "line 11, artifact", "size=... must"},
      {"link=static", "link=magic", "line 11, artifact", "static, dynamic or script"},
      {"profile: static-v1", "profile: Static", "line 12, profile", "[a-z]"},
      {"memory=268435456 tasks=16", "tasks=16 memory=268435456", "line 13, limit", "in the order"},
      {"memory=268435456", "tasks=16", "line 13, limit", "twice"},
      {"memory=268435456", "memory=0", "line 13, limit", "from 1"},
      {"memory=268435456", "cores=1", "line 13, limit", "none of: memory"},
      {"tasks=16", "tasks=16 ", "line 13, limit", "none of"},
      {"grants: 2", "grants: 1", "line 16, provenance", "'grant' stands here again"},
      {"grants: 2", "grants: 3", "line 17, grant", "it is missing"},
      {"grants: 2", "grants: 65", "line 14, grants", "at most 64"},
      {"grant: log", "grant: a", "line 16, grant", "order of their bytes"},
      {"name=acme", "name=a=b", "line 15, grant", "KEY=VALUE"},
      {"quota=67108864", "name=b", "line 15, grant", "twice"},
      {"grant: log", "grant: log ", "line 16, grant", "KEY=VALUE"},
      {"provenance: sha256", "provenance: sha512", "line 17, provenance", "sha256=... must"},
      {"end\n", "end\nend\n", "line 18, end", "something follows"},
      {"end\n", "end", "line 18, end", "does not end in a newline"},
      {"name: kv", "name: kv\r", "line 3, text", "printable ASCII"},
      {"name: kv", "name:\tkv", "line 3, text", "printable ASCII"},
      {"name: kv", "name: k\xc3\xb6", "line 3, text", "printable ASCII"},
      {"profile: static-v1", "profile: ", "line 12, profile", "no value"},
  };
  for (const auto& wrong : wrongs) {
    INFO(wrong.from << " -> " << wrong.to);
    std::string changed = text;
    REQUIRE(text.find(wrong.from) != std::string::npos);
    changed.replace(text.find(wrong.from), wrong.from.size(), wrong.to);
    try {
      parse_manifest(changed);
      FAIL_CHECK("it was taken");
    } catch (const refusal& problem) {
      CHECK_THAT(problem.what(), Contains(wrong.named));
      CHECK_THAT(problem.why(), Contains(wrong.rule));
    }
  }
}

TEST_CASE("a manifest has at most 64 KiB, and as many grants as one may have fit in") {
  CHECK(is_refused(std::string(manifest_bytes_max + 1, 'x')));
  auto says = some_manifest();
  says.grants.clear();
  for (std::size_t i = 0; i < manifest_grants_max; ++i) {
    const std::string number = std::to_string(100 + i);
    says.grants.push_back({"grant-" + number, {{"what", std::string(500, 'x')}}});
  }
  CHECK(parse_manifest(print_manifest(says)) == says);
  says.grants.push_back({"log", {}});
  CHECK_THROWS_AS(print_manifest(says), refusal);
}

TEST_CASE("a manifest that has no spelling is not printed") {
  const auto refuses = [](auto change) {
    manifest says = some_manifest();
    change(says);
    CHECK_THROWS_AS(print_manifest(says), refusal);
  };
  refuses([](manifest& of) { of.name = "kv\nversion: 9.9.9"; });
  refuses([](manifest& of) { of.profile = "none"; });
  refuses([](manifest& of) { of.expires_unix_ms += 1; });
  refuses([](manifest& of) { of.not_before_unix_ms = -5000; });
  refuses([](manifest& of) { of.limits = {{"tasks", 1}, {"memory", 1}}; });
  refuses([](manifest& of) { of.grants = {{"log", {}}, {"log", {}}}; });
  refuses([](manifest& of) { of.grants = {{"log", {{"a", "b c=d"}}}}; });
  refuses([](manifest& of) { of.kind = ""; });
}

TEST_CASE("what a refusal quotes is cut and escaped") {
  CHECK(quoted("a\x1b[2J\n") == R"('a\x1b[2J\x0a')");
  CHECK(quoted(std::string(100, 'x')) == "'" + std::string(64, 'x') + "...'");
}

TEST_CASE("versions are ordered as semver.org says") {
  const std::vector<std::string> rising = {
      "0.0.1",      "0.9.0",        "1.0.0-0",       "1.0.0-2",
      "1.0.0-11",   "1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta",
      "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
      "1.0.0",      "1.0.1",        "1.2.0",         "1.10.0",
      "2.0.0"};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    for (std::size_t j = 0; j < rising.size(); ++j) {
      INFO(rising[i] << " and " << rising[j]);
      const auto order =
          compare(parse_version(rising[i]).value(), parse_version(rising[j]).value());
      CHECK((order == (i <=> j)));
    }
  }
  CHECK(std::is_eq(compare(*parse_version("1.0.0+a"), *parse_version("1.0.0+b"))));
  CHECK(parse_version("1.0.0-a-b.c+d-e.01")->prerelease == std::vector<std::string>{"a-b", "c"});
  CHECK(parse_version("1.0.0+a-b")->stable());
}

TEST_CASE("what is no version is not taken for one") {
  for (const char* wrong : {"", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.00.0", "1.0.0-",
                            "1.0.0+", "1.0.0-01", "1.0.0-a..b", "1.0.0-a_b", "1.0.0+a+b", "-1.0.0",
                            "1.0.0 ", "4294967296.0.0", "1.-1.0", "1.0.0-\xc3\xa4"}) {
    INFO(wrong);
    CHECK_FALSE(parse_version(wrong));
  }
  CHECK(parse_version("1.0.0-" + std::string(58, 'a')));
  CHECK_FALSE(parse_version("1.0.0-" + std::string(59, 'a')));
}

TEST_CASE("moments have one spelling") {
  CHECK(unix_ms_from_utc("1970-01-01T00:00:01Z") == 1000);
  CHECK(unix_ms_from_utc("2028-02-29T23:59:59Z") == 1'835'481'599'000);
  CHECK(utc_from_unix_ms(1'835'481'599'999) == "2028-02-29T23:59:59Z");
  CHECK(utc_from_unix_ms(*unix_ms_from_utc("9999-12-31T23:59:59Z")) == "9999-12-31T23:59:59Z");
  for (const char* wrong : {"1970-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
                            "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
                            "2026-01-01 00:00:00Z", "2026-01-01T00:00:00", "2026-1-01T00:00:00Z",
                            "+026-01-01T00:00:00Z", "2026-01-01T00:00:00z", ""}) {
    INFO(wrong);
    CHECK_FALSE(unix_ms_from_utc(wrong));
  }
}

}  // namespace
