// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/completion.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string_view>

#include "tools/bulkhead/command_table.hpp"

namespace {

using namespace bulkhead::cli;
using texts = std::vector<std::string>;

struct fake_source final : completion_source {
  texts mounts() override { return {"calc/", "kv/"}; }
  texts paths(const std::string& folder) override {
    return {folder + "app", folder + "team/", folder + "apple"};
  }
  texts methods(const std::string& target) override {
    return target == "calc/" || target == "$1" ? texts{"evaluate", "define"} : texts{};
  }
  texts parameters(const std::string&, const std::string& method) override {
    return {"(" + method + " = "};
  }
  texts capabilities() override { return {"$1"}; }
  texts releases() override {
    return {"secrets/kv@1.0.0", "secrets/kv@1.1.0", "generic/calc@2.0.0"};
  }
};

texts completed(std::string_view line) {
  fake_source source;
  return complete(line, source).list;
}

TEST_CASE("the first word is a command") {
  CHECK(completed("un") == texts{"unmount"});
  CHECK(completed("re") == texts{"read", "reload", "reset", "restart"});
  std::set<std::string_view> first_words;  // "key" and "plugin" begin several commands
  for (const auto& command : command_table())
    first_words.insert(command.name.substr(0, command.name.find(' ')));
  CHECK(completed("").size() == first_words.size());
  CHECK(completed("-o json mou") == texts{"mount", "mounts"});
}

TEST_CASE("plugins and releases are those of the catalog") {
  CHECK(completed("mount a/ k") == texts{"kv"});
  CHECK(completed("mount a/ s") == texts{"secrets/kv"});
  CHECK(completed("plugin pin secrets/kv@1.1") == texts{"secrets/kv@1.1.0"});
  CHECK(completed("plugin unpin ca") == texts{"calc"});
  CHECK(completed("key policy s") == texts{"secrets"});
}

TEST_CASE("the second word of a command of two is known") {
  CHECK(completed("ke") == texts{"key"});
  CHECK(completed("key ") ==
        texts{"generate", "list", "policy", "sign", "trust", "untrust", "verify"});
  CHECK(completed("key sign --a") == texts{"--add", "--address"});
  CHECK(completed("help key v") == texts{"verify"});
  CHECK(completed("nothing ").empty());
}

TEST_CASE("flags and their few values are known") {
  CHECK(completed("mount a/ b --re") == texts{"--restart"});
  CHECK(completed("mount a/ b --restart t") == texts{"temporary", "transient"});
  CHECK(completed("mounts -o ") == texts{"json", "table"});
  CHECK(completed("mount a/ b --handover ") == texts{"overlap", "stop-first"});
  CHECK(completed("reload --c") == texts{"--canary", "--canary-time"});
  CHECK(completed("logs --f") == texts{"--follow"});
}

TEST_CASE("paths are mounts, and below one its keys") {
  CHECK(completed("status ") == texts{"calc/", "kv/"});
  CHECK(completed("status kv/ ").empty());
  for (const std::string_view order : {"stop ", "start ", "reload ", "why "})
    CHECK(completed(order) == texts{"calc/", "kv/"});
  CHECK(completed("read k") == texts{"kv/"});
  CHECK(completed("read kv/ap") == texts{"kv/app", "kv/apple"});
  CHECK(completed("read kv/team/") == texts{"kv/team/app", "kv/team/apple", "kv/team/team/"});
  CHECK(completed("mount ").empty());
}

TEST_CASE("a call completes target, method and parameters") {
  CHECK(completed("call ") == texts{"$1", "calc/", "kv/"});
  CHECK(completed("call calc/ ") == texts{"define", "evaluate"});
  CHECK(completed("call $1 e") == texts{"evaluate"});
  CHECK(completed("call calc/ evaluate (") == texts{"(evaluate = "});
  CHECK(completed("call calc/ evaluate x y").empty());
}

TEST_CASE("signals and commands as arguments") {
  CHECK(completed("kill kv/ KI") == texts{"KILL"});
  CHECK(completed("help unm") == texts{"unmount"});
}

TEST_CASE("the completed word's begin is told") {
  fake_source source;
  CHECK(complete("read kv/ap", source).begin == 5);
  CHECK(complete("read ", source).begin == 5);
}

TEST_CASE("a word in quotes is not completed: what is missing cannot be told by its length") {
  CHECK(completed("read \"kv/ap").empty());
  CHECK(completed("read 'kv/ap'").empty());
  CHECK(completed("read kv\\/ap").empty());
}

TEST_CASE("what several words begin with") {
  CHECK(common_prefix({"kv/app", "kv/apple"}) == "kv/app");
  CHECK(common_prefix({"a", "b"}).empty());
  CHECK(common_prefix({}).empty());
}

}  // namespace
