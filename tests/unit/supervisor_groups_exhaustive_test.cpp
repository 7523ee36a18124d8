// SPDX-License-Identifier: Apache-2.0
// Groups: every sequence of up to four events over three children, from boot, from rest, and from
// the middle of a restart, against a second account of who has to go down and who has to come up.
//
// The account (`model`) knows lists of ids and OTP's table, and nothing of the core's queues and
// flags. It checks each action when it comes (nobody starts while a member of the group is still
// up, nobody before his turn, nobody before a backoff is over, stops in their order), windows by
// counting all restarts again, and after each event that somebody is next as long as somebody
// waits: a group that is stuck is found where it gets stuck.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>

#include "actors/supervisor_core.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

constexpr auto step_time = 700ms;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int depth = 3;
#else
constexpr int depth = 4;
#endif

using texts = std::vector<std::string>;

/// What becomes of a child that has to go down.
enum class fate { returns, stays_down, doomed };

struct model {
  supervisor_policy policy;
  std::vector<child_spec> specs;
  std::map<std::string, std::uint64_t> live;
  std::map<std::string, std::uint64_t> highest;
  std::set<std::string> ready;         // live and ready
  std::set<std::string> asked;         // live and told to end
  std::set<std::string> by_request;    // live, and its start was asked for
  std::set<std::string> in_turn;       // started in its turn, and not ready yet
  std::map<std::string, fate> down;    // live, and has to go down for its group
  std::set<std::string> pending;       // has to come up in its turn
  std::set<std::string> causes;        // whom a restart is for
  std::map<std::string, instant> due;  // when the backoff of a cause is over
  std::set<std::string> parked;        // down by request
  std::set<std::string> again;         // restarted by request as soon as it is gone
  std::vector<instant> counted;
  std::map<std::uint64_t, instant> timers;
  bool started = false;
  bool stop_seen = false;
  bool finished = false;

  const child_spec* spec(const std::string& id) const {
    const auto found = std::find_if(specs.begin(), specs.end(),
                                    [&](const child_spec& each) { return each.id == id; });
    return found == specs.end() ? nullptr : &*found;
  }
  bool is_level() const { return policy.order == stop_order::levels; }
  /// What decides who is first.
  std::size_t place(const std::string& id) const {
    if (!is_level()) return static_cast<std::size_t>(spec(id) - specs.data());
    std::size_t level = 0;
    for (const auto& name : spec(id)->after) {
      if (spec(name) != nullptr) level = std::max(level, place(name) + 1);
    }
    return level;
  }
  bool depends(const std::string& id, const std::string& on) const {
    const auto& after = spec(id)->after;
    return std::any_of(after.begin(), after.end(), [&](const std::string& name) {
      return name == on || (spec(name) != nullptr && depends(name, on));
    });
  }
  texts group(const std::string& id) const {
    texts members;
    for (const auto& each : specs) {
      if (each.id == id) continue;
      const bool concerned = policy.strategy == restart_strategy::one_for_all ||
                             (is_level() ? depends(each.id, id) : place(each.id) > place(id));
      if (concerned) members.push_back(each.id);
    }
    return members;
  }
  bool is_live(const std::string& id) const { return live.count(id) == 1; }
  /// An operator has told it to end.
  bool has_word(const std::string& id) const { return is_live(id) && parked.count(id) == 1; }
  std::size_t young(instant now) const {
    return static_cast<std::size_t>(std::count_if(
        counted.begin(), counted.end(), [&](instant at) { return now - at < policy.period; }));
  }
};

struct past {
  std::string what;
  std::shared_ptr<const past> before;
};

struct world {
  supervisor_core core;
  model seen;
  instant now{};
  std::shared_ptr<const past> history;
  std::string subject;       // of the request that is under way
  std::string direct_start;  // whom it starts out of turn

  world(const supervisor_policy& policy, random_source& random, std::vector<child_spec> specs)
      : core{policy, random} {
    seen.policy = policy;
    seen.specs = std::move(specs);
  }

  [[noreturn]] void broken(const std::string& what) const {
    texts lines;
    for (const auto* one = history.get(); one != nullptr; one = one->before.get()) {
      lines.push_back("\n  " + one->what);
    }
    std::string text = what;
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) text += *line;
    FAIL(text);
    throw std::logic_error{text};
  }
  void require(bool holds, const std::string& what) const {
    if (!holds) broken(what);
  }

  void step(const supervisor_event& what, const std::string& name);

 private:
  using states = std::map<std::string, child_state>;

  void ended(const std::string& id, bool bad, bool permanent, bool booting);
  void group_goes_down(const std::string& cause, fate what);
  void requested(const supervisor_event& what, const states& before);
  void terminated(const std::string& id);
  void restarted(const std::string& id, const states& before);
  void released(const states& before);
  void account(const supervisor_action& one);
  void started(const action::start_child& start);
  void stopped(const action::stop_child& stop);
  void reported(const action::report& report);
  void check_state();
};

/// The instance of `id` ended by itself or as told.
void world::ended(const std::string& id, bool bad, bool permanent, bool booting) {
  const bool failed_start = seen.ready.erase(id) == 0;
  const bool by_request = seen.by_request.erase(id) == 1;
  const bool was_asked = seen.asked.erase(id) == 1;
  // One that starts again at once keeps its turn.
  const bool was_in_turn = seen.in_turn.count(id) == 1;
  seen.live.erase(id);
  if (seen.again.count(id) == 0) seen.in_turn.erase(id);
  if (seen.stop_seen) return;
  const auto type = seen.spec(id)->restart;
  if (const auto place = seen.down.find(id); place != seen.down.end()) {
    const bool is_kept = type != restart_type::temporary || seen.causes.count(id) == 1;
    if (place->second == fate::returns && is_kept) seen.pending.insert(id);
    seen.down.erase(place);
    return;
  }
  if (was_asked) return;  // an operator's; `again` is looked up when it starts
  if (failed_start && by_request && seen.policy.asked == asked_start::must_succeed) {
    seen.causes.erase(id);
    if (booting && was_in_turn) seen.stop_seen = true;
    return;
  }
  if (type == restart_type::temporary) return;
  if (!failed_start && !permanent && type == restart_type::transient && !bad) return;
  if (!permanent) seen.counted.push_back(now);
  if (!permanent && seen.young(now) <= seen.policy.intensity) {
    seen.pending.insert(id);
    seen.causes.insert(id);
    group_goes_down(id, fate::returns);
  } else if (seen.policy.when_spent == give_up::escalate) {
    seen.stop_seen = true;
  } else {
    seen.causes.erase(id);
    group_goes_down(id, fate::doomed);
  }
}

void world::group_goes_down(const std::string& cause, fate what) {
  for (const auto& id : seen.group(cause)) {
    const auto status = core.status(id, now);
    if (seen.is_live(id)) {
      if (seen.has_word(id)) continue;
      seen.again.erase(id);
      seen.causes.erase(id);
      seen.in_turn.erase(id);
      seen.down[id] = what;
    } else if (what == fate::doomed) {
      seen.pending.erase(id);
      seen.causes.erase(id);
    } else if (status && seen.parked.count(id) == 0 && status->state != child_state::quarantined) {
      seen.pending.insert(id);
    }
  }
}

void world::terminated(const std::string& id) {
  seen.parked.insert(id);
  seen.again.erase(id);
  seen.pending.erase(id);
  if (seen.down.count(id) == 1) seen.down[id] = fate::stays_down;
  if (seen.causes.erase(id) == 0 || !seen.causes.empty()) return;
  for (auto& [member, what] : seen.down) {
    if (what == fate::returns) what = fate::stays_down;
  }
  // Those that wait for their first start are none of the group's business.
  for (auto it = seen.pending.begin(); it != seen.pending.end();) {
    it = seen.highest[*it] == 0 ? std::next(it) : seen.pending.erase(it);
  }
}

void world::restarted(const std::string& id, const states& before) {
  if (seen.is_live(id)) {
    seen.parked.erase(id);
    if (seen.down.count(id) == 1) {
      seen.down[id] = fate::returns;
    } else if (seen.asked.count(id) == 1) {
      seen.again.insert(id);
    } else {
      seen.causes.insert(id);
      seen.in_turn.erase(id);
      seen.down[id] = fate::returns;
      group_goes_down(id, fate::returns);
    }
  } else if (before.at(id) == child_state::quarantined) {
    released(before);
  } else if (seen.pending.count(id) == 1 && seen.highest[id] != 0) {
    seen.due.clear();
  } else {
    direct_start = id;
  }
}

/// Quarantine is left by all.
void world::released(const states& before) {
  for (const auto& [id, state] : before) {
    if (state == child_state::quarantined) seen.pending.insert(id);
  }
  for (auto& [id, what] : seen.down) {
    if (what == fate::doomed) what = fate::returns;
  }
}

void world::requested(const supervisor_event& what, const states& before) {
  if (const auto* e = std::get_if<event::terminate_child>(&what)) {
    terminated(e->id);
  } else if (const auto* e = std::get_if<event::restart_child>(&what)) {
    restarted(e->id, before);
  } else if (std::holds_alternative<event::reset_child>(what)) {
    seen.counted.clear();
    released(before);
  } else if (const auto* e = std::get_if<event::start_child>(&what)) {
    if (before.at(e->id) == child_state::quarantined) {
      released(before);
    } else {
      direct_start = e->id;
    }
  } else if (std::holds_alternative<event::stop>(what)) {
    seen.stop_seen = true;
  } else if (std::holds_alternative<event::start>(what) && !seen.started) {
    seen.started = true;
    for (const auto& spec : seen.specs) seen.pending.insert(spec.id);
  }
}

void world::step(const supervisor_event& what, const std::string& name) {
  now += step_time;
  if (const auto* e = std::get_if<event::timer>(&what)) {
    now = std::max(now, seen.timers.at(e->id));
    seen.timers.erase(e->id);
  }
  history = std::make_shared<const past>(
      past{fmt::format("{} ms: {}", now.time_since_epoch() / 1ms, name), history});
  states before;
  for (const auto& child : core.status(now).children) before[child.id] = child.state;
  const bool booting = core.phase() == supervisor_phase::booting;
  const auto result = core.step(what, now);
  subject.clear();
  direct_start.clear();
  if (const auto* e = std::get_if<event::started>(&what)) {
    if (seen.asked.count(e->id) == 0) {
      seen.ready.insert(e->id);
      seen.in_turn.erase(e->id);
      seen.causes.erase(e->id);
      seen.due.erase(e->id);
    }
  } else if (const auto* e = std::get_if<event::start_failed>(&what)) {
    ended(e->id, true, e->permanent, booting);
  } else if (const auto* e = std::get_if<event::exited>(&what)) {
    const bool bad = e->kind == exit_kind::abnormal || e->kind == exit_kind::killed;
    ended(e->id, bad, false, booting);
  } else if (result.answer == verdict::ok) {
    std::visit(
        [this](const auto& e) {
          if constexpr (requires { e.id.empty(); }) subject = e.id;
        },
        what);
    requested(what, before);
  } else {
    require(result.actions.empty(), "a refused request had an effect");
  }
  for (const auto& one : result.actions) account(one);
  check_state();
}

void world::started(const action::start_child& start) {
  const auto& id = start.id;
  require(!seen.stop_seen, "a start after the supervisor began to stop");
  require(!seen.is_live(id), "a start while an instance lives");
  require(start.generation > seen.highest[id], "a generation that did not grow");
  const bool again = seen.again.erase(id) == 1;
  const bool direct = again || direct_start == id;
  if (!direct) {
    require(seen.pending.count(id) == 1, fmt::format("{} started, and nothing calls for it", id));
    require(seen.down.empty(), fmt::format("{} started while its group is still up", id));
    for (const auto& other : seen.pending) {
      require(seen.place(other) >= seen.place(id), fmt::format("{} started before {}", id, other));
    }
    for (const auto& other : seen.in_turn) {
      const bool beside = seen.is_level() && seen.place(other) == seen.place(id);
      require(beside, fmt::format("{} did not wait for {}", id, other));
    }
    for (const auto& [cause, at] : seen.due) {
      require(seen.pending.count(cause) == 0 || at <= now, "a start before the backoff is over");
    }
    seen.in_turn.insert(id);
  }
  if (direct || seen.highest[id] == 0) seen.by_request.insert(id);
  seen.pending.erase(id);
  seen.parked.erase(id);
  seen.highest[id] = start.generation;
  seen.live[id] = start.generation;
}

void world::stopped(const action::stop_child& stop) {
  const auto it = seen.live.find(stop.id);
  require(it != seen.live.end() && it->second == stop.generation, "a stop of what does not live");
  seen.asked.insert(stop.id);
  if (stop.kill || subject == stop.id || seen.policy.order == stop_order::together) return;
  require(seen.stop_seen || seen.down.count(stop.id) == 1, "a stop that nothing calls for");
  for (const auto& [other, generation] : seen.live) {
    if (!seen.stop_seen && seen.down.count(other) == 0) continue;
    require(seen.place(other) <= seen.place(stop.id),
            fmt::format("{} was asked before {} was gone", stop.id, other));
  }
}

void world::reported(const action::report& report) {
  if (report.to == child_state::backoff) seen.due[report.id] = now + report.delay;
  // A kill without effect is given up at the end.
  if (report.to == child_state::stopped && seen.is_live(report.id)) {
    require(seen.stop_seen && seen.asked.count(report.id) == 1, "an instance was given up");
    seen.live.erase(report.id);
    seen.asked.erase(report.id);
    seen.ready.erase(report.id);
  }
}

void world::account(const supervisor_action& one) {
  require(!seen.finished, "an action after the supervisor finished");
  if (const auto* start = std::get_if<action::start_child>(&one)) {
    started(*start);
  } else if (const auto* stop = std::get_if<action::stop_child>(&one)) {
    stopped(*stop);
  } else if (const auto* arm = std::get_if<action::arm_timer>(&one)) {
    require(arm->at >= now && seen.timers.emplace(arm->id, arm->at).second,
            "a timer armed twice or late");
  } else if (const auto* cancel = std::get_if<action::cancel_timer>(&one)) {
    require(seen.timers.erase(cancel->id) == 1, "a timer cancelled that was not armed");
  } else if (const auto* report = std::get_if<action::report>(&one)) {
    reported(*report);
  } else if (const auto* gone = std::get_if<action::forget_child>(&one)) {
    require(!seen.is_live(gone->id), "a child forgotten while an instance lives");
    require(seen.spec(gone->id)->restart == restart_type::temporary, "a child forgotten");
    seen.pending.erase(gone->id);
  } else if (std::holds_alternative<action::finish>(one)) {
    require(seen.stop_seen && seen.live.empty(), "a finish without a reason, or too early");
    seen.finished = true;
  }
}

void world::check_state() {
  const auto status = core.status(now);
  const bool stops =
      status.phase == supervisor_phase::stopping || status.phase == supervisor_phase::finished;
  require(stops == seen.stop_seen, "it stops without a reason, or goes on with one");
  require(seen.finished == (stops && seen.live.empty()), "it should have finished, or not yet");
  require(status.restarts_in_window == std::min(seen.young(now), seen.policy.intensity + 1),
          "restarts_in_window disagrees with the list of all restarts");
  for (const auto& child : status.children) {
    const bool lives = child.state == child_state::starting || child.state == child_state::ready ||
                       child.state == child_state::stopping;
    require(lives == seen.is_live(child.id), "the state of " + child.id + " is not the truth");
    require(!lives || seen.live.at(child.id) == child.generation, "another generation");
    require((child.state == child_state::ready) ==
                (seen.ready.count(child.id) == 1 && seen.asked.count(child.id) == 0),
            "ready or not");
    if (!stops) require(!lives || seen.pending.count(child.id) == 0, "it lives and waits");
  }
  if (seen.finished) require(seen.timers.empty(), "a timer is left after the finish");
  if (stops || seen.pending.empty() || !seen.started) return;
  // Somebody waits, so somebody must be next.
  const bool goes_down = std::any_of(seen.down.begin(), seen.down.end(), [&](const auto& each) {
    return seen.asked.count(each.first) == 1;
  });
  const bool comes_up = !seen.in_turn.empty();
  const bool backs_off = std::any_of(seen.due.begin(), seen.due.end(), [&](const auto& each) {
    return seen.pending.count(each.first) == 1 && each.second > now;
  });
  require(goes_down || comes_up || backs_off || !seen.timers.empty(), "the group is stuck");
}

struct named_event {
  supervisor_event what;
  std::string name;
};

std::vector<named_event> events_for(const world& w) {
  std::vector<named_event> all;
  const auto put = [&](supervisor_event what, const std::string& verb, const std::string& id) {
    all.push_back({std::move(what), verb + " " + id});
  };
  for (const auto& child : w.core.status(w.now).children) {
    const auto& id = child.id;
    const auto n = child.generation;
    switch (child.state) {
      case child_state::starting:
        put(event::started{id, n}, "ready", id);
        put(event::start_failed{id, n, "failed", false}, "fails", id);
        put(event::start_failed{id, n, "failed", true}, "fails for good", id);
        break;
      case child_state::ready:
        put(event::exited{id, n, exit_kind::normal, "ended"}, "ends", id);
        put(event::exited{id, n, exit_kind::abnormal, "crashed"}, "crashes", id);
        break;
      case child_state::stopping:
        put(event::exited{id, n, exit_kind::shutdown, "ended"}, "ends as asked", id);
        break;
      case child_state::quarantined:
        put(event::reset_child{id}, "reset", id);
        put(event::start_child{id}, "start", id);
        break;
      default:
        put(event::start_child{id}, "start", id);
        break;
    }
    put(event::terminate_child{id}, "terminate", id);
    put(event::restart_child{id}, "restart", id);
  }
  for (const auto& [timer, at] : w.seen.timers) all.push_back({event::timer{timer}, "timer"});
  all.push_back({event::stop{"enough", std::nullopt}, "stop"});
  return all;
}

/// Lets everything succeed: the group must come to rest with all up that are not meant to be down.
void must_recover(world w) {
  for (int i = 0; i < 60; ++i) {
    const auto children = w.core.status(w.now).children;
    const auto moving =
        std::find_if(children.begin(), children.end(), [](const child_status& child) {
          return child.state == child_state::starting || child.state == child_state::stopping;
        });
    if (moving != children.end()) {
      const auto& id = moving->id;
      if (moving->state == child_state::starting) {
        w.step(event::started{id, moving->generation}, "ready " + id);
      } else {
        w.step(event::exited{id, moving->generation, exit_kind::shutdown, "ended"}, "ends " + id);
      }
    } else if (!w.seen.timers.empty()) {
      w.step(event::timer{w.seen.timers.begin()->first}, "timer");
    } else {
      break;
    }
  }
  if (w.seen.stop_seen) {
    w.require(w.seen.finished, "a stop did not lead to a finish");
    return;
  }
  w.require(w.seen.pending.empty() && w.seen.down.empty() && w.seen.timers.empty(),
            "the group does not come to rest");
  w.require(w.core.phase() == supervisor_phase::running, "it does not run");
}

/// Some kills have no effect.
void must_finish(world w) {
  if (!w.seen.stop_seen) w.step(event::stop{"enough", std::nullopt}, "stop");
  for (int i = 0; i < 20 && !w.seen.finished; ++i) {
    w.require(!w.seen.timers.empty(), "it stops, waits for children, and has no timer");
    w.step(event::timer{w.seen.timers.begin()->first}, "timer");
  }
  w.require(w.seen.finished, "a stop did not lead to a finish");
}

std::size_t search(const world& from, int left) {
  if (left == 0) return 1;
  must_recover(from);
  must_finish(from);
  std::size_t leaves = 0;
  for (const auto& each : events_for(from)) {
    world next = from;
    next.step(each.what, each.name);
    leaves += search(next, left - 1);
  }
  return leaves;
}

child_spec spec_of(const std::string& id, restart_type type, texts after = {}) {
  child_spec spec;
  spec.id = id;
  spec.restart = type;
  spec.after = std::move(after);
  return spec;
}

constexpr auto permanent = restart_type::permanent;
constexpr auto transient = restart_type::transient;
constexpr auto temporary = restart_type::temporary;

/// From boot, from rest, and from the middle of a restart.
std::size_t search_all(const supervisor_policy& policy, const std::vector<child_spec>& specs) {
  fixed_random random{0.5};
  world booting{policy, random, specs};
  for (const auto& spec : specs) booting.step(event::add{spec}, "add " + spec.id);
  booting.step(event::start{}, "start");
  world ready = booting;
  for (int i = 0; i < 3; ++i) {
    for (const auto& [id, generation] : std::map{ready.seen.live}) {
      if (ready.seen.ready.count(id) == 1) continue;
      ready.step(event::started{id, generation}, "ready " + id);
    }
  }
  REQUIRE(ready.core.phase() == supervisor_phase::running);
  world restarting = ready;
  restarting.step(event::exited{"a", 1, exit_kind::abnormal, "crashed"}, "crashes a");
  // A window that still has room, and with its second restart a backoff.
  return search(booting, depth - 1) + search(ready, depth) + search(restarting, depth);
}

std::size_t search_policies(stop_order order, const std::vector<child_spec>& specs) {
  std::size_t leaves = 0;
  for (const auto strategy : {restart_strategy::one_for_all, restart_strategy::rest_for_one}) {
    for (const auto spent : {give_up::escalate, give_up::quarantine}) {
      supervisor_policy policy;
      policy.strategy = strategy;
      policy.intensity = spent == give_up::escalate ? 2 : 1;
      policy.period = 3s;
      policy.when_spent = spent;
      policy.asked = spent == give_up::escalate ? asked_start::must_succeed : asked_start::may_fail;
      policy.order = order;
      policy.backoff.first = 2s;
      policy.backoff.max = 2s;
      leaves += search_all(policy, specs);
    }
  }
  return leaves;
}

constexpr std::size_t sequences_min = depth == 4 ? 50'000 : 3'000;

}  // namespace

TEST_CASE("groups in reverse order: every sequence of four events keeps the invariants") {
  CHECK(search_policies(stop_order::reverse, {spec_of("a", permanent), spec_of("b", transient),
                                              spec_of("c", permanent)}) > sequences_min);
}

TEST_CASE("groups with a temporary member: every sequence of four events keeps the invariants") {
  CHECK(search_policies(stop_order::together, {spec_of("a", permanent), spec_of("b", temporary),
                                               spec_of("c", permanent)}) > sequences_min);
}

TEST_CASE("groups with levels: every sequence of four events keeps the invariants") {
  CHECK(
      search_policies(stop_order::levels, {spec_of("a", permanent), spec_of("b", permanent, {"a"}),
                                           spec_of("c", transient, {"a"})}) > sequences_min);
}
