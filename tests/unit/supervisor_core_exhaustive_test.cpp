// SPDX-License-Identifier: Apache-2.0
// Every sequence of up to four events over up to three children, and long random sequences over
// five, against invariants and against a second, independent account of the restarts.
//
// The account (`witness`) knows nothing of the core's code: it lists every instance that ended by
// itself, decides by OTP's table whether that calls for a restart, and counts the whole list again
// for each window. What the core does must agree with it: restart or backoff while the window
// holds, escalation or quarantine exactly when it does not.
//
// Events include senseless ones: reports about instances that are gone or never were, timers that
// were cancelled. Each step takes 700 ms, so that some restarts of a window of 2 s age out within a
// sequence.
#include <fmt/format.h>

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>

#include "actors/supervisor_core.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

constexpr auto step_time = 700ms;

// A sanitizer makes the search twenty times slower; the code that it visits is the same one event
// earlier.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int depth = 3;
#else
constexpr int depth = 4;
#endif
constexpr std::size_t sequences_min = depth == 4 ? 100'000 : 1'000;

/// The second account of what the core does. Throws by Catch's FAIL when an invariant breaks.
struct witness {
  supervisor_policy policy;
  std::map<std::string, restart_type> types;
  std::map<std::string, std::uint64_t> live;            // id -> generation of the one instance
  std::map<std::string, std::uint64_t> highest;         // id -> highest generation ever
  std::set<std::string> was_ready;                      // live and ready
  std::set<std::string> asked_to_end;                   // live and told to stop or killed
  std::set<std::string> operator_started;               // live and started by request
  std::map<std::string, std::vector<instant>> counted;  // restarts that count, by window
  std::set<std::uint64_t> timers;
  std::uint64_t cancelled = 0;      // the timer that was cancelled last
  std::set<std::string> killed;     // live and killed
  std::set<std::string> abandoned;  // killed, and given up while the supervisor stops
  bool stop_seen = false;
  bool finished = false;
  bool booted = false;

  std::string window_of(const std::string& id) const {
    return policy.when_spent == give_up::escalate ? std::string{} : id;
  }
};

std::string describe(const supervisor_event& what) {
  struct printer {
    std::string operator()(const event::start&) const { return "start"; }
    std::string operator()(const event::started& e) const {
      return fmt::format("started {}#{}", e.id, e.generation);
    }
    std::string operator()(const event::start_failed& e) const {
      return fmt::format("start_failed {}#{}{}", e.id, e.generation,
                         e.permanent ? " for good" : "");
    }
    std::string operator()(const event::start_ignored& e) const {
      return fmt::format("start_ignored {}#{}", e.id, e.generation);
    }
    std::string operator()(const event::exited& e) const {
      return fmt::format("exited {}#{} {}", e.id, e.generation, to_string(e.kind));
    }
    std::string operator()(const event::timer& e) const { return fmt::format("timer {}", e.id); }
    std::string operator()(const event::add& e) const { return fmt::format("add {}", e.spec.id); }
    std::string operator()(const event::start_child& e) const {
      return fmt::format("start_child {}", e.id);
    }
    std::string operator()(const event::restart_child& e) const {
      return fmt::format("restart {}", e.id);
    }
    std::string operator()(const event::terminate_child& e) const {
      return fmt::format("terminate {}", e.id);
    }
    std::string operator()(const event::erase_child& e) const {
      return fmt::format("erase {}", e.id);
    }
    std::string operator()(const event::reset_child& e) const {
      return fmt::format("reset {}", e.id);
    }
    std::string operator()(const event::adopt_instance& e) const {
      return fmt::format("adopt {}#{}", e.id, e.generation);
    }
    std::string operator()(const event::add_dynamic&) const { return "add_dynamic"; }
    std::string operator()(const event::reconfigure&) const { return "reconfigure"; }
    std::string operator()(const event::stop&) const { return "stop"; }
  };
  return std::visit(printer{}, what);
}

/// The events that led here; shared by all branches of the search that have them in common.
struct past {
  supervisor_event what;
  instant at;
  std::shared_ptr<const past> before;
};

/// A core with its witness: copied at every branch of the search.
struct world {
  supervisor_core core;
  witness seen;
  instant now{};
  std::shared_ptr<const past> history;

  world(supervisor_policy policy, random_source& random) : core{policy, random} {
    seen.policy = policy;
  }

  [[noreturn]] void broken(const std::string& what) const {
    std::string text = what;
    std::vector<std::string> lines;
    for (const auto* one = history.get(); one != nullptr; one = one->before.get()) {
      lines.push_back(
          fmt::format("\n  {} ms: {}", (one->at - instant{}) / 1ms, describe(one->what)));
    }
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) text += *line;
    FAIL(text);
    throw std::logic_error{text};
  }
  void require(bool holds, const char* what) const {
    if (!holds) broken(what);
  }

  void step(const supervisor_event& what);

 private:
  enum class expected { nothing, restart, give_up };

  expected expect(const supervisor_event& what);
  expected expect_end(const std::string& id, bool failed_start, exit_kind kind, bool permanent);
  void account(const supervisor_action& one, const supervisor_event& cause);
  void check_outcome(const std::string& subject, expected expectation);
  void check_state();
};

/// What must follow when the live instance of `id` ends by itself.
world::expected world::expect_end(const std::string& id, bool failed_start, exit_kind kind,
                                  bool permanent) {
  const auto type = seen.types.at(id);
  const bool by_request = seen.operator_started.count(id) == 1;
  if (seen.stop_seen || seen.asked_to_end.count(id) == 1) return expected::nothing;
  if (failed_start) {
    if (by_request && seen.policy.asked == asked_start::must_succeed) return expected::nothing;
    if (type == restart_type::temporary) return expected::nothing;
  } else {
    const bool bad = kind == exit_kind::killed || kind == exit_kind::abnormal;
    const bool again = type == restart_type::permanent || (type == restart_type::transient && bad);
    if (!again && !permanent) return expected::nothing;
  }
  if (permanent) return expected::give_up;
  auto& window = seen.counted[seen.window_of(id)];
  window.push_back(now);
  std::size_t young = 0;
  for (const auto at : window) young += now - at < seen.policy.period ? 1 : 0;
  return young <= seen.policy.intensity ? expected::restart : expected::give_up;
}

world::expected world::expect(const supervisor_event& what) {
  if (const auto* e = std::get_if<event::exited>(&what)) {
    const auto it = seen.live.find(e->id);
    if (it == seen.live.end() || it->second != e->generation) return expected::nothing;
    return expect_end(e->id, seen.was_ready.count(e->id) == 0, e->kind, false);
  }
  if (const auto* e = std::get_if<event::start_failed>(&what)) {
    const auto it = seen.live.find(e->id);
    if (it == seen.live.end() || it->second != e->generation) return expected::nothing;
    return expect_end(e->id, seen.was_ready.count(e->id) == 0, exit_kind::abnormal, e->permanent);
  }
  if (const auto* e = std::get_if<event::reset_child>(&what)) {
    const auto status = core.status(e->id, now);
    if (status && status->state == child_state::quarantined && !seen.stop_seen) {
      seen.counted[seen.window_of(e->id)].clear();
    }
  }
  return expected::nothing;
}

void world::account(const supervisor_action& one, const supervisor_event& cause) {
  require(!seen.finished, "an action after the supervisor finished");
  if (const auto* start = std::get_if<action::start_child>(&one)) {
    require(!seen.stop_seen, "a start after the supervisor began to stop");
    require(seen.live.count(start->id) == 0, "a start while an instance lives");
    require(start->generation > seen.highest[start->id], "a generation that did not grow");
    seen.highest[start->id] = start->generation;
    seen.live[start->id] = start->generation;
    seen.was_ready.erase(start->id);
    seen.asked_to_end.erase(start->id);
    seen.killed.erase(start->id);
    const bool automatic = std::holds_alternative<event::timer>(cause);
    if (automatic) seen.operator_started.erase(start->id);
  } else if (const auto* stop = std::get_if<action::stop_child>(&one)) {
    const auto it = seen.live.find(stop->id);
    require(it != seen.live.end() && it->second == stop->generation,
            "a stop of what does not live");
    seen.asked_to_end.insert(stop->id);
    if (stop->kill) seen.killed.insert(stop->id);
  } else if (const auto* arm = std::get_if<action::arm_timer>(&one)) {
    require(arm->at >= now, "a timer in the past");
    require(seen.timers.insert(arm->id).second, "a timer armed twice");
  } else if (const auto* cancel = std::get_if<action::cancel_timer>(&one)) {
    require(seen.timers.erase(cancel->id) == 1, "a timer cancelled that was not armed");
    seen.cancelled = cancel->id;
  } else if (const auto* forget = std::get_if<action::forget_child>(&one)) {
    require(seen.live.count(forget->id) == 0, "a child forgotten while an instance lives");
    seen.types.erase(forget->id);
    seen.counted.erase(forget->id);
  } else if (const auto* report = std::get_if<action::report>(&one)) {
    const bool gave_up_waiting = std::holds_alternative<event::timer>(cause) &&
                                 report->to == child_state::stopped &&
                                 seen.live.count(report->id) == 1;
    if (!gave_up_waiting) return;
    require(seen.stop_seen && seen.killed.count(report->id) == 1,
            "an instance given up that was not killed, or while the supervisor runs");
    seen.live.erase(report->id);
    seen.abandoned.insert(report->id);
  } else if (std::holds_alternative<action::booted>(one)) {
    require(!seen.booted, "booted twice");
    seen.booted = true;
  } else if (const auto* finish = std::get_if<action::finish>(&one)) {
    require(seen.stop_seen, "a finish without a reason to stop");
    require(seen.live.empty(), "a finish while an instance lives");
    require(
        seen.abandoned == std::set<std::string>(finish->abandoned.begin(), finish->abandoned.end()),
        "the finish names others than those that were abandoned");
    seen.finished = true;
  }
}

void world::step(const supervisor_event& what) {
  now += step_time;
  history = std::make_shared<const past>(past{what, now, history});
  std::string subject;  // whose instance ended
  if (const auto* e = std::get_if<event::exited>(&what)) subject = e->id;
  if (const auto* e = std::get_if<event::start_failed>(&what)) subject = e->id;
  const bool concerns_live = std::visit(
      [&](const auto& e) {
        if constexpr (requires { e.generation; }) {
          const auto it = seen.live.find(e.id);
          return it != seen.live.end() && it->second == e.generation;
        } else {
          return false;
        }
      },
      what);
  const auto expectation = expect(what);
  const auto phase_before = core.phase();
  const bool was_asked = seen.asked_to_end.count(subject) == 1;
  bool void_timer = false;
  if (const auto* e = std::get_if<event::timer>(&what)) void_timer = seen.timers.erase(e->id) == 0;
  if (!subject.empty() && concerns_live) {
    seen.live.erase(subject);
    seen.asked_to_end.erase(subject);
    // What starts now is automatic, unless an operator asked for it while the old one ended.
    if (was_asked) {
      seen.operator_started.insert(subject);
    } else {
      seen.operator_started.erase(subject);
    }
  }
  if (const auto* e = std::get_if<event::started>(&what)) {
    if (concerns_live && seen.asked_to_end.count(e->id) == 0) seen.was_ready.insert(e->id);
  }
  const auto result = core.step(what, now);
  if (const auto* e = std::get_if<event::add>(&what);
      e != nullptr && result.answer == verdict::ok) {
    seen.types[e->spec.id] = e->spec.restart;
  }
  require(!void_timer || result.actions.empty(), "a timer that was cancelled had an effect");
  if (result.answer != verdict::ok) {
    require(result.actions.empty() || phase_before == supervisor_phase::booting,
            "a refused request had an effect");
  }
  if (core.phase() == supervisor_phase::stopping || core.phase() == supervisor_phase::finished) {
    if (!std::holds_alternative<event::stop>(what) && !seen.stop_seen) {
      const bool first_start_failed = phase_before == supervisor_phase::booting &&
                                      !subject.empty() &&
                                      seen.policy.asked == asked_start::must_succeed;
      require((expectation == expected::give_up && seen.policy.when_spent == give_up::escalate) ||
                  first_start_failed,
              "it gave up although the window holds");
    }
    seen.stop_seen = true;
  }
  // Starts that a request caused are by operators; so are first starts.
  const bool request = subject.empty() && !std::holds_alternative<event::timer>(what);
  for (const auto& one : result.actions) {
    const auto* start = std::get_if<action::start_child>(&one);
    if (start != nullptr && (request || start->id != subject)) {
      seen.operator_started.insert(start->id);
    }
    account(one, start != nullptr && start->id != subject && !request &&
                         core.phase() != supervisor_phase::running && seen.highest[start->id] == 0
                     ? supervisor_event{event::start{}}
                     : what);
  }
  if (concerns_live && !subject.empty()) check_outcome(subject, expectation);
  check_state();
}

void world::check_outcome(const std::string& subject, expected expectation) {
  const auto status = core.status(subject, now);
  if (expectation == expected::restart) {
    require(
        status && (status->state == child_state::starting || status->state == child_state::backoff),
        "no restart although the window holds");
  } else if (expectation == expected::give_up) {
    if (seen.policy.when_spent == give_up::quarantine) {
      require(status && status->state == child_state::quarantined, "no quarantine");
    } else {
      require(seen.stop_seen, "no escalation although the window is spent");
    }
  }
}

void world::check_state() {
  const auto status = core.status(now);
  std::size_t waiting = 0;
  for (const auto& child : status.children) {
    const bool lives = child.state == child_state::starting || child.state == child_state::ready ||
                       child.state == child_state::stopping;
    const auto it = seen.live.find(child.id);
    if (it != seen.live.end()) {
      require(lives, "an instance lives but the state denies it");
      require(it->second == child.generation, "the status names another generation");
    } else {
      require(!lives, "the state says that an instance lives");
    }
    if (child.state == child_state::backoff) ++waiting;
    require((child.state == child_state::ready) == child.ready_since.has_value(), "ready_since");
    require(child.state == child_state::backoff || child.backoff_left.count() == 0,
            "backoff_left outside backoff");
    const auto& window = seen.counted[seen.window_of(child.id)];
    std::size_t young = 0;
    for (const auto at : window) young += now - at < seen.policy.period ? 1 : 0;
    require(child.restarts_in_window == std::min(young, seen.policy.intensity + 1),
            "restarts_in_window disagrees with the list of all restarts");
  }
  require(seen.timers.size() <= status.children.size() + 1, "more timers than children");
  require(seen.timers.size() >= waiting, "a backoff without a timer");
  if (seen.stop_seen) {
    require(waiting == 0, "a backoff in a supervisor that stops");
    require(seen.finished == seen.live.empty(), "it should have finished, or not yet");
  }
  if (seen.finished) require(seen.timers.empty(), "a timer is left after the finish");
}

/// All events that make sense or almost do, for every child that is known.
std::vector<supervisor_event> events_for(const world& w, const std::vector<std::string>& ids,
                                         bool senseless) {
  std::vector<supervisor_event> all;
  for (const auto& id : ids) {
    const auto status = w.core.status(id, w.now);
    const auto it = w.seen.live.find(id);
    if (it != w.seen.live.end()) {
      all.emplace_back(event::started{id, it->second});
      all.emplace_back(event::start_failed{id, it->second, "failed", false});
      all.emplace_back(event::start_failed{id, it->second, "failed", true});
      all.emplace_back(event::exited{id, it->second, exit_kind::normal, "ended"});
      all.emplace_back(event::exited{id, it->second, exit_kind::abnormal, "crashed"});
    }
    if (senseless) {
      const auto generation = status ? status->generation : 0;
      all.emplace_back(event::started{id, generation + 1});
      all.emplace_back(
          event::exited{id, generation - (generation > 0 ? 1 : 0), exit_kind::abnormal, "stale"});
    }
    if (!status) {
      child_spec spec;
      spec.id = id;
      all.emplace_back(event::add{spec});
      continue;
    }
    all.emplace_back(event::terminate_child{id});
    all.emplace_back(event::restart_child{id});
    if (it == w.seen.live.end() || senseless) {
      all.emplace_back(event::start_child{id});
      all.emplace_back(event::erase_child{id});
    }
    if (status->state == child_state::quarantined) all.emplace_back(event::reset_child{id});
  }
  for (const auto timer : w.seen.timers) all.emplace_back(event::timer{timer});
  if (senseless) all.emplace_back(event::timer{w.seen.cancelled});
  all.emplace_back(event::stop{"enough", std::nullopt});
  if (senseless) all.emplace_back(event::stop{"enough", w.now + 1s});
  return all;
}

/// Stop, and let everything that lives end: the supervisor must finish, at the latest after the
/// kills had their time.
void must_finish(world w) {
  if (!w.seen.finished) w.step(event::stop{"enough", std::nullopt});
  for (int i = 0; i < 100 && !w.seen.finished; ++i) {
    w.require(!w.seen.timers.empty(), "it stops, waits for children, and has no timer");
    w.step(event::timer{*w.seen.timers.begin()});
  }
  w.require(w.seen.finished, "a stop did not lead to a finish");
}

std::size_t search(const world& from, const std::vector<std::string>& ids, bool senseless,
                   int left) {
  if (left == 0) {
    if (!senseless) must_finish(from);
    return 1;
  }
  std::size_t leaves = 0;
  for (const auto& what : events_for(from, ids, senseless)) {
    world next = from;
    next.step(what);
    leaves += search(next, ids, senseless, left - 1);
  }
  return leaves;
}

std::vector<supervisor_policy> policies() {
  std::vector<supervisor_policy> all;
  for (const auto spent : {give_up::escalate, give_up::quarantine}) {
    for (const auto asked : {asked_start::must_succeed, asked_start::may_fail}) {
      for (const auto order : {stop_order::reverse, stop_order::together}) {
        supervisor_policy policy;
        policy.intensity = 1;
        policy.period = 2s;
        policy.when_spent = spent;
        policy.asked = asked;
        policy.order = order;
        all.push_back(policy);
      }
    }
  }
  return all;
}

world prepared(const supervisor_policy& policy, random_source& random,
               const std::vector<std::pair<std::string, restart_type>>& children, bool ready) {
  world w{policy, random};
  for (const auto& [id, type] : children) {
    child_spec spec;
    spec.id = id;
    spec.restart = type;
    w.step(event::add{spec});
  }
  w.step(event::start{});
  if (ready) {
    for (const auto& [id, type] : children) w.step(event::started{id, 1});
  }
  return w;
}

constexpr auto permanent = restart_type::permanent;
constexpr auto transient = restart_type::transient;
constexpr auto temporary = restart_type::temporary;

}  // namespace

TEST_CASE("one child: every sequence of four events, sensible or not, keeps the invariants") {
  fixed_random random{0.5};
  std::size_t leaves = 0;
  for (const auto& policy : policies()) {
    for (const auto type : {permanent, transient, temporary}) {
      for (const bool ready : {false, true}) {
        leaves += search(prepared(policy, random, {{"a", type}}, ready), {"a"}, true, depth);
      }
    }
  }
  CHECK(leaves > sequences_min);
}

TEST_CASE("two children: every sequence of four events keeps the invariants") {
  fixed_random random{0.5};
  std::size_t leaves = 0;
  for (const auto& policy : policies()) {
    for (const bool ready : {false, true}) {
      leaves += search(prepared(policy, random, {{"a", permanent}, {"b", transient}}, ready),
                       {"a", "b"}, false, depth);
    }
  }
  CHECK(leaves > sequences_min);
}

TEST_CASE("three children: every sequence of four events keeps the invariants") {
  fixed_random random{0.5};
  std::size_t leaves = 0;
  for (const auto spent : {give_up::escalate, give_up::quarantine}) {
    supervisor_policy policy;
    policy.period = 2s;
    policy.when_spent = spent;
    const auto start =
        prepared(policy, random, {{"a", permanent}, {"b", transient}, {"c", temporary}}, true);
    leaves += search(start, {"a", "b", "c"}, false, spent == give_up::escalate ? depth : 3);
  }
  CHECK(leaves > sequences_min);
}

TEST_CASE("long random sequences over five children keep the invariants, and every stop finishes") {
  seeded_random dice{20260801};
  const std::array types = {permanent, transient, temporary};
  const std::vector<std::string> ids = {"a", "b", "c", "d", "e"};
  const auto all = policies();
  for (int round = 0; round < 100 * (depth - 1); ++round) {
    fixed_random random{0.25};
    auto policy = all[dice.bits() % all.size()];
    policy.intensity = dice.bits() % 4;
    std::vector<std::pair<std::string, restart_type>> children;
    children.reserve(ids.size());
    for (const auto& id : ids) children.emplace_back(id, types.at(dice.bits() % 3));
    world w = prepared(policy, random, children, false);
    for (int i = 0; i < 60 && !w.seen.finished; ++i) {
      auto events = events_for(w, ids, true);
      // The last events are stops: seldom.
      const auto choice = dice.bits() % (events.size() + 40);
      w.step(events[choice % (events.size() - (choice % 16 == 0 ? 0 : 2))]);
      if (i % 20 == 0) must_finish(w);
    }
    must_finish(w);
  }
  SUCCEED();
}
