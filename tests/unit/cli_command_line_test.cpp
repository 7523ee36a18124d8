// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/command_line.hpp"

#include <catch2/catch.hpp>

#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/settings.hpp"

namespace {

using namespace bulkhead::cli;
using texts = std::vector<std::string>;

TEST_CASE("flags stand anywhere and take their value in three ways") {
  const auto command = parse_words(
      {"-o", "json", "mount", "--option", "a=1", "kv/", "--option=b=2", "kv", "--timeout", "5s"});
  REQUIRE(command.command != nullptr);
  CHECK(command.command->name == "mount");
  CHECK(command.arguments == texts{"kv/", "kv"});
  CHECK(command.values("option") == texts{"a=1", "b=2"});
  CHECK(command.value("output") == "json");
  CHECK(parse_words({"logs", "kv/", "-n5"}).value("lines") == "5");
}

TEST_CASE("a word like -9 is no flag, and -- ends flags") {
  CHECK(parse_words({"kill", "kv/", "-9"}).arguments == texts{"kv/", "-9"});
  CHECK(parse_words({"read", "--", "--odd"}).arguments == texts{"--odd"});
}

TEST_CASE("words in brackets reach the command as they are") {
  CHECK(parse_words({"call", "c/", "m", "[1,2]"}).arguments[2] == "[1,2]");
}

struct refusal {
  texts words;
  std::string what;
  std::string remedy;
};

TEST_CASE("wrong usage says what is wrong and what to do") {
  const std::vector<refusal> refusals = {
      {{"restrat", "kv/"}, "unknown command 'restrat'", "did you mean 'restart'?"},
      {{"frobnicate"}, "unknown command 'frobnicate'", "bulkhead help"},
      {{"mount", "--optoin", "a=b"}, "unknown flag '--optoin'", "did you mean '--option'?"},
      {{"mounts", "-q"}, "unknown flag '-q'", "bulkhead help mounts"},
      {{"mount", "kv/"},
       "mount: PLUGIN is missing",
       "bulkhead mount PATH PLUGIN [--option K=V]... [FLAGS]"},
      {{"tree", "x"}, "tree: 'x' is too much", "bulkhead tree"},
      {{"mounts", "-o", "xml"}, "'xml' is no value for --output", "one of: table, json"},
      {{"mount", "a/", "b", "--restart", "often"},
       "'often' is no value for --restart",
       "one of: permanent, transient, temporary"},
      {{"logs", "kv/", "--follow=yes"}, "--follow takes no value", ""},
      {{"logs", "kv/", "-n"}, "--lines needs a value: N", "bulkhead help logs"},
      {{"mounts", "-o", "json", "-o", "json"}, "--output is given twice", ""},
  };
  for (const auto& expected : refusals) {
    CAPTURE(expected.words);
    try {
      parse_words(expected.words);
      FAIL("it was taken");
    } catch (const failure& error) {
      CHECK(error.code == exit_code::usage);
      CHECK(error.what() == expected.what);
      CHECK(error.remedy == expected.remedy);
    }
  }
}

TEST_CASE("--help excuses missing arguments") {
  CHECK(parse_words({"mount", "--help"}).has("help"));
  CHECK(parse_words({"mount", "-h"}).has("help"));
}

TEST_CASE("durations have units") {
  CHECK(parse_duration_ms("500ms") == 500);
  CHECK(parse_duration_ms("30") == 30'000);
  CHECK(parse_duration_ms("2m") == 120'000);
  CHECK(parse_duration_ms("0") == 0);
  for (const char* text :
       {"", "s", "-1s", "1.5s", "5d", "99999999999999999999s", "18446744073709551615h"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration_ms(text), failure);
  }
}

TEST_CASE("signals have names and numbers") {
  CHECK(parse_signal("KILL") == 9);
  CHECK(parse_signal("sigterm") == 15);
  CHECK(parse_signal("-9") == 9);
  CHECK(parse_signal("64") == 64);
  CHECK(signal_text(9) == "SIGKILL");
  for (const char* text : {"", "0", "65", "KILLL!", "x"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_signal(text), failure);
  }
}

TEST_CASE("every command has an example that parses") {
  for (const auto& command : command_table()) {
    CAPTURE(command.name);
    CHECK_FALSE(command.summary.empty());
    REQUIRE_FALSE(command.examples.empty());
    CHECK(command_help(command).find(std::string(command.name)) != std::string::npos);
    CHECK(program_help().find("  " + std::string(command.name) + " ") != std::string::npos);
  }
}

variable_reader variables(std::map<std::string, std::string> values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

TEST_CASE("the address is the flag, the environment, the system's socket, the user's") {
  const auto none = [](const std::string&) { return false; };
  const auto all = [](const std::string&) { return true; };
  const auto user_only = [](const std::string& path) { return path.find("/run/user") == 0; };
  const auto plain = parse_words({"mounts"});
  const auto both =
      variables({{"BULKHEAD_ADDRESS", "unix:/e"}, {"XDG_RUNTIME_DIR", "/run/user/1"}});
  const auto user = variables({{"XDG_RUNTIME_DIR", "/run/user/1"}, {"BULKHEAD_ADDRESS", ""}});
  CHECK(resolve_address(parse_words({"mounts", "--address", "unix:/f"}), both, all) == "unix:/f");
  CHECK(resolve_address(plain, both, all) == "unix:/e");
  CHECK(resolve_address(plain, user, all) == "unix:/run/bulkhead/bulkhead.sock");
  CHECK(resolve_address(plain, user, user_only) == "unix:/run/user/1/bulkhead/bulkhead.sock");
  CHECK(resolve_address(plain, user, none) == "unix:/run/bulkhead/bulkhead.sock");
}

TEST_CASE("the format is the flag or the environment") {
  const auto none = [](const std::string&) { return false; };
  CHECK(resolve_settings(parse_words({"mounts"}), variables({{"BULKHEAD_FORMAT", "json"}}), none)
            .format == output_format::json);
  CHECK(resolve_settings(parse_words({"mounts", "-o", "table"}),
                         variables({{"BULKHEAD_FORMAT", "json"}}), none)
            .format == output_format::table);
  CHECK_THROWS_AS(
      resolve_settings(parse_words({"mounts"}), variables({{"BULKHEAD_FORMAT", "xml"}}), none),
      failure);
}

TEST_CASE("colour is for terminals, and NO_COLOR forbids it") {
  CHECK(wants_colour(variables({}), true));
  CHECK_FALSE(wants_colour(variables({}), false));
  CHECK_FALSE(wants_colour(variables({{"NO_COLOR", "1"}}), true));
  CHECK(wants_colour(variables({{"NO_COLOR", ""}}), true));
}

TEST_CASE("history is kept below the state directory") {
  CHECK(history_path(variables({{"XDG_STATE_HOME", "/s"}, {"HOME", "/h"}})) ==
        "/s/bulkhead/history");
  CHECK(history_path(variables({{"HOME", "/h"}})) == "/h/.local/state/bulkhead/history");
  CHECK_FALSE(history_path(variables({})));
}

}  // namespace
