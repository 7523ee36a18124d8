// SPDX-License-Identifier: Apache-2.0
#include "broker/router.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <set>
#include <vector>

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

/// The normal form, or why there is none.
std::string normal(const std::string& path) {
  std::string problem;
  const auto result = normalise_mount_path(path, problem);
  return result ? *result : "no: " + problem;
}

/// Paths of one to three segments of few names, so that many lie above or below one another; '-'
/// and '.' sort before '/', digits and letters behind it.
std::string random_path(std::mt19937& random) {
  static const std::vector<std::string> names{"a", "a-", "a.b", "a0", "b", "ab"};
  std::string path;
  for (unsigned left = 1 + random() % 3; left > 0; --left)
    path += names[random() % names.size()] + "/";
  return path;
}

bool overlap_of(const std::string& one, const std::string& other) {
  return one.starts_with(other) || other.starts_with(one);
}

}  // namespace

TEST_CASE("mount paths: what is one, what is none, what is kept for the broker") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"kv", "kv/"},
      {"kv/", "kv/"},
      {"team/a/kv", "team/a/kv/"},
      {"a.b/c-d/e_f", "a.b/c-d/e_f/"},
      {"system/", "system/"},
      {"authors/x", "authors/x/"},
      {"team/sys/", "team/sys/"},
      {"", "no: it is empty"},
      {"sys", "no: sys/, auth/, audit/ and identity/ are kept for the broker"},
      {"sys/x/", "no: sys/, auth/, audit/ and identity/ are kept for the broker"},
      {"auth/", "no: sys/, auth/, audit/ and identity/ are kept for the broker"},
      {"audit/file", "no: sys/, auth/, audit/ and identity/ are kept for the broker"},
      {"identity/", "no: sys/, auth/, audit/ and identity/ are kept for the broker"},
      {std::string(255, 'x'), std::string(255, 'x') + "/"},
      {std::string(256, 'x'), "no: it is longer than 256 bytes"},
  };
  for (const auto& [path, expected] : rows) {
    INFO(path);
    CHECK(normal(path) == expected);
  }
  for (const auto* path : {"/", "/kv/", "kv//x/", ".", "..", "a/./b", "a/../b", "../a", "k v/",
                           "k\nv/", "k*v/", "\xc3\xa4/", "kv/ ", "~/"}) {
    INFO(path);
    CHECK(normal(path) ==
          "no: it is made of segments of letters, digits, '_', '.', '-', each ended by a slash");
  }
  CHECK(normal(std::string("a\0b/", 4)).starts_with("no: "));
}

TEST_CASE("no two mounts overlap, and the table finds the one that serves a path") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    route_table<int> table;
    std::set<std::string> there;
    for (int step = 0; step < 60; ++step) {
      const auto path = random_path(random);
      // One of those that are there may be left out of account, as a move does.
      auto but_for = std::string();
      if (!there.empty() && random() % 2 == 0) {
        auto any = there.begin();
        std::advance(any, random() % there.size());
        but_for = *any;
      }
      std::string expected;
      for (const auto& each : there)
        if (each != but_for && overlap_of(each, path)) expected = each;
      const auto found = table.overlap(path, but_for);
      REQUIRE(found.has_value() == !expected.empty());
      if (found) REQUIRE((overlap_of(*found, path) && there.contains(*found)));
      if (found) continue;
      if (but_for.empty()) {
        REQUIRE(table.insert(path, step));
        there.insert(path);
      } else {
        table.rename(but_for, path);
        there.erase(but_for);
        there.insert(path);
      }
      const auto asked = random_path(random) + "x";
      std::string serving;
      for (const auto& each : there)
        if (asked.starts_with(each)) serving = each;
      const auto match = table.find(asked);
      REQUIRE(match.has_value() == !serving.empty());
      if (match) REQUIRE(*match->mount == serving);
      if (match) REQUIRE(match->rest == asked.substr(serving.size()));
    }
    REQUIRE(table.size() == there.size());
  }
}

TEST_CASE("a mount serves its own path too, without what is behind it") {
  route_table<int> table;
  table.insert("kv/", 1);
  CHECK(table.find("kv")->rest.empty());
  CHECK(table.find("kv/")->rest.empty());
  CHECK(table.find("kv/a/b")->rest == "a/b");
  CHECK_FALSE(table.find("kvx"));
  CHECK_FALSE(table.find("k"));
  CHECK_FALSE(table.find(""));
}
