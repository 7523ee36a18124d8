// SPDX-License-Identifier: Apache-2.0
// The supervisor as an actor: what it makes of CAF's messages, and what it answers.
#include "supervisor_fixture.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("A01 an actor without children starts, answers and ends as it was asked") {
  fixture f;
  f.start();
  CHECK(f.look().status.phase == supervisor_phase::running);
  CHECK(f.look().name == "top");
  f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
  f.run();
  CHECK(f.end() == caf::exit_reason::user_shutdown);
}

TEST_CASE("A25 first children that say when they are ready start one after another") {
  fixture f;
  for (const auto* id : {"a", "b"}) f.options.children.push_back(f.puppet_spec(id, false, false));
  f.start();
  CHECK(f.log->lines == texts{"made a"});
  CHECK(f.look().status.phase == supervisor_phase::booting);  // and it answers meanwhile
  f.tell("a", child_say::what::ready);
  CHECK(f.log->lines == texts{"made a", "made b"});
  f.tell("b", child_say::what::ready);
  CHECK(f.look().status.phase == supervisor_phase::running);
}

TEST_CASE("A20 options with a child twice, or a wrong policy, end the supervisor with the reason") {
  fixture f;
  f.start_with({"a", "a"});
  CHECK(exit_text_of(f.system, f.end()) == "child a is there twice");
  CHECK(f.log->lines.empty());
  f.options.policy.period = 0ms;
  f.start();
  CHECK(exit_text_of(f.system, f.end()).find("period is 0 ms") == 0);
}

TEST_CASE("B01 B03 B04 refusals are answers, and a supervisor that is gone is an error at once") {
  fixture f;
  f.start_with({"a"});
  CHECK(f.ask(supervisor_add{f.puppet_spec("a")}).answer == verdict::already_started);
  CHECK(f.ask(supervisor_order{child_order::terminate, "x"}).answer == verdict::not_found);
  CHECK(f.ask(supervisor_order{child_order::start, "a"}).answer == verdict::running);
  CHECK(f.ask(supervisor_order{child_order::erase, "a"}).answer == verdict::running);
  CHECK(f.ask(supervisor_order{child_order::reset, "a"}).answer == verdict::not_quarantined);
  CHECK(f.ask(supervisor_find{"x"}).answer == verdict::not_found);
  CHECK(f.ask(supervisor_add{actor_child_spec{}}).answer == verdict::invalid);
  auto nameless = f.puppet_spec("");
  CHECK(f.ask(supervisor_add{nameless}).text == "the child's id is empty");
  f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
  f.run();
  auto handle = f.self->request(f.top, caf::infinite, supervisor_query{});
  f.run();
  bool failed = false;
  handle.receive([](const supervisor_snapshot&) {}, [&](const caf::error&) { failed = true; });
  CHECK(failed);
  f.end();
}

TEST_CASE("B05 B07 terminate, start, erase: each is answered when it is done") {
  fixture f;
  f.start_with({"a"});
  auto reply = f.ask(supervisor_order{child_order::terminate, "a"});
  CHECK(reply.answer == verdict::ok);
  CHECK(reply.child.state == child_state::stopped);
  CHECK(reply.actor == nullptr);
  CHECK(f.log->lines == texts{"made a", "asked a", "gone a"});
  reply = f.ask(supervisor_order{child_order::start, "a"});
  CHECK(reply.child.state == child_state::ready);
  CHECK(reply.actor != nullptr);
  f.ask(supervisor_order{child_order::terminate, "a"});
  reply = f.ask(supervisor_order{child_order::erase, "a"});
  CHECK(reply.answer == verdict::ok);
  CHECK_FALSE(reply.known);
  CHECK(f.ask(supervisor_find{"a"}).answer == verdict::not_found);
  CHECK(f.ask(supervisor_add{f.puppet_spec("a")}).child.generation == 3);
}

TEST_CASE("B13 a thousand children are counted, and found") {
  fixture f;
  f.start();
  for (int i = 0; i < 1000; ++i) {
    f.self->send(f.top, supervisor_add{f.puppet_spec("c" + std::to_string(i))});
  }
  f.run();
  const auto snapshot = f.look();
  CHECK(snapshot.children.size() == 1000);
  CHECK(snapshot.children.back().status.state == child_state::ready);
  CHECK(snapshot.children.back().kind == "worker");
}

TEST_CASE("C04 a permanent child that crashes is another actor at once") {
  fixture f;
  f.start_with({"a", "b"});
  const auto before = f.ask(supervisor_find{"a"}).actor;
  f.tell("a", child_say::what::crash);
  const auto after = f.ask(supervisor_find{"a"});
  CHECK(after.child.state == child_state::ready);
  CHECK(after.child.generation == 2);
  CHECK(after.actor != before);
  CHECK(f.status("b").generation == 1);
  CHECK(f.log->lines == texts{"made a", "made b", "gone a", "made a"});
}

TEST_CASE("C05 C06 C09 how an actor leaves decides by its restart type") {
  fixture f;
  f.options.policy.intensity = 9;
  for (const auto type : {restart_type::transient, restart_type::temporary}) {
    auto spec = f.puppet_spec(type == restart_type::transient ? "transient" : "temporary");
    spec.rules.restart = type;
    f.options.children.push_back(spec);
  }
  f.start();
  f.tell("transient", child_say::what::leave);
  CHECK(f.status("transient").state == child_state::stopped);
  CHECK(f.status("transient").reason == "ended normally");
  f.ask(supervisor_order{child_order::start, "transient"});
  f.tell("transient", child_say::what::leave_shut);
  CHECK(f.status("transient").state == child_state::stopped);
  f.ask(supervisor_order{child_order::start, "transient"});
  f.tell("transient", child_say::what::crash);
  CHECK(f.status("transient").state == child_state::ready);
  f.tell("temporary", child_say::what::crash);
  CHECK(f.ask(supervisor_find{"temporary"}).answer == verdict::not_found);
}

TEST_CASE("D12 a supervisor that is killed takes its children along") {
  fixture f;
  f.start_with({"a", "b"});
  f.self->send_exit(f.top, caf::exit_reason::kill);
  f.run();
  CHECK(f.log->alive["a"] == 0);
  CHECK(f.log->alive["b"] == 0);
  CHECK(f.end() == caf::exit_reason::kill);
}

TEST_CASE("D14 a message that it does not know is dropped") {
  fixture f;
  f.start_with({"a"});
  caf::anon_send(caf::actor_cast<caf::actor>(f.top), std::string{"who are you?"});
  f.run();
  CHECK(f.look().children.size() == 1);
}

TEST_CASE("E01 E02 a spent window ends the supervisor with the reason, after its children") {
  fixture f;
  f.start_with({"a", "b"});
  f.tell("b", child_say::what::crash);
  f.tell("b", child_say::what::crash);
  CHECK(f.log->alive["a"] == 0);
  const auto reason = f.end();
  CHECK(exit_kind_of(reason) == exit_kind::shutdown);
  CHECK(exit_text_of(f.system, reason).find("gave up: child b failed: ") == 0);
  CHECK(exit_text_of(f.system, reason).find("more than 1 restart within 5 s") != std::string::npos);
}

TEST_CASE("E08 a supervisor that gives up is restarted when permanent, not when transient") {
  for (const auto type : {restart_type::permanent, restart_type::transient}) {
    fixture f;
    supervisor_options inner = f.options;
    inner.name = "inner";
    inner.observer = nullptr;
    inner.children = {f.puppet_spec("leaf")};
    inner.policy.intensity = 0;
    actor_child_spec spec;
    spec.rules.id = "inner";
    spec.rules.restart = type;
    spec.rules.shutdown = shutdown_rule::infinity();
    spec.kind = "supervisor";
    spec.ready_when_made = false;
    caf::actor leaf_parent;
    spec.make = [&](const child_ticket& ticket) {
      auto options = inner;
      options.ticket = ticket;
      auto actor = f.system.spawn<supervisor>(options);
      leaf_parent = caf::actor_cast<caf::actor>(actor);
      return child_made{caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
    };
    f.options.children.push_back(spec);
    f.start();
    CHECK(f.status("inner").state == child_state::ready);  // it said so when its leaf was up
    CHECK(f.log->alive["leaf"] == 1);
    auto find = f.self->request(caf::actor_cast<supervisor_actor>(leaf_parent), caf::infinite,
                                supervisor_find{"leaf"});
    f.run();
    find.receive(
        [&](const supervisor_reply& reply) {
          f.self->send(caf::actor_cast<caf::actor>(reply.actor), child_say{child_say::what::crash});
        },
        [](const caf::error&) { FAIL("no leaf"); });
    f.run();
    const bool back = type == restart_type::permanent;
    CHECK(f.status("inner").state == (back ? child_state::ready : child_state::stopped));
    CHECK(f.log->alive["leaf"] == (back ? 1 : 0));
    leaf_parent = nullptr;
  }
}

TEST_CASE("F02 a child that does not end when asked is killed after its limit") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("a", true);
  spec.rules.shutdown = shutdown_rule::within(1s);
  f.ask(supervisor_add{spec});
  f.self->send(f.top, supervisor_order{child_order::terminate, "a"});
  f.run();
  CHECK(f.status("a").state == child_state::stopping);
  f.advance(1s - 1ns);
  CHECK(f.status("a").state == child_state::stopping);
  f.advance(1ns);
  CHECK(f.status("a").state == child_state::stopped);
  CHECK(f.log->lines == texts{"made a", "asked a", "gone a"});
}

TEST_CASE("F03 a brutal stop does not ask") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("a");
  spec.rules.shutdown = shutdown_rule::brutal();
  f.ask(supervisor_add{spec});
  f.ask(supervisor_order{child_order::terminate, "a"});
  CHECK(f.log->lines == texts{"made a", "gone a"});
}

TEST_CASE("D05 children are stopped in reverse order, the supervisor after them") {
  fixture f;
  f.start_with({"c", "a", "b"});
  f.log->lines.clear();
  f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
  f.run();
  CHECK(f.log->lines == texts{"asked b", "gone b", "asked a", "gone a", "asked c", "gone c"});
  CHECK(f.end() == caf::exit_reason::user_shutdown);
}

TEST_CASE("F13 the supervisor's own limit holds against children that wait for ever") {
  fixture f;
  f.options.stop_max = 3s;
  for (const auto* id : {"a", "b"}) {
    auto spec = f.puppet_spec(id, true);
    spec.rules.shutdown = shutdown_rule::infinity();
    f.options.children.push_back(spec);
  }
  f.start();
  f.self->send_exit(f.top, caf::exit_reason::user_shutdown);
  f.run();
  f.advance(3s - 1ns);
  CHECK(f.log->alive["a"] == 1);
  f.advance(1ns);
  CHECK(f.log->alive["a"] == 0);
  CHECK(f.log->alive["b"] == 0);
  CHECK(f.end() == caf::exit_reason::user_shutdown);
}

TEST_CASE("J02 restarts after the first are timed by CAF's clock, and status counts down") {
  fixture f;
  f.options.policy.intensity = 9;
  f.start_with({"a"});
  f.tell("a", child_say::what::crash);
  f.tell("a", child_say::what::crash);
  CHECK(f.status("a").state == child_state::backoff);
  CHECK(f.status("a").backoff_left == 100ms);
  f.advance(99ms);
  CHECK(f.status("a").backoff_left == 1ms);
  f.advance(1ms);
  CHECK(f.status("a").state == child_state::ready);
}

TEST_CASE("J13 a restart by an operator cuts the backoff short, and ends a child in good order") {
  fixture f;
  f.options.policy.intensity = 9;
  f.start_with({"a"});
  f.tell("a", child_say::what::crash);
  f.tell("a", child_say::what::crash);
  CHECK(f.ask(supervisor_order{child_order::restart, "a"}).child.state == child_state::ready);
  f.log->lines.clear();
  CHECK(f.ask(supervisor_order{child_order::restart, "a"}).child.generation == 4);
  CHECK(f.log->lines == texts{"asked a", "gone a", "made a"});
  f.advance(1h);
  CHECK(f.status("a").generation == 4);
}

TEST_CASE("A08 A09 A11 a child whose factory fails is answered as such, with the reason") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("a");
  SECTION("by an answer") {
    spec.make = [](const child_ticket&) { return child_made{nullptr, "no room", false}; };
    const auto reply = f.ask(supervisor_add{spec});
    CHECK(reply.answer == verdict::ok);
    CHECK(reply.child.state == child_state::stopped);
    CHECK(reply.child.reason == "no room");
    CHECK_FALSE(reply.known);
  }
  SECTION("by an exception") {
    spec.make = [](const child_ticket&) -> child_made { throw std::runtime_error{"broke"}; };
    CHECK(f.ask(supervisor_add{spec}).child.reason == "broke");
  }
  SECTION("by nothing") {
    spec.make = [](const child_ticket&) { return child_made{}; };
    CHECK(f.ask(supervisor_add{spec}).child.reason == "its factory made nothing");
  }
  CHECK(f.ask(supervisor_find{"a"}).answer == verdict::not_found);
  CHECK(f.ask(supervisor_add{f.puppet_spec("a")}).child.state == child_state::ready);
}

TEST_CASE("an actor that says that starting it again cannot help is quarantined at once") {
  fixture f;
  f.options.policy.when_spent = give_up::quarantine;
  f.start_with({"a", "b"});
  f.tell("a", child_say::what::permanent);
  CHECK(f.status("a").state == child_state::quarantined);
  CHECK(f.status("a").reason == "the wrong version; starting it again cannot help");
  CHECK(f.status("b").state == child_state::ready);
  CHECK(f.ask(supervisor_order{child_order::reset, "a"}).child.state == child_state::ready);
}

TEST_CASE("L07 a child that never says that it is ready is killed and has failed to start") {
  fixture f;
  f.start();
  auto spec = f.puppet_spec("a", false, false);
  spec.rules.start_max = 2s;
  auto handle = f.self->request(f.top, caf::infinite, supervisor_add{spec});
  f.run();
  CHECK(f.status("a").state == child_state::starting);
  f.advance(2s);
  bool answered = false;
  handle.receive(
      [&](const supervisor_reply& reply) {
        answered = true;
        CHECK(reply.child.state == child_state::stopped);
        CHECK(reply.child.reason == "was not ready within 2 s");
      },
      [](const caf::error&) {});
  CHECK(answered);
  CHECK(f.log->alive["a"] == 0);
}

TEST_CASE("whoever waits for a child is answered when the supervisor ends") {
  fixture f;
  f.start();
  auto handle =
      f.self->request(f.top, caf::infinite, supervisor_add{f.puppet_spec("a", false, false)});
  f.run();
  f.self->send_exit(f.top, caf::exit_reason::kill);
  f.run();
  bool answered = false;
  handle.receive(
      [&](const supervisor_reply& reply) { answered = reply.answer == verdict::stopping; },
      [&](const caf::error&) { answered = true; });
  CHECK(answered);
  f.end();
}

TEST_CASE("every transition reaches the observer, in order") {
  fixture f;
  f.start_with({"a"});
  f.tell("a", child_say::what::crash);
  f.ask(supervisor_order{child_order::terminate, "a"});
  CHECK(f.transitions ==
        texts{"a starting", "a ready", "a starting", "a ready", "a stopping", "a stopped"});
}
