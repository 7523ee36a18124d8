// SPDX-License-Identifier: Apache-2.0
//
// The configuration: what a whole file says, and each way to write a wrong one.

#include "broker/config_file.hpp"

#include <catch2/catch.hpp>

#include "broker/group_rules.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;

namespace {

error refused(const std::string& text) {
  try {
    parse_config(text, "b.toml");
  } catch (const error& problem) {
    CHECK(problem.kind() == error_kind::invalid_argument);
    return problem;
  }
  FAIL("it was accepted: " << text);
  return {error_kind::unknown, "", "", ""};
}

std::string said(const std::string& text) {
  const auto problem = refused(text);
  return problem.what() + (problem.remedy().empty() ? "" : " | " + problem.remedy());
}

group_spec group(std::string name, std::string parent = {}, std::vector<std::string> after = {}) {
  group_spec result;
  result.name = std::move(name);
  result.parent = std::move(parent);
  result.after = std::move(after);
  return result;
}

}  // namespace

TEST_CASE("an empty file is the defaults") {
  const auto config = parse_config("", "b.toml");
  CHECK_FALSE(config.socket);
  CHECK(config.limits.calls_in_flight_max == broker_limits{}.calls_in_flight_max);
  CHECK(config.groups.empty());
}

TEST_CASE("every key of a whole file arrives") {
  const auto config = parse_config(R"(
socket = "/run/s"
state = "/var/s"
plugins = "/usr/p"
state_key = "/etc/k"
[limits]
call_ms_max = 30000
clients_max = 7
client_flow_words_max = 4096
[group.zebra]
strategy = "rest_for_one"
intensity = 5
period_ms = 60000
backoff_first_ms = 10
backoff_max_ms = 20
backoff_stable_ms = 30
parent = "shop"
after = ["ant"]
[group.ant]
parent = "shop"
[group.shop]
strategy = "one_for_all"
)",
                                   "b.toml");
  CHECK(*config.socket == "/run/s");
  CHECK(*config.state == "/var/s");
  CHECK(*config.plugins == "/usr/p");
  CHECK(*config.state_key == "/etc/k");
  CHECK(config.limits.call_ms_max == 30s);
  CHECK(config.limits.clients_max == 7);
  CHECK(config.limits.client_flow_words_max == 4096);
  REQUIRE(config.groups.size() == 3);
  const auto& first = config.groups[0];
  CHECK(first.name == "zebra");
  CHECK(first.strategy == group_strategy::rest_for_one);
  CHECK(first.supervision.intensity == 5);
  CHECK(first.supervision.period == 60s);
  CHECK(first.supervision.backoff_first == 10ms);
  CHECK(first.supervision.backoff_max == 20ms);
  CHECK(first.supervision.backoff_stable == 30ms);
  CHECK(first.parent == "shop");
  CHECK(first.after == std::vector<std::string>{"ant"});
  CHECK(config.groups[1].name == "ant");
  CHECK(config.groups[2].strategy == group_strategy::one_for_all);
}

TEST_CASE("A17 an unknown key is refused by its line, with the name that was meant") {
  CHECK(said("socket = \"a\"\nplugin = \"b\"") ==
        "b.toml:2: key 'plugin' is not known | did you mean 'plugins'?");
  CHECK(said("[limits]\ncall_max_ms = 1").find("b.toml:2: limit 'call_max_ms' is not known") == 0);
  CHECK(said("[limits]\ncalls_waiting_mx = 1").find("did you mean 'calls_waiting_max'?") !=
        std::string::npos);
  CHECK(said("[group.a]\nstratgy = \"one_for_all\"") ==
        "b.toml:2: key of a group 'stratgy' is not known | did you mean 'strategy'?");
  CHECK(said("[group.a]\nstrategy = \"one_for_al\"") ==
        "b.toml:2: the strategy 'one_for_al' is not known | did you mean 'one_for_all'?");
  CHECK(said("xyzzy = 1").find("one of: group, limits, plugins, socket, state, state_key") !=
        std::string::npos);
}

TEST_CASE("a value of the wrong type or size is refused by its line") {
  CHECK(said("socket = 1") == "b.toml:1: socket is no text | put it in quotes");
  CHECK(said("[limits]\nclients_max = 0") == "b.toml:2: clients_max is 0; it is 1 to 1000000000");
  CHECK(said("[limits]\ncall_ms_max = \"1s\"") == "b.toml:2: call_ms_max is no whole number");
  CHECK(said("[limits]\ncall_ms_max = 86400001") ==
        "b.toml:2: call_ms_max is 86400001; it is 1 to 86400000");
  CHECK(said("limits = 3") == "b.toml:1: limits is no table");
  CHECK(said("[group]\na = 3") == "b.toml:2: a group is no table");
  CHECK(said("[group.a]\nafter = \"b\"").find("b.toml:2: after is no list") == 0);
  CHECK(said("[group.a]\nafter = [1]").find("b.toml:2: after is no text") == 0);
  CHECK(said("[group.a]\nintensity = 10001").find("at most 10000") != std::string::npos);
  CHECK(said("[group.a]\nperiod_ms = 0").find("period: it is 1 ms to 24 h") != std::string::npos);
}

TEST_CASE("a file that is no TOML is refused by its line, and shows no control character") {
  CHECK(said("socket = \"a\"\nstate = ").find("b.toml:2: ") == 0);
  CHECK(said("a\x1b[31m = 1").find('\x1b') == std::string::npos);
  CHECK(said("[group.a]\n[group.a]").find("b.toml:") == 0);
}

TEST_CASE("L17 a cycle of dependencies or parents is refused, and named") {
  CHECK(check_groups({group("a", "", {"b"}), group("b", "", {"c"}), group("c", "", {"a"})}).what ==
        "group 'a' waits for itself: a -> b -> c -> a");
  CHECK(check_groups({group("x", "", {"a"}), group("a", "", {"a"})}).what ==
        "group 'x' waits for itself: a -> a");
  CHECK(check_groups({group("a", "b"), group("b", "a")}).what ==
        "group 'a' is part of itself: a -> b -> a");
  std::vector<group_spec> ring;
  ring.reserve(20);
  for (int i = 0; i < 20; ++i)
    ring.push_back(group("g" + std::to_string(i), "", {"g" + std::to_string((i + 1) % 20)}));
  CHECK(check_groups(ring).what.find("g0 -> g1 -> g2") != std::string::npos);
  CHECK(said("[group.a]\n[group.b]\nafter = [\"b\"]") ==
        "b.toml:2: group 'b' waits for itself: b -> b");
}

TEST_CASE("groups that name what is not there, or too much, are refused") {
  CHECK(check_groups({}).what.empty());
  CHECK(check_groups({group("a"), group("b", "a"), group("c", "a", {"b"})}).what.empty());
  CHECK(check_groups({group("a", "x")}).what ==
        "group 'a' has the parent 'x', which is not configured");
  CHECK(check_groups({group("a", "", {"x"})}).what ==
        "group 'a' is after 'x', which is not configured");
  CHECK(check_groups({group("a"), group("b", "a"), group("c", "", {"b"})}).what ==
        "group 'c' is after 'b', which has another parent");
  CHECK(check_groups({group("a"), group("a")}).what == "group 'a' is configured twice");
  for (const auto* bad : {"", "A", "-a", "a b", "\x1b"})
    CHECK(check_groups({group(bad)}).what.find("a group's name is") == 0);
  CHECK(check_groups({group(std::string(group_name_bytes_max, 'a'))}).what.empty());
  CHECK_FALSE(check_groups({group(std::string(group_name_bytes_max + 1, 'a'))}).what.empty());
  std::vector<group_spec> deep{group("g0")};
  deep.reserve(group_depth_max + 1);
  for (std::size_t i = 1; i < group_depth_max; ++i)
    deep.push_back(group("g" + std::to_string(i), "g" + std::to_string(i - 1)));
  CHECK(check_groups(deep).what.empty());
  deep.push_back(group("last", deep.back().name));
  CHECK(check_groups(deep).what.find("group_depth_max") != std::string::npos);
  std::vector<group_spec> many;
  many.reserve(groups_max + 1);
  for (std::size_t i = 0; i < groups_max; ++i) many.push_back(group("g" + std::to_string(i)));
  CHECK(check_groups(many).what.empty());
  many.push_back(group("one-more"));
  CHECK(check_groups(many).what.find("groups_max") != std::string::npos);
}
