// SPDX-License-Identifier: Apache-2.0
#include "actors/supervisor_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bulkhead {
namespace {

bool is_restarted(restart_type type, exit_kind kind) {
  switch (type) {
    case restart_type::permanent:
      return true;
    case restart_type::transient:
      return kind == exit_kind::killed || kind == exit_kind::abnormal;
    case restart_type::temporary:
      break;
  }
  return false;
}

}  // namespace

supervisor_core::supervisor_core(supervisor_policy policy, random_source& random)
    : policy_{policy}, random_{&random}, window_{policy.intensity, policy.period} {}

step_result supervisor_core::step(const supervisor_event& what, instant now) {
  now_ = std::max(now_, now);
  out_.clear();
  text_.clear();
  step_result result;
  result.answer = std::visit([this](const auto& e) { return on(e); }, what);
  if (phase_ == supervisor_phase::booting) continue_boot();
  if (phase_ == supervisor_phase::stopping) continue_stop();
  result.text = std::exchange(text_, {});
  result.actions = std::exchange(out_, {});
  return result;
}

// ------------------------------------------------------------------------------------------------
// what happened

verdict supervisor_core::on(const event::start& /*e*/) {
  if (!accepts_requests()) return verdict::stopping;
  if (phase_ == supervisor_phase::idle) phase_ = supervisor_phase::booting;
  return verdict::ok;
}

verdict supervisor_core::on(const event::started& e) {
  child* c = find_live(e.id, e.generation);
  if (c == nullptr || c->state != child_state::starting) return verdict::ok;
  disarm(*c);
  c->ready_at = now_;
  c->newly_added = false;
  if (boot_child_ == c->order) boot_child_ = 0;
  enter(*c, child_state::ready, "ready");
  return verdict::ok;
}

verdict supervisor_core::on(const event::start_failed& e) {
  child* c = find_live(e.id, e.generation);
  if (c != nullptr) instance_gone(*c, exit_kind::abnormal, e.reason, e.permanent);
  return verdict::ok;
}

verdict supervisor_core::on(const event::exited& e) {
  child* c = find_live(e.id, e.generation);
  if (c != nullptr) instance_gone(*c, e.kind, e.reason, false);
  return verdict::ok;
}

verdict supervisor_core::on(const event::timer& e) {
  if (e.id != 0 && e.id == deadline_timer_) {
    deadline_timer_ = 0;
    deadline_passed();
    return verdict::ok;
  }
  const auto owner = timer_owner_.find(e.id);
  if (owner == timer_owner_.end()) return verdict::ok;
  child& c = children_.at(owner->second);
  timer_owner_.erase(owner);
  c.timer = 0;
  child_timer(c);
  return verdict::ok;
}

// ------------------------------------------------------------------------------------------------
// what is asked

verdict supervisor_core::on(const event::add& e) {
  if (!accepts_requests()) return verdict::stopping;
  text_ = check(e.spec);
  if (!text_.empty()) return verdict::invalid;
  if (const child* known = find(e.spec.id)) {
    return known->live ? verdict::already_started : verdict::already_present;
  }
  const auto order = ++last_order_;
  child fresh{.order = order,
              .spec = e.spec,
              .delays = backoff{policy_.backoff},
              .window = restart_window{policy_.intensity, policy_.period},
              .reason = "waits for its first start",
              .since = now_,
              .next_generation = std::max(e.spec.first_generation, forgotten_generation_ + 1)};
  order_of_.emplace(e.spec.id, order);
  child& c = children_.emplace(order, std::move(fresh)).first->second;
  if (phase_ == supervisor_phase::running) {
    c.newly_added = true;
    begin_start(c, origin::asked, "first start");
  } else {
    c.waits_for_turn = true;
  }
  return verdict::ok;
}

verdict supervisor_core::on(const event::start_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return verdict::not_found;
  if (c->live) return verdict::running;
  if (c->state == child_state::backoff) return verdict::restarting;
  if (phase_ == supervisor_phase::idle) return verdict::ok;  // it waits for its turn
  begin_start(*c, origin::asked, "started by an operator");
  return verdict::ok;
}

verdict supervisor_core::on(const event::restart_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return verdict::not_found;
  if (phase_ == supervisor_phase::idle) return verdict::ok;
  if (c->live) {
    begin_stop(*c, sequel::start, "restarted by an operator");
    return verdict::ok;
  }
  if (c->generation != 0) ++c->restarts;
  begin_start(*c, origin::asked, "restarted by an operator");
  return verdict::ok;
}

verdict supervisor_core::on(const event::terminate_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return verdict::not_found;
  const bool waited = std::exchange(c->waits_for_turn, false);
  if (c->live) {
    begin_stop(*c, sequel::none, e.reason);
    return verdict::ok;
  }
  disarm(*c);
  if (waited || c->state != child_state::stopped) settle(*c, e.reason);
  return verdict::ok;
}

verdict supervisor_core::on(const event::erase_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return verdict::not_found;
  if (c->live) return verdict::running;
  if (c->state == child_state::backoff) return verdict::restarting;
  forget(*c);
  return verdict::ok;
}

verdict supervisor_core::on(const event::reset_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return verdict::not_found;
  if (c->state != child_state::quarantined) return verdict::not_quarantined;
  c->window.clear();
  c->delays.reset();
  ++c->restarts;
  begin_start(*c, origin::asked, "reset by an operator");
  return verdict::ok;
}

verdict supervisor_core::on(const event::adopt_instance& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr || c->state != child_state::ready) return verdict::not_found;
  c->delays.ran(now_ - c->ready_at);
  c->generation = e.generation;
  c->next_generation = std::max(c->next_generation, e.generation + 1);
  c->ready_at = now_;
  enter(*c, child_state::ready, "replaced by a newer instance");
  return verdict::ok;
}

verdict supervisor_core::on(const event::stop& e) {
  if (phase_ == supervisor_phase::finished) return verdict::stopping;
  if (e.deadline && deadline_timer_ == 0) {
    deadline_timer_ = ++last_timer_;
    out_.emplace_back(action::arm_timer{deadline_timer_, *e.deadline});
  }
  begin_finish(action::finish::kind::stopped, e.reason);
  return verdict::ok;
}

bool supervisor_core::accepts_requests() const {
  return phase_ != supervisor_phase::stopping && phase_ != supervisor_phase::finished;
}

// ------------------------------------------------------------------------------------------------
// the life of an instance

void supervisor_core::begin_start(child& c, origin by, std::string reason) {
  disarm(c);
  c.waits_for_turn = false;
  c.started_by = by;
  c.after_stop = sequel::none;
  c.killed = false;
  c.live = true;
  ++live_;
  c.generation = c.next_generation++;
  enter(c, child_state::starting, std::move(reason));
  out_.emplace_back(action::start_child{c.spec.id, c.generation});
  if (c.spec.start_max.count() > 0) arm(c, now_ + c.spec.start_max);
}

void supervisor_core::begin_stop(child& c, sequel after, std::string reason) {
  c.after_stop = after;
  if (c.state == child_state::stopping) {
    c.reason = std::move(reason);
    return;
  }
  disarm(c);
  if (c.state == child_state::ready) c.delays.ran(now_ - c.ready_at);
  enter(c, child_state::stopping, std::move(reason));
  switch (c.spec.shutdown.how) {
    case shutdown_rule::kind::brutal:
      kill(c, c.reason);
      return;
    case shutdown_rule::kind::infinity:
      out_.emplace_back(action::stop_child{c.spec.id, c.generation, false, std::nullopt, c.reason});
      return;
    case shutdown_rule::kind::timeout:
      const instant deadline = now_ + c.spec.shutdown.timeout;
      out_.emplace_back(action::stop_child{c.spec.id, c.generation, false, deadline, c.reason});
      arm(c, deadline);
      return;
  }
}

void supervisor_core::kill(child& c, const std::string& reason) {
  c.killed = true;
  out_.emplace_back(action::stop_child{c.spec.id, c.generation, true, std::nullopt, reason});
  arm(c, now_ + policy_.kill_wait);
}

void supervisor_core::instance_gone(child& c, exit_kind kind, const std::string& reason,
                                    bool permanent) {
  const auto order = c.order;
  disarm(c);
  c.live = false;
  --live_;
  switch (c.state) {
    case child_state::stopping:
      stopped_instance_gone(c, reason, permanent);
      break;
    case child_state::starting:
      start_has_failed(c, reason, permanent);
      break;
    default:
      c.delays.ran(now_ - c.ready_at);
      if (phase_ == supervisor_phase::stopping) {
        enter(c, child_state::stopped, reason);
      } else if (permanent || is_restarted(c.spec.restart, kind)) {
        restart_or_give_up(c, reason, permanent);
      } else {
        settle(c, reason);
      }
      break;
  }
  if (boot_child_ == order) boot_child_ = 0;
}

void supervisor_core::stopped_instance_gone(child& c, const std::string& reason, bool permanent) {
  const auto after = std::exchange(c.after_stop, sequel::none);
  if (phase_ == supervisor_phase::stopping) {
    enter(c, child_state::stopped, fmt::format("{} ({})", c.reason, reason));
  } else if (after == sequel::start) {
    ++c.restarts;
    begin_start(c, origin::asked, c.reason);
  } else if (after == sequel::start_failed) {
    start_has_failed(c, c.reason, permanent);
  } else {
    settle(c, fmt::format("{} ({})", c.reason, reason));
  }
}

void supervisor_core::start_has_failed(child& c, const std::string& reason, bool permanent) {
  if (phase_ == supervisor_phase::stopping) {
    enter(c, child_state::stopped, reason);
    return;
  }
  if (c.started_by == origin::asked && policy_.asked == asked_start::must_succeed) {
    const bool boots = boot_child_ == c.order;
    const auto id = c.spec.id;
    enter(c, child_state::stopped, reason);
    if (c.newly_added || c.spec.restart == restart_type::temporary) forget(c);
    if (boots) {
      begin_finish(action::finish::kind::start_failed,
                   fmt::format("child {} did not start: {}", id, reason));
    }
    return;
  }
  if (c.spec.restart == restart_type::temporary) {
    settle(c, reason);
    return;
  }
  restart_or_give_up(c, reason, permanent);
}

void supervisor_core::restart_or_give_up(child& c, const std::string& reason, bool permanent) {
  if (permanent) {
    abandon_child(c, fmt::format("{}; starting it again cannot help", reason));
    return;
  }
  auto& window = policy_.when_spent == give_up::escalate ? window_ : c.window;
  if (!window.record(now_)) {
    abandon_child(c, fmt::format("{}; more than {} restart{} within {}", reason, policy_.intensity,
                                 policy_.intensity == 1 ? "" : "s", duration_text(policy_.period)));
    return;
  }
  const auto delay = c.delays.next(*random_);
  if (delay.count() == 0) {
    ++c.restarts;
    begin_start(c, origin::automatic, fmt::format("restarted: {}", reason));
    return;
  }
  c.next_start_at = now_ + delay;
  enter(c, child_state::backoff, reason, delay);
  arm(c, c.next_start_at);
}

void supervisor_core::abandon_child(child& c, std::string reason) {
  if (policy_.when_spent == give_up::quarantine) {
    enter(c, child_state::quarantined, std::move(reason));
    return;
  }
  enter(c, child_state::stopped, reason);
  begin_finish(action::finish::kind::gave_up, fmt::format("child {} {}", c.spec.id, reason));
}

void supervisor_core::settle(child& c, std::string reason) {
  enter(c, child_state::stopped, std::move(reason));
  if (c.spec.restart == restart_type::temporary) forget(c);
}

void supervisor_core::forget(const child& c) {
  const auto order = c.order;
  const auto id = c.spec.id;
  forgotten_generation_ = std::max(forgotten_generation_, c.generation);
  out_.emplace_back(action::forget_child{id});
  order_of_.erase(id);
  children_.erase(order);
}

void supervisor_core::child_timer(child& c) {
  switch (c.state) {
    case child_state::starting: {
      const auto reason = fmt::format("was not ready within {}", duration_text(c.spec.start_max));
      c.after_stop = sequel::start_failed;
      enter(c, child_state::stopping, reason);
      kill(c, reason);
      return;
    }
    case child_state::stopping:
      if (c.killed) {
        unstoppable(c);
      } else {
        if (phase_ == supervisor_phase::stopping) ending_.killed.push_back(c.spec.id);
        kill(c, fmt::format("did not end within {}", duration_text(c.spec.shutdown.timeout)));
      }
      return;
    case child_state::backoff:
      ++c.restarts;
      begin_start(c, origin::automatic, fmt::format("restarted: {}", c.reason));
      return;
    default:
      return;
  }
}

void supervisor_core::unstoppable(child& c) {
  const std::string reason = "was killed and has not ended";
  if (phase_ != supervisor_phase::stopping) {
    // It stays as it is until its end is reported: a second instance beside it is not an option.
    enter(c, child_state::stopping, reason);
    return;
  }
  ending_.abandoned.push_back(c.spec.id);
  c.live = false;
  --live_;
  enter(c, child_state::stopped, reason);
}

// ------------------------------------------------------------------------------------------------
// all children

void supervisor_core::continue_boot() {
  while (boot_child_ == 0 && phase_ == supervisor_phase::booting) {
    const auto next = children_.upper_bound(boot_cursor_);
    if (next == children_.end()) {
      phase_ = supervisor_phase::running;
      out_.emplace_back(action::booted{});
      return;
    }
    boot_cursor_ = next->first;
    if (!next->second.waits_for_turn) continue;
    boot_child_ = next->first;
    begin_start(next->second, origin::asked, "first start");
  }
}

void supervisor_core::begin_finish(action::finish::kind why, std::string reason) {
  if (!accepts_requests()) return;
  phase_ = supervisor_phase::stopping;
  ending_ = {why, std::move(reason), {}, {}};
  boot_child_ = 0;
  stop_cursor_ = last_order_;
  const std::string cause = "its supervisor stops";
  for (auto& [order, c] : children_) {
    c.waits_for_turn = false;
    if (!c.live) {
      disarm(c);
      if (c.state == child_state::backoff) enter(c, child_state::stopped, cause);
      continue;
    }
    c.after_stop = sequel::none;
    if (c.killed && c.timer == 0) arm(c, now_ + policy_.kill_wait);
    if (policy_.order == stop_order::together && c.state != child_state::stopping) {
      begin_stop(c, sequel::none, cause);
    }
  }
}

void supervisor_core::continue_stop() {
  if (live_ == 0) {
    phase_ = supervisor_phase::finished;
    if (deadline_timer_ != 0) out_.emplace_back(action::cancel_timer{deadline_timer_});
    deadline_timer_ = 0;
    out_.emplace_back(ending_);
    return;
  }
  if (policy_.order == stop_order::together) return;
  for (auto next = children_.upper_bound(stop_cursor_); next != children_.begin();) {
    child& c = (--next)->second;
    if (!c.live) continue;
    stop_cursor_ = c.order;
    if (c.state != child_state::stopping) begin_stop(c, sequel::none, "its supervisor stops");
    return;
  }
}

void supervisor_core::deadline_passed() {
  const std::string reason = "did not end before the supervisor's deadline";
  for (auto& [order, c] : children_) {
    if (!c.live || c.killed) continue;
    if (c.state != child_state::stopping) enter(c, child_state::stopping, reason);
    ending_.killed.push_back(c.spec.id);
    kill(c, reason);
  }
}

// ------------------------------------------------------------------------------------------------
// bookkeeping

supervisor_core::child* supervisor_core::find(const std::string& id) {
  const auto order = order_of_.find(id);
  return order == order_of_.end() ? nullptr : &children_.at(order->second);
}

supervisor_core::child* supervisor_core::find_live(const std::string& id,
                                                   std::uint64_t generation) {
  child* c = find(id);
  return c != nullptr && c->live && c->generation == generation ? c : nullptr;
}

void supervisor_core::enter(child& c, child_state to, std::string reason,
                            std::chrono::nanoseconds delay) {
  const auto from = std::exchange(c.state, to);
  if (from != to) c.since = now_;
  c.reason = std::move(reason);
  out_.emplace_back(action::report{c.spec.id, c.generation, from, to, c.reason, delay});
}

void supervisor_core::arm(child& c, instant at) {
  disarm(c);
  c.timer = ++last_timer_;
  timer_owner_.emplace(c.timer, c.order);
  out_.emplace_back(action::arm_timer{c.timer, at});
}

void supervisor_core::disarm(child& c) {
  if (c.timer == 0) return;
  timer_owner_.erase(c.timer);
  out_.emplace_back(action::cancel_timer{c.timer});
  c.timer = 0;
}

std::uint64_t supervisor_core::take_generation(const std::string& id) {
  child* c = find(id);
  return c == nullptr ? 0 : c->next_generation++;
}

child_status supervisor_core::status_of(const child& c, instant now) const {
  const auto& window = policy_.when_spent == give_up::escalate ? window_ : c.window;
  child_status status{.id = c.spec.id,
                      .restart = c.spec.restart,
                      .state = c.state,
                      .reason = c.reason,
                      .since = c.since,
                      .generation = c.generation,
                      .restarts = c.restarts,
                      .restarts_in_window = window.count(now)};
  if (c.state == child_state::backoff && c.next_start_at > now) {
    status.backoff_left = c.next_start_at - now;
  }
  if (c.state == child_state::ready) status.ready_since = c.ready_at;
  return status;
}

supervisor_status supervisor_core::status(instant now) const {
  supervisor_status status{.phase = phase_,
                           .reason = ending_.reason,
                           .intensity = policy_.intensity,
                           .period = policy_.period};
  if (policy_.when_spent == give_up::escalate) status.restarts_in_window = window_.count(now);
  status.children.reserve(children_.size());
  for (const auto& [order, c] : children_) status.children.push_back(status_of(c, now));
  return status;
}

std::optional<child_status> supervisor_core::status(const std::string& id, instant now) const {
  const auto order = order_of_.find(id);
  if (order == order_of_.end()) return std::nullopt;
  return status_of(children_.at(order->second), now);
}

std::string_view to_string(verdict value) {
  switch (value) {
    case verdict::ok:
      return "ok";
    case verdict::not_found:
      return "not_found";
    case verdict::already_started:
      return "already_started";
    case verdict::already_present:
      return "already_present";
    case verdict::running:
      return "running";
    case verdict::restarting:
      return "restarting";
    case verdict::not_quarantined:
      return "not_quarantined";
    case verdict::stopping:
      return "stopping";
    case verdict::invalid:
      break;
  }
  return "invalid";
}

std::string next_step_text(const action::report& report) {
  switch (report.to) {
    case child_state::starting:
      return "restarts at once";
    case child_state::backoff:
      return fmt::format("restarts in {}", duration_text(report.delay));
    case child_state::quarantined:
      return "quarantined";
    default:
      return "stays down";
  }
}

}  // namespace bulkhead
