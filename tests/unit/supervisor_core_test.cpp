// SPDX-License-Identifier: Apache-2.0
// Named cases of the core, each with its outcome. Every interleaving is
// supervisor_core_exhaustive_test's business.
#include "actors/supervisor_core.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

using texts = std::vector<std::string>;

std::string text_of(const supervisor_action& what) {
  struct printer {
    std::string operator()(const action::start_child& a) const {
      return fmt::format("start {}#{}", a.id, a.generation);
    }
    std::string operator()(const action::stop_child& a) const {
      return fmt::format("{} {}#{}", a.kill ? "kill" : "stop", a.id, a.generation);
    }
    std::string operator()(const action::forget_child& a) const {
      return fmt::format("forget {}", a.id);
    }
    std::string operator()(const action::booted& /*a*/) const { return "booted"; }
    std::string operator()(const action::finish& a) const {
      static constexpr std::array names = {"stopped", "gave_up", "start_failed"};
      return fmt::format("finish {}", names.at(static_cast<std::size_t>(a.why)));
    }
    std::string operator()(const action::arm_timer& /*a*/) const { return {}; }
    std::string operator()(const action::cancel_timer& /*a*/) const { return {}; }
    std::string operator()(const action::report& /*a*/) const { return {}; }
  };
  return std::visit(printer{}, what);
}

/// Drives a core: keeps its timers, remembers reports, moves time.
struct bench {
  fixed_random random{0.0};
  supervisor_core core;
  instant now{};
  std::map<std::uint64_t, instant> timers;
  std::vector<action::report> reports;
  std::optional<action::finish> finish;
  verdict answer = verdict::ok;
  std::string text;

  explicit bench(supervisor_policy policy) : core{policy, random} {
    REQUIRE(check(policy).empty());
  }

  texts send(const supervisor_event& what) {
    auto result = core.step(what, now);
    answer = result.answer;
    text = result.text;
    texts done;
    for (const auto& one : result.actions) {
      if (const auto* arm = std::get_if<action::arm_timer>(&one)) timers[arm->id] = arm->at;
      if (const auto* cancel = std::get_if<action::cancel_timer>(&one)) timers.erase(cancel->id);
      if (const auto* report = std::get_if<action::report>(&one)) reports.push_back(*report);
      if (const auto* end = std::get_if<action::finish>(&one)) finish = *end;
      if (auto line = text_of(one); !line.empty()) done.push_back(std::move(line));
    }
    return done;
  }

  /// Moves on by `step`, firing what is due on the way, in time order.
  texts advance(std::chrono::nanoseconds step) {
    const instant end = now + step;
    texts done;
    for (;;) {
      auto due = timers.end();
      for (auto it = timers.begin(); it != timers.end(); ++it) {
        if (it->second <= end && (due == timers.end() || it->second < due->second)) due = it;
      }
      if (due == timers.end()) break;
      now = std::max(now, due->second);
      const auto id = due->first;
      timers.erase(due);
      for (auto& line : send(event::timer{id})) done.push_back(std::move(line));
    }
    now = end;
    return done;
  }

  texts add(const std::string& id, restart_type type = restart_type::permanent,
            shutdown_rule rule = {}) {
    child_spec spec;
    spec.id = id;
    spec.restart = type;
    spec.shutdown = rule;
    return send(event::add{spec});
  }
  std::uint64_t generation(const std::string& id) { return status(id).generation; }
  child_status status(const std::string& id) {
    auto found = core.status(id, now);
    REQUIRE(found);
    return *found;
  }
  child_state state(const std::string& id) { return status(id).state; }
  bool known(const std::string& id) { return core.status(id, now).has_value(); }

  texts ready(const std::string& id) { return send(event::started{id, generation(id)}); }
  texts ends(const std::string& id, exit_kind kind, const std::string& why = "ended") {
    return send(event::exited{id, generation(id), kind, why});
  }
  texts crashes(const std::string& id) { return ends(id, exit_kind::abnormal, "crashed"); }
  texts fails(const std::string& id, bool permanent = false) {
    return send(event::start_failed{id, generation(id), "no luck", permanent});
  }
  /// Starts the supervisor with these children, all ready.
  void boot(const texts& ids) {
    for (const auto& id : ids) add(id);
    send(event::start{});
    for (const auto& id : ids) ready(id);
    REQUIRE(core.phase() == supervisor_phase::running);
  }
};

supervisor_policy otp(std::size_t intensity = 1, std::chrono::milliseconds period = 5s) {
  supervisor_policy policy;
  policy.intensity = intensity;
  policy.period = period;
  policy.backoff.jitter = 0;
  return policy;
}

/// As a mount has it: one child, quarantine, starts may fail.
supervisor_policy mount(std::size_t intensity = 3, std::chrono::milliseconds period = 30s) {
  auto policy = otp(intensity, period);
  policy.when_spent = give_up::quarantine;
  policy.asked = asked_start::may_fail;
  return policy;
}

}  // namespace

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

TEST_CASE("B01 B02 an id can be there once, running or not") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.add("a").empty());
  CHECK(b.answer == verdict::already_started);
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::shutdown);
  CHECK(b.add("a").empty());
  CHECK(b.answer == verdict::already_present);
}

TEST_CASE("B03 B06 B07 what is not there is not found, for every request") {
  bench b{otp()};
  b.boot({});
  for (const supervisor_event& request :
       {supervisor_event{event::terminate_child{"x"}}, supervisor_event{event::start_child{"x"}},
        supervisor_event{event::restart_child{"x"}}, supervisor_event{event::erase_child{"x"}},
        supervisor_event{event::reset_child{"x"}}}) {
    CHECK(b.send(request).empty());
    CHECK(b.answer == verdict::not_found);
  }
}

TEST_CASE("B05 terminating twice is as good as once, and the spec is kept") {
  bench b{otp()};
  b.boot({"a"});
  CHECK(b.send(event::terminate_child{"a"}) == texts{"stop a#1"});
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.ends("a", exit_kind::shutdown).empty());
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("B06 B07 a running child is neither started nor erased") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::start_child{"a"});
  CHECK(b.answer == verdict::running);
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::running);
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::shutdown);
  CHECK(b.send(event::erase_child{"a"}) == texts{"forget a"});
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::not_found);
}

TEST_CASE("B08 B09 a child that waits for its next start is restarting, until it is terminated") {
  bench b{otp(5)};
  b.boot({"a"});
  b.crashes("a");
  b.fails("a");
  CHECK(b.state("a") == child_state::backoff);
  b.add("a");
  CHECK(b.answer == verdict::already_present);
  b.send(event::start_child{"a"});
  CHECK(b.answer == verdict::restarting);
  b.send(event::erase_child{"a"});
  CHECK(b.answer == verdict::restarting);
  CHECK(b.send(event::terminate_child{"a"}).empty());
  CHECK(b.advance(1h).empty());  // no further attempt
  CHECK(b.send(event::start_child{"a"}) == texts{"start a#3"});
}

TEST_CASE("C01 to C11 restart type by kind of end") {
  const std::array kinds = {exit_kind::normal, exit_kind::shutdown, exit_kind::killed,
                            exit_kind::abnormal};
  const std::array types = {restart_type::permanent, restart_type::transient,
                            restart_type::temporary};
  for (const auto type : types) {
    for (const auto kind : kinds) {
      bench b{otp(3)};
      b.boot({});
      b.add("a", type);
      b.ready("a");
      const auto done = b.ends("a", kind);
      INFO(to_string(type) << " " << to_string(kind));
      const bool bad = kind == exit_kind::killed || kind == exit_kind::abnormal;
      if (type == restart_type::permanent || (type == restart_type::transient && bad)) {
        CHECK(done == texts{"start a#2"});
        CHECK(b.status("a").restarts == 1);
      } else if (type == restart_type::transient) {
        CHECK(done.empty());
        CHECK(b.state("a") == child_state::stopped);
        CHECK(b.send(event::start_child{"a"}) == texts{"start a#2"});  // C07
      } else {
        CHECK(done == texts{"forget a"});
        CHECK(b.add("a", type) == texts{"start a#2"});  // C10
      }
    }
  }
}

TEST_CASE("C12 a terminated child is not restarted, whatever its type and however it ends") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    for (const auto kind :
         {exit_kind::normal, exit_kind::shutdown, exit_kind::killed, exit_kind::abnormal}) {
      bench b{otp(3)};
      b.boot({});
      b.add("a", type);
      b.ready("a");
      CHECK(b.send(event::terminate_child{"a"}) == texts{"stop a#1"});
      const auto done = b.ends("a", kind);
      CHECK(done == (type == restart_type::temporary ? texts{"forget a"} : texts{}));
      CHECK(b.core.status(b.now).restarts_in_window == 0);
    }
  }
}

TEST_CASE("D01 only the child that ended is restarted") {
  bench b{otp()};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  CHECK(b.state("b") == child_state::ready);
  CHECK(b.generation("b") == 1);
}

TEST_CASE("E01 with intensity 0 the first crash ends the supervisor") {
  bench b{otp(0)};
  b.boot({"a"});
  CHECK(b.crashes("a") == texts{"finish gave_up"});
  CHECK(b.finish->reason == "child a crashed; more than 0 restarts within 5 s");
}

TEST_CASE("E02 all children share the window of a supervisor that escalates") {
  bench b{otp(2)};
  b.boot({"a", "b"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  b.ready("a");
  CHECK(b.crashes("b") == texts{"start b#2"});
  b.ready("b");
  CHECK(b.crashes("a") == texts{"stop b#2"});
  CHECK(b.ends("b", exit_kind::shutdown) == texts{"finish gave_up"});
}

TEST_CASE("E03 crashes further apart than the period never end the supervisor") {
  bench b{otp(1, 1s)};
  b.boot({"a"});
  for (int i = 0; i < 4; ++i) {
    b.crashes("a");
    b.advance(2100ms);
    b.ready("a");
  }
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("E04 normal ends of a permanent child count too") {
  bench b{otp(1)};
  b.boot({"a"});
  b.ends("a", exit_kind::normal);
  b.ready("a");
  CHECK(b.ends("a", exit_kind::normal) == texts{"finish gave_up"});
}

TEST_CASE("E05 E06 failing restarts count: intensity 3 makes 3 attempts, spaced by the backoff") {
  bench b{otp(3, 60s)};
  b.boot({"sibling", "a"});
  CHECK(b.crashes("a") == texts{"start a#2"});  // at once
  CHECK(b.fails("a").empty());
  CHECK(b.advance(100ms - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"start a#3"});
  CHECK(b.fails("a").empty());
  CHECK(b.advance(200ms) == texts{"start a#4"});
  CHECK(b.fails("a") == texts{"stop sibling#1"});
  CHECK(b.ends("sibling", exit_kind::shutdown) == texts{"finish gave_up"});
}

TEST_CASE("E12 two crashes exactly a period apart: the first no longer counts (OTP: it does)") {
  bench b{otp(1, 1s)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(1s);
  b.crashes("a");
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("F01 a child with shutdown infinity is waited for") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::infinity());
  b.ready("a");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1"});
  CHECK(b.advance(24h).empty());
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"finish stopped"});
}

TEST_CASE("F02 a child that does not end in time is killed, and the report names it") {
  bench b{otp()};
  b.boot({});
  b.add("good", restart_type::permanent, shutdown_rule::within(1s));
  b.add("busy", restart_type::permanent, shutdown_rule::within(1s));
  b.ready("good");
  b.ready("busy");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop busy#1"});
  CHECK(b.advance(1s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"kill busy#1"});
  CHECK(b.ends("busy", exit_kind::killed) == texts{"stop good#1"});
  CHECK(b.ends("good", exit_kind::shutdown) == texts{"finish stopped"});
  CHECK(b.finish->killed == texts{"busy"});
  CHECK(b.finish->abandoned.empty());
}

TEST_CASE("F03 brutal means a kill without being asked") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  CHECK(b.send(event::terminate_child{"a"}) == texts{"kill a#1"});
  CHECK(b.ends("a", exit_kind::killed).empty());
  CHECK(b.state("a") == child_state::stopped);
}

TEST_CASE("F05 children that leave by themselves while the supervisor stops are not restarted") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    for (const auto kind : {exit_kind::normal, exit_kind::shutdown, exit_kind::abnormal}) {
      bench b{otp(9)};
      b.boot({});
      b.add("a", type);
      b.add("b", type);
      b.add("c", type);
      for (const auto* id : {"a", "b", "c"}) b.ready(id);
      CHECK(b.send(event::stop{"enough", {}}) == texts{"stop c#1"});
      CHECK(b.ends("a", kind, "left").empty());
      CHECK(b.status("a").reason == "left");
      CHECK(b.ends("c", exit_kind::shutdown) == texts{"stop b#1"});
      CHECK(b.ends("b", exit_kind::shutdown) == texts{"finish stopped"});
    }
  }
}

TEST_CASE("F07 F08 with stop order `together` all are asked at once, each under its own limit") {
  auto policy = otp();
  policy.order = stop_order::together;
  bench b{policy};
  b.boot({});
  for (const auto* id : {"a", "b", "c"}) {
    b.add(id, restart_type::permanent, shutdown_rule::within(300ms));
    b.ready(id);
  }
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1", "stop b#1", "stop c#1"});
  CHECK(b.advance(300ms) == texts{"kill a#1", "kill b#1", "kill c#1"});
  for (const auto* id : {"a", "b"}) CHECK(b.ends(id, exit_kind::killed).empty());
  CHECK(b.ends("c", exit_kind::killed) == texts{"finish stopped"});
}

TEST_CASE("F10 how a child really ended is told when it was asked to") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::terminate_child{"a"});
  b.ends("a", exit_kind::abnormal, "exited with status 7");
  CHECK(b.status("a").reason == "stopped by an operator (exited with status 7)");
}

TEST_CASE("F12 a stop while a child starts aborts the start, and a late ready is not accepted") {
  bench b{otp()};
  b.boot({});
  b.add("a");
  CHECK(b.send(event::stop{"enough", {}}) == texts{"stop a#1"});
  CHECK(b.ready("a").empty());
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"finish stopped"});
}

TEST_CASE("F13 the supervisor's deadline holds against children that may take longer") {
  bench b{otp()};
  b.boot({});
  for (const auto* id : {"a", "b", "c"}) {
    b.add(id, restart_type::permanent, shutdown_rule::infinity());
    b.ready(id);
  }
  CHECK(b.send(event::stop{"enough", b.now + 2s}) == texts{"stop c#1"});
  CHECK(b.advance(2s) == texts{"kill a#1", "kill b#1", "kill c#1"});
  b.ends("c", exit_kind::killed);
  b.ends("a", exit_kind::killed);
  CHECK(b.advance(5s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"finish stopped"});  // b is stuck in the kernel
  CHECK(b.finish->killed == texts{"a", "b", "c"});
  CHECK(b.finish->abandoned == texts{"b"});
}

TEST_CASE("a child that survives its kill is never started beside itself") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  CHECK(b.send(event::restart_child{"a"}) == texts{"kill a#1"});
  CHECK(b.advance(1h).empty());
  CHECK(b.status("a").reason == "was killed and has not ended");
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.ends("a", exit_kind::killed) == texts{"start a#2"});
}

TEST_CASE("a supervisor that stops does not wait for ever for what it had killed before") {
  bench b{otp()};
  b.boot({});
  b.add("a", restart_type::permanent, shutdown_rule::brutal());
  b.ready("a");
  b.send(event::terminate_child{"a"});
  b.advance(1h);
  CHECK(b.send(event::stop{"enough", {}}).empty());
  CHECK(b.advance(5s) == texts{"finish stopped"});
  CHECK(b.finish->abandoned == texts{"a"});
}

TEST_CASE("J02 a mount's crashes wait 0, 100, 200 ms, and the fourth quarantines it") {
  bench b{mount()};
  b.boot({"a"});
  CHECK(b.crashes("a") == texts{"start a#2"});
  CHECK(next_step_text(b.reports.back()) == "restarts at once");
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.reports.back().delay == 100ms);
  CHECK(next_step_text(b.reports.back()) == "restarts in 100 ms");
  CHECK(b.status("a").backoff_left == 100ms);
  b.advance(60ms);
  CHECK(b.status("a").backoff_left == 40ms);
  CHECK(b.advance(40ms) == texts{"start a#3"});
  CHECK(b.status("a").backoff_left == 0ms);
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.advance(200ms) == texts{"start a#4"});
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::quarantined);
  CHECK(b.status("a").reason == "crashed; more than 3 restarts within 30 s");
  CHECK(b.status("a").restarts == 3);
  CHECK(next_step_text(b.reports.back()) == "quarantined");
  CHECK(b.advance(24h).empty());  // left only by an operator
  CHECK(b.core.phase() == supervisor_phase::running);
}

TEST_CASE("J04 a run of the stable time makes the next restart immediate again") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(60s - 1ns);
  CHECK(b.crashes("a").empty());
  b.advance(100ms);
  b.ready("a");
  b.advance(60s);
  CHECK(b.crashes("a").size() == 1);
}

TEST_CASE("J04 a stable run counts also when an operator ends it") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.advance(60s);
  b.send(event::restart_child{"a"});
  b.ends("a", exit_kind::shutdown);
  b.ready("a");
  CHECK(b.crashes("a").size() == 1);
}

TEST_CASE("time spent in starting is no good run") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  b.advance(1h);  // it hangs in its start
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::backoff);
}

TEST_CASE(
    "J13 an operator's restart cuts a backoff short, is not counted, and the old timer is void") {
  bench b{mount()};
  b.boot({"a"});
  b.crashes("a");
  b.fails("a");
  REQUIRE(b.timers.size() == 1);
  const auto old = b.timers.begin()->first;
  CHECK(b.send(event::restart_child{"a"}) == texts{"start a#3"});
  CHECK(b.timers.empty());
  CHECK(b.send(event::timer{old}).empty());
  CHECK(b.status("a").restarts == 2);
  CHECK(b.status("a").restarts_in_window == 2);  // the crash and the failed start
}

TEST_CASE("an operator's restart of a running child ends it in good order and starts another") {
  bench b{mount()};
  b.boot({"a"});
  CHECK(b.send(event::restart_child{"a"}) == texts{"stop a#1"});
  CHECK(b.state("a") == child_state::stopping);
  CHECK(b.send(event::restart_child{"a"}).empty());  // once is enough
  CHECK(b.ends("a", exit_kind::normal) == texts{"start a#2"});
  CHECK(b.status("a").restarts_in_window == 0);
  CHECK(b.status("a").restarts == 1);
  CHECK(b.status("a").reason == "restarted by an operator");
}

TEST_CASE("a terminate after a restart was asked wins, and a restart after a terminate too") {
  bench b{mount()};
  b.boot({"a"});
  b.send(event::restart_child{"a"});
  b.send(event::terminate_child{"a"});
  CHECK(b.ends("a", exit_kind::shutdown).empty());
  CHECK(b.state("a") == child_state::stopped);
  b.send(event::start_child{"a"});
  b.ready("a");
  b.send(event::terminate_child{"a"});
  b.send(event::restart_child{"a"});
  CHECK(b.ends("a", exit_kind::shutdown) == texts{"start a#3"});
}

TEST_CASE("quarantine is left by reset, with a clear window and an immediate first restart") {
  bench b{mount(1)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  REQUIRE(b.state("a") == child_state::quarantined);
  CHECK(b.send(event::reset_child{"a"}) == texts{"start a#3"});
  CHECK(b.status("a").restarts_in_window == 0);
  b.ready("a");
  CHECK(b.crashes("a") == texts{"start a#4"});
  b.send(event::reset_child{"a"});
  CHECK(b.answer == verdict::not_quarantined);
}

TEST_CASE("quarantine is left by restart too, with the window as it was") {
  bench b{mount(1)};
  b.boot({"a"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  CHECK(b.send(event::restart_child{"a"}) == texts{"start a#3"});
  b.ready("a");
  CHECK(b.crashes("a").empty());
  CHECK(b.state("a") == child_state::quarantined);
}

TEST_CASE("a permanent failure is not repeated") {
  SECTION("at the first start of a mount") {
    bench b{mount()};
    b.add("a");
    b.send(event::start{});
    CHECK(b.fails("a", true) == texts{"booted"});
    CHECK(b.state("a") == child_state::quarantined);
    CHECK(b.status("a").reason == "no luck; starting it again cannot help");
    CHECK(b.status("a").restarts_in_window == 0);
  }
  SECTION("at a restart") {
    bench b{mount()};
    b.boot({"a"});
    b.crashes("a");
    CHECK(b.fails("a", true).empty());
    CHECK(b.state("a") == child_state::quarantined);
  }
  SECTION("under a supervisor that escalates") {
    bench b{otp(9)};
    b.boot({"a"});
    b.crashes("a");
    CHECK(b.fails("a", true) == texts{"finish gave_up"});
  }
}

TEST_CASE("a first start that may fail is tried again, and the other children go on starting") {
  bench b{mount()};
  b.add("a");
  b.add("b");
  b.send(event::start{});
  CHECK(b.fails("a") == texts{"start a#2", "start b#1"});
  CHECK(b.fails("a").empty());
  CHECK(b.ready("b") == texts{"booted"});
  CHECK(b.advance(100ms) == texts{"start a#3"});
}

TEST_CASE("in a supervisor that quarantines each child has a window of its own") {
  bench b{mount(1)};
  b.boot({"a", "b"});
  b.crashes("a");
  b.ready("a");
  b.crashes("a");
  CHECK(b.state("a") == child_state::quarantined);
  CHECK(b.crashes("b") == texts{"start b#2"});
}

TEST_CASE("L07 a child that is not ready in time is killed, and that is a failed start") {
  bench b{mount()};
  b.boot({});
  child_spec spec;
  spec.id = "a";
  spec.start_max = 5s;
  CHECK(b.send(event::add{spec}) == texts{"start a#1"});
  CHECK(b.advance(5s - 1ns).empty());
  CHECK(b.advance(1ns) == texts{"kill a#1"});
  CHECK(b.ready("a").empty());  // too late
  CHECK(b.ends("a", exit_kind::killed) == texts{"start a#2"});
  CHECK(b.status("a").reason == "restarted: was not ready within 5 s");
  b.ready("a");
  CHECK(b.timers.empty());
}

TEST_CASE("reports about instances that are gone change nothing") {
  bench b{mount(9)};
  b.boot({"a"});
  b.crashes("a");
  REQUIRE(b.generation("a") == 2);
  CHECK(b.send(event::started{"a", 1}).empty());
  CHECK(b.send(event::exited{"a", 1, exit_kind::abnormal, "again"}).empty());
  CHECK(b.send(event::start_failed{"a", 1, "again", true}).empty());
  CHECK(b.send(event::exited{"a", 3, exit_kind::abnormal, "early"}).empty());
  CHECK(b.send(event::exited{"x", 1, exit_kind::abnormal, "who"}).empty());
  CHECK(b.state("a") == child_state::starting);
  CHECK(b.status("a").restarts_in_window == 1);
}

TEST_CASE("an instance started beside the live one takes its place") {
  bench b{mount(9)};
  b.boot({"a"});
  const auto green = b.core.take_generation("a");
  CHECK(green == 2);
  CHECK(b.send(event::adopt_instance{"a", green}).empty());
  CHECK(b.answer == verdict::ok);
  CHECK(b.generation("a") == 2);
  // The one before it is nobody's concern any more; the new one is.
  CHECK(b.send(event::exited{"a", 1, exit_kind::abnormal, "drained"}).empty());
  CHECK(b.state("a") == child_state::ready);
  CHECK(b.send(event::exited{"a", 2, exit_kind::abnormal, "crash"}) == texts{"start a#3"});
  CHECK(b.status("a").restarts_in_window == 1);
}

TEST_CASE("an instance is not adopted while the child is not ready") {
  bench b{mount(9)};
  b.boot({"a"});
  const auto green = b.core.take_generation("a");
  b.crashes("a");
  REQUIRE(b.generation("a") == green + 1);
  CHECK(b.send(event::adopt_instance{"a", green}).empty());
  CHECK(b.answer == verdict::not_found);
  CHECK(b.core.take_generation("x") == 0);
}

TEST_CASE("generations go on from where the spec says") {
  bench b{mount()};
  b.boot({});
  child_spec spec;
  spec.id = "a";
  spec.first_generation = 41;
  CHECK(b.send(event::add{spec}) == texts{"start a#41"});
  b.ready("a");
  CHECK(b.crashes("a") == texts{"start a#42"});
}

TEST_CASE("every request to a supervisor that stops is refused") {
  bench b{otp()};
  b.boot({"a"});
  b.send(event::stop{"enough", {}});
  for (const supervisor_event& request :
       {supervisor_event{event::terminate_child{"a"}}, supervisor_event{event::start_child{"a"}},
        supervisor_event{event::restart_child{"a"}}, supervisor_event{event::erase_child{"a"}},
        supervisor_event{event::reset_child{"a"}}, supervisor_event{event::add{}},
        supervisor_event{event::start{}}}) {
    CHECK(b.send(request).empty());
    CHECK(b.answer == verdict::stopping);
  }
  b.ends("a", exit_kind::shutdown);
  CHECK(b.send(event::stop{"again", {}}).empty());
}

TEST_CASE("a hundred thousand children are added and stopped in a moment") {
  bench b{otp()};
  constexpr int count = 100'000;
  child_spec spec;
  for (int i = 0; i < count; ++i) {
    spec.id = fmt::format("c{}", i);
    b.core.step(event::add{spec}, b.now);
  }
  b.core.step(event::start{}, b.now);
  for (int i = 0; i < count; ++i) b.core.step(event::started{fmt::format("c{}", i), 1}, b.now);
  REQUIRE(b.core.phase() == supervisor_phase::running);
  b.core.step(event::stop{"enough", {}}, b.now);
  for (int i = count - 1; i >= 0; --i) {
    b.core.step(event::exited{fmt::format("c{}", i), 1, exit_kind::shutdown, ""}, b.now);
  }
  CHECK(b.core.phase() == supervisor_phase::finished);
}
