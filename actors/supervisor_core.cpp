// SPDX-License-Identifier: Apache-2.0
// What happens to children: the life of an instance, and what follows when it ends.
#include "actors/supervisor_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bulkhead {
namespace {

bool is_bad(exit_kind kind) {
  return kind == exit_kind::killed || kind == exit_kind::abnormal;
}

bool is_restarted(restart_type type, exit_kind kind) {
  switch (type) {
    case restart_type::permanent:
      return true;
    case restart_type::transient:
      return is_bad(kind);
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
  id_.clear();
  step_result result;
  result.answer = std::visit([this](const auto& e) { return on(e); }, what);
  advance();
  result.text = std::exchange(text_, {});
  result.id = std::exchange(id_, {});
  result.actions = std::exchange(out_, {});
  return result;
}

// ------------------------------------------------------------------------------------------------
// news

verdict supervisor_core::on(const event::started& e) {
  child* c = find_live(e.id, e.generation);
  if (c == nullptr || c->state != child_state::starting) return verdict::ok;
  disarm(*c);
  c->ready_at = now_;
  c->newly_added = false;
  c->cause = false;
  enter(*c, child_state::ready, "ready");
  return verdict::ok;
}

verdict supervisor_core::on(const event::start_failed& e) {
  child* c = find_live(e.id, e.generation);
  if (c == nullptr) return verdict::ok;
  // Of a start that was broken off it says that nothing is left, not that something went wrong.
  const bool broken_off = c->state == child_state::stopping;
  instance_gone(*c, broken_off ? exit_kind::shutdown : exit_kind::abnormal,
                bounded_reason(e.reason), e.permanent);
  return verdict::ok;
}

verdict supervisor_core::on(const event::start_ignored& e) {
  child* c = find_live(e.id, e.generation);
  if (c == nullptr) return verdict::ok;
  const std::string reason = "its start found nothing to do";
  if (c->state != child_state::starting || to_stop_.count(rank_of(*c)) == 1) {
    instance_gone(*c, exit_kind::normal, reason, false);
    return verdict::ok;
  }
  disarm(*c);
  c->live = false;
  --live_;
  c->newly_added = false;
  c->cause = false;
  settle(*c, reason);
  return verdict::ok;
}

verdict supervisor_core::on(const event::exited& e) {
  child* c = find_live(e.id, e.generation);
  if (c != nullptr) instance_gone(*c, e.kind, bounded_reason(e.reason), false);
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
  backoffs_.erase(c.order);
  child_timer(c);
  return verdict::ok;
}

// ------------------------------------------------------------------------------------------------
// the life of an instance

supervisor_core::child& supervisor_core::insert(const child_spec& spec) {
  const auto order = ++last_order_;
  child fresh{.order = order,
              .spec = spec,
              .delays = backoff{policy_.backoff},
              .window = restart_window{policy_.intensity, policy_.period},
              .reason = spec.autostart ? "waits for its first start" : "started by request alone",
              .since = now_,
              .next_generation = std::max(spec.first_generation, forgotten_generation_ + 1),
              .parked = !spec.autostart};
  if (spec.type == child_type::supervisor) ++supervisors_;
  order_of_.emplace(spec.id, order);
  return children_.emplace(order, std::move(fresh)).first->second;
}

void supervisor_core::begin_start(child& c, origin by, std::string reason) {
  disarm(c);
  to_start_.erase(rank_of(c));
  c.started_by = by;
  c.after_stop = sequel::none;
  c.killed = false;
  c.parked = false;
  c.rejoins = false;
  c.live = true;
  ++live_;
  c.generation = c.next_generation++;
  enter(c, child_state::starting, std::move(reason));
  out_.emplace_back(action::start_child{c.spec.id, c.generation});
  if (c.spec.start_max.count() > 0) arm(c, now_ + c.spec.start_max);
}

void supervisor_core::begin_stop(child& c, std::string reason) {
  unasked_.erase(rank_of(c));
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
  const bool was_to_stop = to_stop_.erase(rank_of(c)) == 1;
  unasked_.erase(rank_of(c));
  disarm(c);
  c.live = false;
  --live_;
  if (was_to_stop || c.state == child_state::stopping) {
    stopped_instance_gone(c, kind, reason, permanent);
  } else if (c.state == child_state::starting) {
    start_has_failed(c, reason, permanent);
  } else {
    ended_by_itself(c, kind, reason, permanent);
  }
}

void supervisor_core::ended_by_itself(child& c, exit_kind kind, const std::string& reason,
                                      bool permanent) {
  using context = action::problem::context;
  c.delays.ran(now_ - c.ready_at);
  if (permanent || is_restarted(c.spec.restart, kind)) {
    complain(c, context::child_terminated, reason);
    restart_or_give_up(c, reason, permanent);
    return;
  }
  if (is_bad(kind)) complain(c, context::child_terminated, reason);
  const bool significant = c.spec.significant;
  settle(c, reason);
  if (significant) significant_ended();
}

/// The instance was asked to end, or was about to be.
void supervisor_core::stopped_instance_gone(child& c, exit_kind kind, const std::string& reason,
                                            bool permanent) {
  const auto after = std::exchange(c.after_stop, sequel::none);
  const bool brutal = c.spec.shutdown.how == shutdown_rule::kind::brutal;
  if (is_bad(kind) && !(kind == exit_kind::killed && brutal) && after != sequel::start_failed) {
    complain(c, action::problem::context::shutdown_error, reason);
  }
  auto told = c.state == child_state::stopping ? fmt::format("{} ({})", c.reason, reason) : reason;
  if (phase_ == supervisor_phase::stopping) {
    enter(c, child_state::stopped, std::move(told));
    return;
  }
  // A temporary child that is to be restarted by request is.
  const bool is_kept = c.cause || (c.spec.restart != restart_type::temporary && !is_dynamic());
  switch (after) {
    case sequel::start:
      ++c.restarts;
      begin_start(c, origin::asked, c.reason);
      return;
    case sequel::start_failed:
      start_has_failed(c, c.reason, permanent);
      return;
    case sequel::rejoin:
      if (!is_kept) break;
      enter(c, child_state::stopped, std::move(told));
      c.rejoins = true;
      queue_start(c);
      return;
    case sequel::quarantine:
      if (!is_kept) break;
      enter(c, child_state::quarantined, std::move(told));
      return;
    case sequel::forget:
      enter(c, child_state::stopped, std::move(told));
      forget(c);
      return;
    case sequel::none:
      break;
  }
  settle(c, std::move(told));
}

void supervisor_core::start_has_failed(child& c, const std::string& reason, bool permanent) {
  complain(c, action::problem::context::start_error, reason);
  if (c.started_by == origin::asked && policy_.asked == asked_start::must_succeed) {
    const bool boots = phase_ == supervisor_phase::booting && in_turn_.count(rank_of(c)) == 1;
    const auto text = fmt::format("child {} did not start: {}", c.spec.id, reason);
    c.cause = false;
    enter(c, child_state::stopped, reason);
    if (c.newly_added || c.spec.restart == restart_type::temporary || is_dynamic()) forget(c);
    if (boots) begin_finish(action::finish::kind::start_failed, text);
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
  auto& window = shares_window() ? window_ : c.window;
  if (!window.record(now_)) {
    abandon_child(c, fmt::format("{}; more than {} restart{} within {}", reason, policy_.intensity,
                                 policy_.intensity == 1 ? "" : "s", duration_text(policy_.period)));
    return;
  }
  if (is_group()) {
    restart_group(c, reason);
    return;
  }
  // With levels those above wait until it is ready or down for good.
  if (order() != stop_order::levels) leave_turn(c);
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
  if (policy_.when_spent == give_up::escalate) {
    enter(c, child_state::stopped, reason);
    begin_finish(action::finish::kind::gave_up, fmt::format("child {} {}", c.spec.id, reason));
  } else if (is_group()) {
    give_up_group(c, std::move(reason));
  } else {
    enter(c, child_state::quarantined, std::move(reason));
  }
}

void supervisor_core::settle(child& c, std::string reason) {
  enter(c, child_state::stopped, std::move(reason));
  if (c.spec.restart == restart_type::temporary || is_dynamic()) forget(c);
}

void supervisor_core::forget(child& c) {
  const auto order = c.order;
  const auto id = c.spec.id;
  disarm(c);
  leave_queues(c);
  if (!is_dynamic()) forgotten_generation_ = std::max(forgotten_generation_, c.next_generation - 1);
  if (c.spec.type == child_type::supervisor) --supervisors_;
  out_.emplace_back(action::forget_child{id});
  order_of_.erase(id);
  children_.erase(order);
}

void supervisor_core::child_timer(child& c) {
  switch (c.state) {
    case child_state::starting: {
      const auto reason = fmt::format("was not ready within {}", duration_text(c.spec.start_max));
      if (to_stop_.count(rank_of(c)) == 0) c.after_stop = sequel::start_failed;
      unasked_.erase(rank_of(c));
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
      if (to_start_.count(rank_of(c)) == 1) return;  // it starts in its turn
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
  to_stop_.erase(rank_of(c));
  enter(c, child_state::stopped, reason);
}

// ------------------------------------------------------------------------------------------------
// significant children

/// A significant child has ended by itself and stays down.
void supervisor_core::significant_ended() {
  if (policy_.when_significant_ends == auto_shutdown::never) return;
  if (policy_.when_significant_ends == auto_shutdown::any_significant) {
    begin_finish(action::finish::kind::significant, "a significant child has ended");
    return;
  }
  const auto still_counts = [&](const auto& entry) {
    const child& c = entry.second;
    return c.spec.significant &&
           (c.live || c.state == child_state::backoff || to_start_.count(rank_of(c)) == 1);
  };
  if (std::any_of(children_.begin(), children_.end(), still_counts)) return;
  begin_finish(action::finish::kind::significant, "all significant children have ended");
}

// ------------------------------------------------------------------------------------------------
// reports and bookkeeping

void supervisor_core::enter(child& c, child_state to, std::string reason,
                            std::chrono::nanoseconds delay) {
  const auto from = std::exchange(c.state, to);
  if (from != to) c.since = now_;
  c.reason = std::move(reason);
  if (to == child_state::ready || to == child_state::stopped || to == child_state::quarantined) {
    leave_turn(c);
  }
  out_.emplace_back(action::report{c.spec.id, c.generation, from, to, c.reason, delay});
}

void supervisor_core::complain(const child& c, action::problem::context what,
                               const std::string& reason) {
  if (phase_ != supervisor_phase::stopping) {
    out_.emplace_back(action::problem{what, reason, c.spec, c.generation});
    return;
  }
  auto& groups = ending_.errors;
  const auto same = std::find_if(groups.begin(), groups.end(),
                                 [&](const auto& group) { return group.reason == reason; });
  if (same != groups.end()) {
    ++same->count;
  } else if (groups.size() + 1 < stop_error_groups_max) {
    groups.push_back({reason, 1, c.spec.id});
  } else if (groups.size() < stop_error_groups_max) {
    groups.push_back({"other reasons", 1, c.spec.id});
  } else {
    ++groups.back().count;
  }
}

supervisor_core::child* supervisor_core::find(const std::string& id) {
  const auto order = order_of_.find(id);
  return order == order_of_.end() ? nullptr : &children_.at(order->second);
}

supervisor_core::child* supervisor_core::find_live(const std::string& id,
                                                   std::uint64_t generation) {
  child* c = find(id);
  return c != nullptr && c->live && c->generation == generation ? c : nullptr;
}

bool supervisor_core::is_group() const {
  return policy_.strategy == restart_strategy::one_for_all ||
         policy_.strategy == restart_strategy::rest_for_one;
}

bool supervisor_core::shares_window() const {
  return policy_.when_spent == give_up::escalate || is_group();
}

stop_order supervisor_core::order() const {
  return is_dynamic() ? stop_order::together : policy_.order;
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
  backoffs_.erase(c.order);
  out_.emplace_back(action::cancel_timer{c.timer});
  c.timer = 0;
}

std::uint64_t supervisor_core::take_generation(const std::string& id) {
  child* c = find(id);
  return c == nullptr ? 0 : c->next_generation++;
}

child_status supervisor_core::status_of(const child& c, instant now) const {
  const auto& window = shares_window() ? window_ : c.window;
  child_status status{.id = c.spec.id,
                      .restart = c.spec.restart,
                      .state = c.state,
                      .reason = c.reason,
                      .since = c.since,
                      .generation = c.generation,
                      .restarts = c.restarts,
                      .restarts_in_window = window.count(now),
                      .type = c.spec.type,
                      .significant = c.spec.significant};
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
                           .period = policy_.period,
                           .strategy = policy_.strategy};
  if (shares_window()) status.restarts_in_window = window_.count(now);
  status.children.reserve(children_.size());
  for (const auto& [order, c] : children_) status.children.push_back(status_of(c, now));
  return status;
}

std::optional<child_status> supervisor_core::status(const std::string& id, instant now) const {
  const auto order = order_of_.find(id);
  if (order == order_of_.end()) return std::nullopt;
  return status_of(children_.at(order->second), now);
}

std::optional<child_spec> supervisor_core::spec(const std::string& id) const {
  if (template_ && template_->id == id) return template_;
  const auto order = order_of_.find(id);
  if (order == order_of_.end()) return std::nullopt;
  return children_.at(order->second).spec;
}

child_count supervisor_core::count() const {
  child_count count;
  count.specs = is_dynamic() ? (template_ ? 1 : 0) : children_.size();
  count.active = live_;
  count.supervisors = supervisors_;
  count.workers = children_.size() - supervisors_;
  return count;
}

bool supervisor_core::has_settled(const std::string& id) const {
  const auto order = order_of_.find(id);
  if (order == order_of_.end()) return true;
  const child& c = children_.at(order->second);
  if (c.state == child_state::backoff && c.timer != 0) return true;
  if (c.state == child_state::starting || c.state == child_state::stopping) return false;
  return to_stop_.count(rank_of(c)) == 0 && to_start_.count(rank_of(c)) == 0;
}

}  // namespace bulkhead
