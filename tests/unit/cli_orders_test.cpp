// SPDX-License-Identifier: Apache-2.0
//
// The rules that `mount` takes, the orders to a mount, and how its status shows them.
#include <capnp/message.h>

#include <catch2/catch.hpp>

#include "tests/unit/cli_fixture.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace {

using namespace bulkhead::cli;
namespace schema = bulkhead::schema;
using fixture = bulkhead::testing::cli_fixture;
using schema::MountState;

TEST_CASE("mount passes on the rules of an instance's life") {
  fixture f;
  f.text(
      "mount a/ kv --lazy --idle-stop 10m --ping-every 0 --call-age-max 5s --lifetime 24h "
      "--calls-max 1000 --handover stop-first --start-max 3s --group front");
  CHECK(f.broker.state.calls.back() ==
        "mount a/ kv 0 (start = lazy, idleStopMs = 600000, pingEveryMs = 0, pingWaitMs = 20000, "
        "callAgeMaxMs = 5000, lifetimeMaxMs = 86400000, callsMax = 1000, handover = stopFirst, "
        "startMaxMs = 3000) in front");
  f.text("mount a/ kv --ping-wait 2s");
  CHECK(f.broker.state.calls.back() ==
        "mount a/ kv 0 (start = eager, idleStopMs = 0, pingEveryMs = 10000, pingWaitMs = 2000, "
        "callAgeMaxMs = 0, lifetimeMaxMs = 0, callsMax = 0, handover = overlap, startMaxMs = 0)");
}

TEST_CASE("mount passes on the rules of its calls, and the broker's stand where none is given") {
  fixture f;
  f.text(
      "mount a/ kv --in-flight 8 --waiting 16 --wait-max 1s --call-max 2s --breaker 0 "
      "--breaker-open 1s --breaker-open-max 4s");
  CHECK(f.broker.state.calls.back() ==
        "mount a/ kv 0 (inFlightMax = 8, waitingMax = 16, waitMaxMs = 1000, callMaxMs = 2000, "
        "breakerFailures = 0, breakerOpenMs = 1000, breakerOpenMaxMs = 4000)");
  f.text("mount a/ kv --restart transient");
  CHECK(f.broker.state.calls.back() == "mount a/ kv 1");
}

TEST_CASE("a rule that is none is refused before the broker hears of it") {
  fixture f;
  for (const char* flags : {"--breaker many", "--in-flight 4294967296", "--idle-stop soon",
                            "--handover later", "--calls-max -1", "--lazy=yes"}) {
    CAPTURE(flags);
    CHECK(f.run(std::string("mount a/ kv ") + flags) == exit_code::usage);
  }
  CHECK(f.broker.state.calls.empty());
}

TEST_CASE("a span that the contract cannot hold reaches the broker as one that it refuses") {
  fixture f;
  f.text("mount a/ kv --idle-stop 8000h");
  CHECK(f.broker.state.calls.back().find("idleStopMs = 4294967295") != std::string::npos);
}

TEST_CASE("mount ends well with a lazy mount that sleeps") {
  fixture f;
  f.broker.state.more_status = [](schema::MountStatus::Builder status) {
    status.setState(MountState::STOPPED);
  };
  CHECK(f.run("mount a/ kv --lazy") == exit_code::done);
  CHECK(f.run("mount a/ kv") == exit_code::not_running);
}

TEST_CASE("stop ends well with a stopped mount, start with one that runs") {
  fixture f;
  CHECK(f.text("stop kv/").find("kv/  stopped") == 0);
  CHECK(f.run("status kv/") == exit_code::not_running);
  CHECK(f.text("start kv/").find("kv/  ready for 3 s\n") == 0);
  CHECK(f.text("stop kv/ -o json").find(R"({"schema_version":1,"mount":{"path":"kv/",)") == 0);
  f.broker.state.mounts["kv/"] = MountState::QUARANTINED;
  CHECK(f.run("start kv/") == exit_code::not_running);
  CHECK(f.notes == "error: it is quarantined\n  try: bulkhead reset kv/\n");
  CHECK(f.run("stop kw/") == exit_code::no_target);
}

TEST_CASE("breaker takes open or close, and the mount's status says who opened it") {
  fixture f;
  CHECK(f.text("breaker kv/ open").find("open by an operator: calls are refused") !=
        std::string::npos);
  CHECK(f.text("breaker kv/ close").find("by an operator") == std::string::npos);
  CHECK(f.run("breaker kv/ ajar") == exit_code::usage);
  CHECK(f.run("breaker kv/") == exit_code::usage);
}

TEST_CASE("reload tells of the change in one line") {
  fixture f;
  CHECK(f.text("reload kv/") == "reloaded kv/: generation 3 -> 4, version 1.0.0 -> 1.1.0, 12 ms\n");
  CHECK(f.text("reload kv/ -o json") ==
        "{\"schema_version\":1,\"results\":[{\"path\":\"kv/\",\"outcome\":\"replaced\","
        "\"reason\":\"\",\"generation_before\":3,\"generation_after\":4,"
        "\"version_before\":\"1.0.0\",\"version_after\":\"1.1.0\",\"took_ms\":12}]}\n");
}

TEST_CASE("reload of a plugin tells of each mount, and fails when one of them failed") {
  fixture f;
  CHECK(f.run("reload --plugin kv --version 1.1.0") == exit_code::failed);
  CHECK(f.out ==
        "failed host/: no hello within 5000 ms; generation 3 (1.0.0) serves on\n"
        "reloaded kv/: generation 3 -> 4, version 1.0.0 -> 1.1.0, 12 ms\n");
  CHECK(f.broker.state.calls.back() ==
        "reload (plugin = \"kv\", version = \"1.1.0\", canaryPercent = 0, canaryMs = 10000)");
}

TEST_CASE("reload takes a path or a plugin, and a trial's time only with a trial") {
  fixture f;
  for (const char* line :
       {"reload", "reload kv/ --plugin kv", "reload kv/ --canary-time 5s", "reload kv/ --canary 0",
        "reload kv/ --canary 100", "reload kv/ --canary ten"}) {
    CAPTURE(line);
    CHECK(f.run(line) == exit_code::usage);
  }
  CHECK(f.broker.state.calls.empty());
  f.text("reload kv/ --canary 10 --canary-time 5s");
  CHECK(f.broker.state.calls.back() ==
        "reload (path = \"kv/\", version = \"\", canaryPercent = 10, canaryMs = 5000)");
}

TEST_CASE("a trial's time is not counted as the command's") {
  fixture f;
  f.broker.state.hangs = true;
  CHECK(f.run("reload kv/ --canary 5 --canary-time 20ms --timeout 1ms") == exit_code::timed_out);
  CHECK(f.notes.find("no answer in 21 ms") != std::string::npos);
  CHECK(f.in.timeout_ms == command_ms_default);
}

TEST_CASE("a reload that found nothing to keep names the mount's status") {
  fixture f;
  capnp::MallocMessageBuilder message;
  auto result = message.initRoot<schema::ReloadResult>();
  result.setPath("kv/");
  result.setOutcome(schema::ReloadOutcome::FAILED);
  result.setReason("it exits at once");
  result.setGenerationAfter(4);
  CHECK(reload_text(result) == "failed kv/: it exits at once; see `status kv/`");
  result.setOutcome(schema::ReloadOutcome::RESTARTED);
  result.setVersionAfter("1.1.0");
  result.setTookMs(2500);
  CHECK(reload_text(result) == "restarted kv/: generation 4, version 1.1.0, 2 s");
}

TEST_CASE("status shows the rules that are not the usual ones") {
  fixture f;
  f.broker.state.more_status = [](schema::MountStatus::Builder status) {
    status.setGroup("front");
    status.setReload("generation 4 starts beside generation 3");
    auto life = status.initLife();
    life.setStart(schema::StartMode::LAZY);
    life.setIdleStopMs(600'000);
    life.setPingEveryMs(0);
    life.setCallsMax(1000);
    auto calls = status.initCalls();
    calls.setInFlightMax(8);
    calls.setBreakerFailures(3);
  };
  const auto text = f.text("status kv/");
  CAPTURE(text);
  CHECK(text.find("  life          lazy, stopped when idle for 10 m 0 s, no ping, replaced after "
                  "1000 calls\n") != std::string::npos);
  CHECK(text.find("  call rules    8 in flight at most, breaker after 3 without an answer\n") !=
        std::string::npos);
  CHECK(text.find("  group         front\n") != std::string::npos);
  CHECK(text.find("  reload        generation 4 starts beside generation 3\n") !=
        std::string::npos);
  CHECK(text.find("breaker  ") == std::string::npos);
}

TEST_CASE("status is silent about rules that are as usual") {
  fixture f;
  f.broker.state.more_status = [](schema::MountStatus::Builder status) {
    status.initLife();
    status.initCalls();
  };
  const auto text = f.text("status kv/");
  for (const char* name : {"  life ", "  call rules ", "  breaker ", "  reload ", "  group "}) {
    CAPTURE(name, text);
    CHECK(text.find(name) == std::string::npos);
  }
}

TEST_CASE("status shows a breaker that is not closed, and for how long") {
  fixture f;
  f.broker.state.more_status = [](schema::MountStatus::Builder status) {
    status.setBreaker(schema::BreakerState::OPEN);
    status.setBreakerMs(12'000);
  };
  CHECK(f.text("status kv/")
            .find("  breaker       open: calls are refused, one is let through in 12 s\n") !=
        std::string::npos);
  f.broker.state.more_status = [](schema::MountStatus::Builder status) {
    status.setBreaker(schema::BreakerState::HALF_OPEN);
  };
  CHECK(f.text("status kv/").find("  breaker       half open: ") != std::string::npos);
}

}  // namespace
