// SPDX-License-Identifier: Apache-2.0
// The supervisor as an actor: dynamic children, what a start answers, what is let go, live
// reconfiguration, and reports.
#include "supervisor_fixture.hpp"
#include "tests/bars.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

namespace {

/// A dynamic supervisor whose children are puppets; what they were started with is written down.
struct dynamic_fixture : fixture {
  texts started_with;

  explicit dynamic_fixture(restart_type type = restart_type::permanent) {
    options.policy.strategy = restart_strategy::dynamic;
    options.policy.intensity = 1'000;
    auto spec = puppet_spec("w");
    spec.rules.restart = type;
    spec.make = [this, make = spec.make](const child_ticket& ticket) {
      const auto* text = std::any_cast<std::string>(&ticket.arguments);
      started_with.push_back(text == nullptr ? "nothing" : *text);
      return make(ticket);
    };
    options.children = {spec};
  }

  supervisor_reply spawn(std::any arguments = {}) {
    return ask(supervisor_spawn{std::move(arguments)});
  }
};

}  // namespace

TEST_CASE(
    "A06 B13 dynamic children are made of the template, named by the supervisor, and counted") {
  dynamic_fixture f;
  f.start();
  CHECK(f.log->lines.empty());
  CHECK(f.count() == child_count{1, 0, 0, 0});
  const auto first = f.spawn();
  CHECK(first.answer == verdict::ok);
  CHECK(first.child.id == "w-1");
  CHECK(first.child.state == child_state::ready);
  CHECK(first.actor != nullptr);
  for (int i = 0; i < 999; ++i) f.self->send(f.top, supervisor_spawn{});
  f.run();
  CHECK(f.count() == child_count{1, 1'000, 0, 1'000});
  CHECK(f.look().children.back().kind == "worker");
}

TEST_CASE("D08 D09 a dynamic child that crashes comes back with its own arguments") {
  dynamic_fixture f;
  f.start();
  f.spawn(std::string{"red"});
  f.spawn(std::string{"blue"});
  f.spawn();
  f.tell("w-2", child_say::what::crash);
  CHECK(f.started_with == texts{"red", "blue", "nothing", "blue"});
  CHECK(f.status("w-2").generation == 2);
  CHECK(f.status("w-1").generation == 1);
  CHECK(f.look().children.size() == 3);
}

TEST_CASE("B11 B12 dynamic children are ended by their ids, and by nothing else") {
  dynamic_fixture f;
  f.start();
  f.spawn();
  CHECK(f.ask(supervisor_order{child_order::terminate, "w"}).answer == verdict::dynamic);
  CHECK(f.ask(supervisor_order{child_order::restart, "w-1"}).answer == verdict::dynamic);
  CHECK(f.ask(supervisor_order{child_order::erase, "w-1"}).answer == verdict::dynamic);
  CHECK(f.ask(supervisor_add{f.puppet_spec("v")}).answer == verdict::dynamic);
  CHECK(f.log->alive["w-1"] == 1);
  const auto gone = f.ask(supervisor_order{child_order::terminate, "w-1"});
  CHECK(gone.answer == verdict::ok);
  CHECK_FALSE(gone.known);
  CHECK(f.log->alive["w-1"] == 0);
  CHECK(f.ask(supervisor_order{child_order::terminate, "w-1"}).answer == verdict::ok);
  CHECK(f.ask(supervisor_order{child_order::terminate, "w-2"}).answer == verdict::not_found);
  fixture other;
  other.start();
  CHECK(other.ask(supervisor_spawn{}).answer == verdict::dynamic);
}

TEST_CASE("B15 the rules of a child and of the template are answered, unknown ids are not found") {
  dynamic_fixture f{restart_type::transient};
  f.start();
  f.spawn();
  CHECK(f.ask(supervisor_find{"w"}).rules.restart == restart_type::transient);
  CHECK(f.ask(supervisor_find{"w-1"}).rules.id == "w-1");
  CHECK(f.ask(supervisor_find{"x"}).answer == verdict::not_found);
}

TEST_CASE("F04 F06 dynamic children end with their supervisor, which ends as it was asked") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    dynamic_fixture f{type};
    f.start();
    for (int i = 0; i < 10; ++i) f.spawn();
    f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
    f.run();
    for (const auto& [id, alive] : f.log->alive) CHECK(alive == 0);
    CHECK(f.end() == caf::exit_reason::user_shutdown);
  }
}

TEST_CASE("A02 A03 a child whose factory has nothing to do is no failure, and has no actor") {
  fixture f;
  auto spec = f.puppet_spec("a");
  spec.make = [](const child_ticket&) { return child_made{nullptr, {}, false, true}; };
  f.options.children = {spec, f.puppet_spec("b")};
  f.start();
  CHECK(f.log->lines == texts{"made b"});
  CHECK(f.look().status.phase == supervisor_phase::running);
  CHECK(f.count() == child_count{2, 1, 0, 2});
  auto late = spec;
  late.rules.id = "late";
  const auto reply = f.ask(supervisor_add{late});
  CHECK(reply.answer == verdict::ok);
  CHECK(reply.known);
  CHECK(reply.actor == nullptr);
  CHECK(reply.child.state == child_state::stopped);
  CHECK(reply.child.reason == "its start found nothing to do");
}

TEST_CASE("A18 a spec without an id or without a factory is refused by what is missing") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("");
  CHECK(f.ask(supervisor_add{spec}).text == "the child's id is empty");
  spec = f.puppet_spec("a");
  spec.make = nullptr;
  CHECK(f.ask(supervisor_add{spec}).text == "child a has no factory");
  CHECK(f.count() == child_count{});
}

TEST_CASE("A26 what a factory says of an instance reaches who asked for the start, every time") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("a");
  spec.make = [make = spec.make](const child_ticket& ticket) {
    auto made = make(ticket);
    made.info = "port " + std::to_string(7000 + ticket.generation);
    return made;
  };
  CHECK(f.ask(supervisor_add{spec}).info == "port 7001");
  f.tell("a", child_say::what::crash);
  CHECK(f.ask(supervisor_find{"a"}).info == "port 7002");
  CHECK(f.ask(supervisor_order{child_order::restart, "a"}).info == "port 7003");
}

TEST_CASE("C14 C15 the factory and the arguments of a temporary child are let go once it runs") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    const auto large = std::make_shared<std::string>(50'000, 'x');
    const long kept = type == restart_type::temporary ? 1 : 2;
    {
      fixture f;
      f.start();
      auto spec = f.puppet_spec("a");
      spec.rules.restart = type;
      spec.make = [make = spec.make, large](const child_ticket& ticket) { return make(ticket); };
      f.ask(supervisor_add{std::move(spec)});
      CHECK(large.use_count() == kept);
    }
    dynamic_fixture f{type};
    f.start();
    f.spawn(large);
    CHECK(large.use_count() == kept);
    f.tell("w-1", child_say::what::crash);
    CHECK(large.use_count() == kept);
  }
}

TEST_CASE("C16 ten times as many temporary children end in no more than fifty times the time") {
  const auto cost = [](int count) {
    dynamic_fixture f{restart_type::temporary};
    f.options.observer = nullptr;
    f.start();
    std::vector<caf::strong_actor_ptr> actors;
    for (int i = 0; i < count; ++i) f.self->send(f.top, supervisor_spawn{});
    f.run();
    for (const auto& child : f.look().children) actors.push_back(child.actor);
    const auto before = std::chrono::steady_clock::now();
    for (const auto& actor : actors) {
      f.self->send(caf::actor_cast<caf::actor>(actor), child_say{child_say::what::crash});
    }
    f.run();
    const auto time = std::chrono::steady_clock::now() - before;
    REQUIRE(f.count() == child_count{1, 0, 0, 0});
    return time;
  };
  CHECK(bars::met([&] { return cost(10'000) <= 50 * cost(1'000); }));
}

TEST_CASE("F09 a child that cuts its link to the supervisor is ended all the same") {
  fixture f;
  f.start_with({"a"});
  f.tell("a", child_say::what::detach);
  const auto reply = f.ask(supervisor_order{child_order::terminate, "a"});
  CHECK(reply.child.state == child_state::stopped);
  CHECK(f.log->alive["a"] == 0);
}

TEST_CASE("D02 D04 actors of a group are stopped and made again in order") {
  for (const auto strategy : {restart_strategy::one_for_all, restart_strategy::rest_for_one}) {
    fixture f;
    f.options.policy.strategy = strategy;
    f.start_with({"a", "b", "c"});
    f.log->lines.clear();
    f.tell("b", child_say::what::crash);
    texts expected = {"gone b", "asked c", "gone c", "asked a",
                      "gone a", "made a",  "made b", "made c"};
    if (strategy == restart_strategy::rest_for_one) {
      expected = {"gone b", "asked c", "gone c", "made b", "made c"};
    }
    CHECK(f.log->lines == expected);
    CHECK(f.count() == child_count{3, 3, 0, 3});
  }
}

TEST_CASE("a restart of a group is answered when the child that was named has settled") {
  fixture f;
  f.options.policy.strategy = restart_strategy::one_for_all;
  f.start_with({"a", "b", "c"});
  const auto reply = f.ask(supervisor_order{child_order::restart, "a"});
  CHECK(reply.child.state == child_state::ready);
  CHECK(reply.child.generation == 2);
  CHECK(f.status("c").generation == 2);
}

TEST_CASE("F07 actors of a level that do not stop are killed together, at the limit of one") {
  fixture f;
  f.options.policy.order = stop_order::levels;
  for (int i = 0; i < 100; ++i) {
    auto spec = f.puppet_spec("c" + std::to_string(i), true);
    spec.rules.shutdown = shutdown_rule::within(300ms);
    f.options.children.push_back(spec);
  }
  action::finish finish;
  f.options.finish_observer = [&](const action::finish& end) { finish = end; };
  f.start();
  f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
  f.run();
  f.advance(300ms);
  CHECK(f.end() == caf::exit_reason::user_shutdown);
  CHECK(finish.killed.size() == 100);
}

TEST_CASE("M07 actors start when what they depend on has said that it is ready") {
  fixture f;
  f.options.policy.order = stop_order::levels;
  auto app = f.puppet_spec("app");
  app.rules.after = {"db"};
  f.options.children = {app, f.puppet_spec("db", false, false), f.puppet_spec("other")};
  f.start();
  CHECK(f.log->lines == texts{"made db", "made other"});
  f.tell("db", child_say::what::ready);
  CHECK(f.log->lines == texts{"made db", "made other", "made app"});
}

TEST_CASE("A21 L17 options that cannot be meant end the supervisor with the reason") {
  {
    fixture f;
    f.options.policy.strategy = restart_strategy::dynamic;
    f.start();
    CHECK(exit_text_of(f.system, f.end()).find("strategy is dynamic and there are 0") == 0);
  }
  fixture f;
  f.options.policy.order = stop_order::levels;
  auto a = f.puppet_spec("a");
  auto b = f.puppet_spec("b");
  a.rules.after = {"b"};
  b.rules.after = {"a"};
  f.options.children = {a, b};
  f.start();
  CHECK(exit_text_of(f.system, f.end()) == "children wait for each other: a after b after a");
  CHECK(f.log->lines.empty());
}

TEST_CASE("H02 H03 H04 H05 a running supervisor takes another configuration, all or nothing") {
  fixture f;
  f.start_with({"a", "b"});
  const auto reconfigure = [&](std::vector<actor_child_spec> children, bool prune) {
    return f.ask(supervisor_reconfigure{f.options.policy, std::move(children), prune});
  };
  auto bad = f.puppet_spec("c");
  bad.make = nullptr;
  CHECK(reconfigure({f.puppet_spec("a"), bad}, true).text == "child c has no factory");
  bad = f.puppet_spec("c");
  bad.rules.start_max = -1ms;
  CHECK(reconfigure({f.puppet_spec("a"), bad}, true).answer == verdict::invalid);
  CHECK(f.look().children.size() == 2);
  f.log->lines.clear();
  auto renewed = f.puppet_spec("b");
  renewed.kind = "mount";
  CHECK(reconfigure({renewed, f.puppet_spec("c")}, true).answer == verdict::ok);
  CHECK(f.log->lines == texts{"asked a", "gone a", "made c"});
  const auto look = f.look();
  REQUIRE(look.children.size() == 2);
  CHECK(look.children[0].kind == "mount");
  CHECK(look.children[0].status.generation == 1);
  CHECK(look.children[1].status.id == "c");
}

TEST_CASE("H07 children of a template follow the new one from their next start") {
  dynamic_fixture f;
  f.start();
  f.spawn(std::string{"red"});
  auto spec = f.puppet_spec("w");
  CHECK(f.ask(supervisor_reconfigure{f.options.policy, {}, false}).answer == verdict::invalid);
  CHECK(f.ask(supervisor_reconfigure{f.options.policy, {spec}, false}).answer == verdict::ok);
  f.tell("w-1", child_say::what::crash);
  CHECK(f.started_with == texts{"red"});  // the new factory does not write it down
  CHECK(f.status("w-1").generation == 2);
}

TEST_CASE("I01 crash reports reach their observer with the supervisor's name") {
  fixture f;
  texts lines;
  f.options.problem_observer = [&](const std::string& name, const action::problem& what) {
    lines.push_back(problem_text(name, what));
  };
  f.start_with({"a"});
  f.tell("a", child_say::what::crash);
  REQUIRE(lines.size() == 1);
  CHECK(lines.front().find("supervisor top: child_terminated: child a (instance 1, permanent "
                           "worker, shutdown 5 s): failed: ") == 0);
}

TEST_CASE("J18 what is no std::exception is not taken for a failed start: it ends the supervisor") {
  fixture f;
  f.start_with({"a"});
  auto spec = f.puppet_spec("b");
  spec.make = [](const child_ticket&) -> child_made { throw 7; };
  f.self->send(f.top, supervisor_add{spec});
  f.run();
  CHECK(exit_kind_of(f.end()) == exit_kind::abnormal);
  CHECK(f.log->alive["a"] == 0);
}
