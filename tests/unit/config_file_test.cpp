// SPDX-License-Identifier: Apache-2.0
//
// The configuration: what a whole file says, and each way to write a wrong one.

#include "broker/config_file.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "broker/group_rules.hpp"
#include "tools/temporary_directory.hpp"

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
plugin_calls_open_max = 50000
plugin_write_ms_max = 90000
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
  CHECK(config.limits.plugin_calls_open_max == 50'000);
  CHECK(config.limits.plugin_write_ms_max == 90s);
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

TEST_CASE("the broker's memory is shed before it fails") {
  const std::string soft = "[limits]\nmemory_soft_bytes_max = 5000000000\n";
  CHECK(said(soft) ==
        "b.toml:1: memory_hard_bytes_max is below memory_soft_bytes_max | what fails the broker "
        "lies above what makes it shed calls");
  CHECK(said(soft + "memory_hard_bytes_max = 4999999999").starts_with("b.toml:1: memory_hard"));
  const auto config = parse_config(soft + "memory_hard_bytes_max = 5000000000", "b.toml");
  CHECK(config.limits.memory_hard_bytes_max == 5'000'000'000);
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
  CHECK(said("xyzzy = 1")
            .find("one of: confinement, group, limits, mount, pin, plugins, release, socket, "
                  "state, state_key") != std::string::npos);
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

// -- releases, pins, mounts ----------------------------------------------------------------------

TEST_CASE("what a file declares arrives") {
  const auto config = parse_config(R"(
[[release]]
kind = "secrets"
name = "kv"
version = "1.2.0"
command = "kv-1.2.0"
sha256 = "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
arguments = ["-x"]
environment = ["A=b"]
[[release]]
kind = "generic"
name = "calc"
version = "1.0.0"
[pin]
"secrets/kv" = "1.2.0"
[group.g]
[mount."zebra/"]
plugin = "kv"
kind = "secrets"
version = "1.2.0"
description = "text"
group = "g"
options = { a = "x", b = 20, c = true, d = 0.5 }
restart = "transient"
intensity = 5
period = "1m"
backoff-first = "10ms"
backoff-max = "1s"
backoff-stable = "2m"
lazy = true
start-max = "3s"
idle-stop = "10m"
ping-every = 0
ping-wait = "4s"
call-age-max = "5s"
lifetime = "24h"
calls-max = 7
handover = "stop-first"
in-flight = 8
waiting = 9
wait-max = "6s"
call-max = "7s"
breaker = 0
breaker-open = "8s"
breaker-open-max = "9s"
[mount.ant]
plugin = "calc"
)",
                                   "b.toml");
  const auto& declared = config.declared;
  REQUIRE(declared.releases.size() == 2);
  CHECK(declared.releases[0] ==
        release_spec{"secrets",
                     "kv",
                     "1.2.0",
                     "kv-1.2.0",
                     "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
                     {"-x"},
                     {"A=b"}});
  CHECK(declared.releases[1].command == "calc");
  REQUIRE(declared.pins.size() == 1);
  CHECK(declared.pins[0].kind == "secrets");
  CHECK(declared.pins[0].name == "kv");
  CHECK(declared.pins[0].version == "1.2.0");
  REQUIRE(declared.mounts.size() == 2);
  const auto& mount = declared.mounts[0];
  CHECK(mount.path == "zebra/");
  CHECK(mount.plugin == "kv");
  CHECK(mount.kind == "secrets");
  CHECK(mount.version == "1.2.0");
  CHECK(mount.description == "text");
  CHECK(mount.group == "g");
  CHECK(mount.options == std::vector<option>{{"a", "x"}, {"b", "20"}, {"c", "true"}, {"d", "0.5"}});
  CHECK(mount.restart == restart_rule::transient);
  CHECK(mount.supervision == restart_limits{5, 1min, 10ms, 1s, 2min});
  CHECK(mount.life ==
        life_rules{start_mode::lazy, 10min, 0ms, 4s, 5s, 24h, 7, handover::stop_first, 3s});
  CHECK(mount.calls == call_rules{8, 9, 6s, 7s, 0, 8s, 9s});
  CHECK(declared.mounts[1].path == "ant/");
  CHECK(declared.mounts[1].life == life_rules{});
  CHECK(summary(config) == "1 group, 2 releases, 1 pin, 2 mounts");
}

TEST_CASE("a wrong release is refused by its line") {
  const std::string words = "[[release]]\nkind = \"secrets\"\nname = \"kv\"\n";
  CHECK(said(words).find("b.toml:1: a release has no kind, name or version") == 0);
  CHECK(said(words + "versio = \"1.0.0\"") ==
        "b.toml:4: key of a release 'versio' is not known | did you mean 'version'?");
  CHECK(said(words + "version = \"one\"").find("b.toml:1: 'one' is no version") == 0);
  CHECK(said(words + "version = \"1.0.0\"\nsha256 = \"12\"").find("'12' is no SHA-256") !=
        std::string::npos);
  CHECK(said(words + "version = \"1.0.0\"\n" + words + "version = \"1.0.0\"") ==
        "b.toml:5: the release secrets/kv@1.0.0 is there twice");
  CHECK(said("[release]\nname = \"kv\"").find("b.toml:1: release is no list of tables") == 0);
}

TEST_CASE("a wrong pin is refused by its line") {
  CHECK(said("[pin]\nkv = \"1.0.0\"").find("b.toml:2: 'kv' is no plugin with its kind") == 0);
  CHECK(said("[pin]\n\"secret/kv\" = \"1.0.0\"").find("b.toml:2: ") == 0);
  CHECK(said("[pin]\n\"secrets/kv\" = \"new\"").find("b.toml:2: 'new' is no version") == 0);
  CHECK(said("[pin]\n\"secrets/kv\" = 1").find("b.toml:2: a pin is no text") == 0);
}

TEST_CASE("a wrong mount is refused by its line") {
  const std::string words = "[mount.\"kv/\"]\nplugin = \"kv\"\n";
  CHECK(said("[mount.\"kv/\"]\n") == "b.toml:1: the mount 'kv/' names no plugin | plugin = \"kv\"");
  CHECK(said(words + "idle_stop = \"1m\"") ==
        "b.toml:3: key of a mount 'idle_stop' is not known | did you mean 'idle-stop'?");
  CHECK(said(words + "restart = \"transent\"") ==
        "b.toml:3: the restart 'transent' is not known | did you mean 'transient'?");
  for (const auto* time : {"10", "\"10\"", "\"1d\"", "\"ms\"", "\"-1s\"", "true",
                           "\"99999999999999999999s\"", "\"999999999999h\""})
    CHECK(said(words + "idle-stop = " + time) ==
          "b.toml:3: idle-stop is no time | as in \"250ms\", \"30s\", \"5m\"");
  CHECK(said(words + "lazy = \"yes\"") == "b.toml:3: lazy is neither true nor false");
  CHECK(said(words + "waiting = -1").find("b.toml:3: waiting is -1") == 0);
  CHECK(said(words + "options = { a = [1] }") == "b.toml:3: option 'a' is no single value");
  CHECK(said(words + "idle-stop = \"1ms\"").find("b.toml:1: life.idle_stop is out of range") == 0);
  CHECK(said(words + "group = \"g\"") == "b.toml:1: there is no group 'g' | [group.g]");
  CHECK(said("[group.good]\n" + words + "group = \"godo\"") ==
        "b.toml:2: there is no group 'godo' | did you mean 'good'?");
  CHECK(said("[mount.\"a b\"]\nplugin = \"kv\"").find("b.toml:1: 'a b' is no mount path") == 0);
  CHECK(said(words + "[mount.\"kv/x/\"]\nplugin = \"kv\"") ==
        "b.toml:3: the mounts 'kv/' and 'kv/x/' overlap");
  CHECK(said(words + "[mount.kv]\nplugin = \"kv\"").find("overlap") != std::string::npos);
}

TEST_CASE("limits of the same file count for its mounts") {
  CHECK(said("[mount.kv]\nplugin = \"kv\"\nin-flight = 9\n[limits]\ncalls_in_flight_max = 8")
            .find("b.toml:1: calls.in_flight_max is out of range") == 0);
}

TEST_CASE("what a running broker cannot take over is listed by name and value") {
  const auto config = parse_config("socket = \"/s\"\n[limits]\ncall_ms_max = 5\n[group.a]\n", "b");
  const auto fixed = fixed_settings(config);
  CHECK(fixed.at("socket") == "/s");
  CHECK(fixed.at("limits.call_ms_max") == "5");
  CHECK(fixed.at("group.a").find("one_for_one") == 0);
  CHECK(fixed.count("state") == 0);
}

TEST_CASE("what waits for the next start is what differs from the file of this one") {
  const auto started = fixed_settings(parse_config("state = \"/a\"\n[group.a]\n", "b"));
  const auto waiting = [&started](const char* text) {
    return declared_by(parse_config(text, "b"), started).fixed;
  };
  CHECK(waiting("state = \"/a\"\n[group.a]\n").empty());
  const auto changed = waiting("state = \"/b\"\nsocket = \"/s\"\n[limits]\ncall_ms_max = 5\n");
  CHECK(changed.size() == 4);
  CHECK(changed.at("state") == "/a -> /b");
  CHECK(changed.at("socket") == "nothing -> /s");
  CHECK(changed.at("limits.call_ms_max") == "90000 -> 5");
  CHECK(changed.at("group.a").find("one_for_one") == 0);
}

namespace {

error unreadable(const std::string& file) {
  try {
    read_config(file);
  } catch (const error& problem) {
    return problem;
  }
  FAIL("it was read");
  return {error_kind::internal, "", "", ""};
}

}  // namespace

TEST_CASE("what is no file, or cannot be read, is not taken for an empty configuration") {
  const temporary_directory directory;
  const auto fifo = directory / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(unreadable(directory.path()).kind() == error_kind::invalid_argument);
  CHECK(unreadable(directory.path()).why() == "it is a directory");
  CHECK(unreadable(fifo).why() == "it is no regular file");  // at once, though nobody writes it
  CHECK(unreadable("/dev/null").why() == "it is no regular file");
  CHECK(unreadable(directory / "none").kind() == error_kind::not_found);
  // A regular file that can be opened, and whose first byte nobody can read: EIO.
  CHECK(unreadable("/proc/self/mem").kind() == error_kind::storage);
  const auto good = directory / "good.toml";
  std::ofstream(good) << "socket = \"/s\"\n";
  CHECK(read_config(good).socket == "/s");
  std::ofstream(good) << std::string(config_bytes_max + 1, '#');
  CHECK(unreadable(good).kind() == error_kind::invalid_argument);
}

TEST_CASE("confinement is said of the broker, a release and a mount, by the words of the flags") {
  const auto config = parse_config(R"(
[confinement]
profile = "strict"
waive = ["cg.cpu"]
limits = { memory = "128M", tasks = 32 }
grants = ["read-dir:/etc/ssl"]
launcher = "/opt/launcher"

[[release]]
kind = "generic"
name = "py"
version = "1.0.0"
profile = "interpreter"
limits = { fds = 128 }

[mount."py/"]
plugin = "py"
waive = ["cg.memory"]
limits = { memory = "1G" }
thresholds = { rss-restart = "900M", cpu-warn = 80 }
)",
                                   "b.toml");
  const auto& broker = config.confinement;
  CHECK(broker.launcher == "/opt/launcher");
  CHECK_FALSE(broker.unconfined);
  CHECK(broker.rules ==
        confinement_rules{
            "strict", {"cg.cpu"}, {{"memory", 128U << 20U}, {"tasks", 32}}, {"read-dir:/etc/ssl"}});
  REQUIRE(config.declared.releases.size() == 1);
  CHECK(config.declared.releases[0].confinement ==
        confinement_rules{"interpreter", {}, {{"fds", 128}}, {}});
  REQUIRE(config.declared.mounts.size() == 1);
  const auto& mount = config.declared.mounts[0];
  CHECK(mount.confinement == confinement_rules{{}, {"cg.memory"}, {{"memory", 1U << 30U}}, {}});
  CHECK(mount.thresholds ==
        std::vector<named_number>{{"cpu-warn", 80}, {"rss-restart", 900U << 20U}});
}

TEST_CASE("confinement that makes no sense is refused with its line, and cannot be switched off") {
  CHECK(said("[confinement]\nprofile = \"open\"").find("b.toml:1: 'open' is no profile") == 0);
  CHECK(said("[confinement]\nlimits = { memory = \"much\" }") ==
        "b.toml:2: limits.memory is no amount | as in 64, \"256M\", \"1G\"");
  CHECK(said("[confinement]\nwaive = [\"all\"]").find("b.toml:1: 'all' is no wall") == 0);
  CHECK(said("[confinement]\nunconfined = true")
            .find("b.toml:2: key of confinement 'unconfined' is not known") == 0);
}
