// SPDX-License-Identifier: Apache-2.0
//
// Looking back: how instances ended, and events without a silent gap.
#include <catch2/catch.hpp>

#include "tests/unit/cli_fixture.hpp"

namespace {

using namespace bulkhead::cli;
using fixture = bulkhead::testing::cli_fixture;
using bulkhead::schema::MountState;

TEST_CASE("why says of a mount that never crashed that it did not, and what it does now") {
  fixture f;
  CHECK(f.text("why kv/") ==
        "kv/: no instance has ended by itself\n"
        "  now           ready for 3 s\n");
  CHECK(f.text("why kv/ -o json") ==
        "{\"schema_version\":1,\"path\":\"kv/\",\"state\":\"ready\","
        "\"reason\":\"as the test says\",\"backoff_ms\":0,\"crash\":null,\"reports\":[]}\n");
  CHECK(f.run("why kw/") == exit_code::no_target);
}

TEST_CASE("why tells the newest end: how, what it took along, what followed, what is now") {
  fixture f;
  f.broker.state.crashed = true;
  f.broker.state.mounts["kv/"] = MountState::BACKOFF;
  f.broker.state.more_status = [](bulkhead::schema::MountStatus::Builder status) {
    status.setBackoffMs(400);
  };
  CHECK(f.text("why kv/") ==
        "kv/: generation 2 was ended by SIGKILL\n"
        "  plugin        kv 1.0.0\n"
        "  when          1970-01-01 00:00:00.000\n"
        "  lived for     1 s\n"
        "  core          none\n"
        "  calls lost    4\n"
        "    read kv/app, 250 ms old: plugin_crashed\n"
        "    and 3 more\n"
        "  then          restarts at once\n"
        "  its last lines\n"
        "    last words\n"
        "  now           backoff: as the test says; next start in 400 ms\n");
}

TEST_CASE("why shows as many reports as are asked for, newest first") {
  fixture f;
  f.broker.state.crashed = true;
  const auto all = f.text("why kv/ -n 0");
  const auto second = all.find("kv/: generation 1 was ended by SIGKILL\n");
  REQUIRE(second != std::string::npos);
  CHECK(all.find("kv/: generation 2 ") < second);
  CHECK(f.text("why kv/ -n 5") == all);
  CHECK(f.text("why kv/").find("generation 1 ") == std::string::npos);
  const auto json = f.text("why kv/ -n 2 -o json");
  CHECK(json.find(R"("crash":{"mount":"kv/")") != std::string::npos);
  CHECK(json.find(R"("method":"read kv/app","age_ms":250,"outcome":"plugin_crashed")") !=
        std::string::npos);
  CHECK(f.run("why kv/ -n some") == exit_code::usage);
}

TEST_CASE("events go on after a number without saying anything when none is missing") {
  fixture f;
  f.broker.state.last_event = 5;
  CHECK(f.text("events --since 3").find("    4  ") == 0);
  CHECK(f.notes.empty());
  CHECK(f.text("events --since 5").empty());
  CHECK(f.notes.empty());
}

TEST_CASE("events say how many are gone") {
  fixture f;
  f.broker.state.first_event = 21;
  f.broker.state.last_event = 25;
  CHECK(f.text("events --since 13").find("   21  ") == 0);
  CHECK(f.notes == "7 events are gone\n");
  f.text("events --since 0");
  CHECK(f.notes == "20 events are gone\n");
  f.text("events --since 20");
  CHECK(f.notes.empty());
  f.text("events");
  CHECK(f.notes.empty());
}

TEST_CASE("events after a number that the broker never gave are those of a broker started anew") {
  fixture f;
  f.broker.state.last_event = 2;
  const auto text = f.text("events --since 120");
  CHECK(text.find("    1  ") == 0);
  CHECK(text.find("\n    2  ") != std::string::npos);
  CHECK(f.notes.find("the broker has no event 120 yet: it was started anew") == 0);
}

}  // namespace
