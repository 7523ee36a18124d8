// SPDX-License-Identifier: Apache-2.0
// Group A of the conformance list: start-up, and specs that are refused.
#include "supervisor_bench.hpp"
#include "tests/bars.hpp"

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

TEST_CASE(
    "A03 a permanent child whose start finds nothing to do is kept, and the next one starts") {
  bench b{otp()};
  b.add("ignored");
  b.add("good");
  b.send(event::start{});
  CHECK(b.ignored("ignored") == texts{"start good#1"});
  CHECK(b.ready("good") == texts{"booted"});
  CHECK(b.state("ignored") == child_state::stopped);
  CHECK(b.status("ignored").reason == "its start found nothing to do");
  CHECK(b.count() == child_count{2, 1, 0, 2});
  CHECK(b.core.status(b.now).restarts_in_window == 0);
  CHECK(b.problems.empty());
}

TEST_CASE("A04 a temporary first child whose start finds nothing to do is not kept") {
  bench b{otp()};
  b.add("ignored", restart_type::temporary);
  b.add("good");
  b.send(event::start{});
  CHECK(b.ignored("ignored") == texts{"forget ignored", "start good#1"});
  b.ready("good");
  CHECK(b.count() == child_count{1, 1, 0, 1});
}

TEST_CASE("A05 a temporary child that is added and finds nothing to do is not kept") {
  bench b{otp()};
  b.boot({});
  b.add("ignored", restart_type::temporary);
  CHECK(b.answer == verdict::ok);
  CHECK(b.ignored("ignored") == texts{"forget ignored"});
  CHECK(b.count() == child_count{});
}

TEST_CASE(
    "A06 A07 a dynamic child whose start finds nothing to do is not kept, whatever its type") {
  for (const auto type : {restart_type::temporary, restart_type::permanent}) {
    bench b{group(restart_strategy::dynamic)};
    b.add("w", type);
    b.send(event::start{});
    b.send(event::add_dynamic{});
    CHECK(b.ignored(b.id) == texts{"forget w-1"});
    CHECK(b.count() == child_count{1, 0, 0, 0});
    CHECK(b.send(event::stop{"enough", {}}) == texts{"finish stopped"});
  }
}

TEST_CASE("a restart that finds nothing to do leaves the child down, and its group goes on") {
  bench b{group(restart_strategy::one_for_all)};
  b.boot({"a", "b"});
  b.crashes("a");
  CHECK(b.asked("b") == texts{"start a#2"});
  CHECK(b.ignored("a") == texts{"start b#2"});
  b.ready("b");
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("a late word that there is nothing to do counts as an end") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.ignored("a") == texts{"start a#2"});
  b.terminate("a");
  CHECK(b.ignored("a").empty());
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("A13 a dynamic child that does not start is not kept") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w");
  b.send(event::start{});
  CHECK(b.send(event::add_dynamic{}) == texts{"start w-1#1"});
  CHECK(b.fails("w-1") == texts{"forget w-1"});
  CHECK(b.count() == child_count{1, 0, 0, 0});
  CHECK(b.core.status(b.now).restarts_in_window == 0);
}

TEST_CASE("A21 a dynamic supervisor has one template: none and two are refused, before it starts") {
  bench b{group(restart_strategy::dynamic)};
  CHECK(b.send(event::start{}).empty());
  CHECK(b.answer == verdict::invalid);
  CHECK(b.text == "strategy is dynamic and there are 0 children; it has one, the template");
  CHECK(b.core.phase() == supervisor_phase::idle);
  b.send(event::add_dynamic{});
  CHECK(b.answer == verdict::dynamic);
  b.add("w");
  CHECK(b.answer == verdict::ok);
  b.add("v");
  CHECK(b.answer == verdict::dynamic);
  CHECK(b.send(event::start{}) == texts{"booted"});
  CHECK(check_all(group(restart_strategy::dynamic), {spec_of("a"), spec_of("b")})
            .find("2 children") != std::string::npos);
}

TEST_CASE(
    "A27 a hundred times as many static children take no more than a thousand times as long") {
  const auto cost = [](int count) {
    const auto before = std::chrono::steady_clock::now();
    bench b{otp()};
    for (int i = 0; i < count; ++i) b.core.step(event::add{spec_of(fmt::format("c{}", i))}, b.now);
    b.core.step(event::start{}, b.now);
    for (int i = 0; i < count; ++i) b.core.step(event::started{fmt::format("c{}", i), 1}, b.now);
    REQUIRE(b.count().active == static_cast<std::size_t>(count));
    b.core.step(event::stop{"enough", {}}, b.now);
    for (int i = count; i-- > 0;) {
      b.core.step(event::exited{fmt::format("c{}", i), 1, exit_kind::shutdown, {}}, b.now);
    }
    REQUIRE(b.core.phase() == supervisor_phase::finished);
    return std::chrono::steady_clock::now() - before;
  };
  CHECK(bars::met([&] { return cost(100'000) <= 1'000 * cost(1'000); }));
}

TEST_CASE("a child without autostart is known, and started by request alone") {
  bench b{group(restart_strategy::one_for_all)};
  auto quiet = spec_of("quiet");
  quiet.autostart = false;
  b.send(event::add{quiet});
  b.add("a");
  CHECK(b.send(event::start{}) == texts{"start a#1"});
  CHECK(b.ready("a") == texts{"booted"});
  CHECK(b.crashes("a") == texts{"start a#2"});  // its group does not start it either
  CHECK(b.ready("a").empty());
  CHECK(b.send(event::start_child{"quiet"}) == texts{"start quiet#1"});
}

TEST_CASE("M07 with levels, those that depend on a child start when it is ready, others at once") {
  auto policy = otp();
  policy.order = stop_order::levels;
  bench b{policy};
  const auto add = [&](const std::string& id, texts after) {
    auto spec = spec_of(id);
    spec.after = std::move(after);
    b.send(event::add{spec});
    CHECK(b.answer == verdict::ok);
  };
  add("app", {"db", "cache"});
  add("db", {});
  add("cache", {});
  add("metrics", {"db"});
  CHECK(b.send(event::start{}) == texts{"start db#1", "start cache#1"});
  CHECK(b.ready("cache").empty());
  CHECK(b.ready("db") == texts{"start app#1", "start metrics#1"});
  CHECK(b.ready("app").empty());
  CHECK(b.ready("metrics") == texts{"booted"});
  SECTION("and stop before it, a level at once") {
    CHECK(b.send(event::stop{"enough", {}}) == texts{"stop metrics#1", "stop app#1"});
    CHECK(b.asked("app").empty());
    CHECK(b.asked("metrics") == texts{"stop cache#1", "stop db#1"});
  }
  SECTION("one that is added stands above what it names") {
    add("late", {"app"});
    b.ready("late");
    CHECK(b.send(event::stop{"enough", {}}) == texts{"stop late#1"});
  }
  SECTION("an unknown name is refused") {
    auto spec = spec_of("late");
    spec.after = {"nobody"};
    b.send(event::add{spec});
    CHECK(b.answer == verdict::invalid);
    CHECK(b.text == "after of child late names nobody, which is not there");
  }
}

TEST_CASE("M07 a dependency that may fail is waited for until it is ready or down for good") {
  auto policy = mount(1);
  policy.order = stop_order::levels;
  bench b{policy};
  b.add("db");
  auto spec = spec_of("app");
  spec.after = {"db"};
  b.send(event::add{spec});
  b.send(event::start{});
  CHECK(b.fails("db") == texts{"start db#2"});
  SECTION("ready") {
    CHECK(b.ready("db") == texts{"start app#1"});
  }
  SECTION("quarantined: the order says nothing about need") {
    CHECK(b.fails("db") == texts{"start app#1"});
  }
  SECTION("stopped by an operator") {
    CHECK(b.terminate("db") == texts{"stop db#2"});
    CHECK(b.asked("db") == texts{"start app#1"});
  }
}

TEST_CASE("L17 a cycle of dependencies is refused by naming it, and nothing starts") {
  auto policy = otp();
  policy.order = stop_order::levels;
  bench b{policy};
  b.add("first");
  for (int i = 0; i < 20; ++i) {
    auto spec = spec_of(fmt::format("u{}", i));
    spec.after = {"first", fmt::format("u{}", (i + 1) % 20)};
    b.send(event::add{spec});
  }
  CHECK(b.send(event::start{}).empty());
  CHECK(b.answer == verdict::invalid);
  CHECK(b.text.find("children wait for each other: u0 after u1 after u2") == 0);
  CHECK(b.text.find("after u19 after u0") != std::string::npos);
  CHECK(b.core.phase() == supervisor_phase::idle);
  CHECK(b.send(event::stop{"enough", {}}) == texts{"finish stopped"});
}

TEST_CASE("rest_for_one with levels restarts those that depend on the child, directly or not") {
  auto policy = group(restart_strategy::rest_for_one);
  policy.order = stop_order::levels;
  bench b{policy};
  const auto add = [&](const std::string& id, texts after) {
    auto spec = spec_of(id);
    spec.after = std::move(after);
    b.send(event::add{spec});
  };
  add("db", {});
  add("cache", {});
  add("app", {"db"});
  add("other", {"cache"});
  add("front", {"app"});
  b.send(event::start{});
  for (const auto* id : {"db", "cache", "app", "other", "front"}) b.ready(id);
  CHECK(b.crashes("db") == texts{"stop front#1"});
  CHECK(b.asked("front") == texts{"stop app#1"});
  CHECK(b.asked("app") == texts{"start db#2"});
  CHECK(b.ready("db") == texts{"start app#2"});
  CHECK(b.ready("app") == texts{"start front#2"});
  CHECK(b.generation("other") == 1);
}
