// SPDX-License-Identifier: Apache-2.0
// Group A of the conformance list: start-up, and specs that are refused.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("A01 a supervisor without children starts, and ends as asked") {
  bench b{otp()};
  CHECK(b.send(event::start{}) == texts{"booted"});
  CHECK(b.send(event::stop{"enough", {}}) == texts{"finish stopped"});
  CHECK(b.finish->reason == "enough");
  CHECK(b.core.status(b.now).phase == supervisor_phase::finished);
}

TEST_CASE("A10 a child that is added and does not start is forgotten") {
  bench b{otp()};
  b.boot({});
  CHECK(b.add("a") == texts{"start a#1"});
  CHECK(b.fails("a") == texts{"forget a"});
  CHECK_FALSE(b.known("a"));
  CHECK(b.add("a") == texts{"start a#2"});  // generations never repeat
}

TEST_CASE("A12 B17 a known child whose asked start fails stays stopped, and nothing is counted") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::shutdown);
  for (int i = 0; i < 100; ++i) {
    CHECK(b.send(event::start_child{"a"}).size() == 1);
    CHECK(b.fails("a").empty());
    CHECK(b.state("a") == child_state::stopped);
  }
  CHECK(b.core.status(b.now).restarts_in_window == 0);
}

TEST_CASE("A14 when the third first child fails, the others are stopped in reverse and it ends") {
  bench b{otp()};
  for (const auto* id : {"a", "b", "c"}) b.add(id);
  CHECK(b.send(event::start{}) == texts{"start a#1"});
  CHECK(b.ready("a") == texts{"start b#1"});
  CHECK(b.ready("b") == texts{"start c#1"});
  CHECK(b.fails("c") == texts{"stop b#1"});
  CHECK(b.ends("b", exit_kind::shutdown) == texts{"stop a#1"});
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"finish start_failed"});
  CHECK(b.finish->reason == "child c did not start: no luck");
}

TEST_CASE("A18 A19 a wrong spec is refused by the field that is wrong, and nothing changes") {
  bench b{otp()};
  b.boot({});
  const auto refused = [&](auto change) {
    child_spec spec;
    spec.id = "a";
    change(spec);
    CHECK(b.send(event::add{spec}).empty());
    CHECK(b.answer == verdict::invalid);
    CHECK(b.core.status(b.now).children.empty());
    return b.text;
  };
  CHECK(refused([](auto& s) { s.id = ""; }) == "the child's id is empty");
  CHECK(refused([](auto& s) { s.id.assign(513, 'x'); }).find("513 bytes") != std::string::npos);
  CHECK(refused([](auto& s) {
          s.shutdown.timeout = -10ms;
        }).find("shutdown of child a is -10 ms") == 0);
  CHECK(refused([](auto& s) { s.start_max = -1ms; }).find("start_max") == 0);
  CHECK(refused([](auto& s) { s.first_generation = 0; }).find("first_generation") == 0);
  child_spec zero;
  zero.id = std::string(512, 'x');
  zero.shutdown.timeout = 0ms;
  CHECK(check(zero).empty());
}

TEST_CASE("A25 first children start one after another, each when the one before is ready") {
  bench b{otp()};
  for (const auto* id : {"e", "a", "d"}) b.add(id);
  CHECK(b.send(event::start{}) == texts{"start e#1"});
  CHECK(b.ready("e") == texts{"start a#1"});
  CHECK(b.core.status(b.now).phase == supervisor_phase::booting);
  CHECK(b.ready("a") == texts{"start d#1"});
  CHECK(b.ready("d") == texts{"booted"});
}
