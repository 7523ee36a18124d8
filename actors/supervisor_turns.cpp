// SPDX-License-Identifier: Apache-2.0
// Who is next: the order in which children start and stop.
//
// Boot, the restart of a group, a new configuration and the end of the supervisor put children into
// two queues; `advance` takes out what may go on, after every event. Starts wait until nobody is to
// be stopped and no cause is in its backoff, so that a group is down before it comes up.
#include <fmt/format.h>

#include <utility>

#include "actors/supervisor_core.hpp"

namespace bulkhead {

void supervisor_core::advance() {
  if (phase_ == supervisor_phase::idle || phase_ == supervisor_phase::finished) return;
  stop_next();
  if (phase_ == supervisor_phase::stopping) {
    if (live_ == 0) finish();
    return;
  }
  start_next();
  if (phase_ != supervisor_phase::booting) return;
  if (!to_start_.empty() || !in_turn_.empty() || !to_stop_.empty()) return;
  phase_ = supervisor_phase::running;
  out_.emplace_back(action::booted{});
}

/// The highest in turn, as far as the stop order lets it go on.
void supervisor_core::stop_next() {
  const auto may_go = [this] {
    if (unasked_.empty()) return false;
    const auto& last = *to_stop_.rbegin();
    const auto& next = *unasked_.rbegin();
    switch (order()) {
      case stop_order::reverse:
        return next == last;
      case stop_order::levels:
        return next.first == last.first;
      case stop_order::together:
        break;
    }
    return true;
  };
  while (may_go()) {
    child& c = children_.at(unasked_.rbegin()->second);
    if (c.state == child_state::stopping) {
      unasked_.erase(rank_of(c));
    } else if (phase_ == supervisor_phase::stopping) {
      begin_stop(c, "its supervisor stops");
    } else if (c.after_stop == sequel::quarantine) {
      begin_stop(c, "its group is given up");
    } else if (c.after_stop == sequel::forget) {
      begin_stop(c, "it is not in the new configuration");
    } else {
      begin_stop(c, "its group restarts");
    }
  }
}

/// The lowest in turn; with levels, all of their level.
void supervisor_core::start_next() {
  if (to_start_.empty() || !in_turn_.empty() || !to_stop_.empty() || !backoffs_.empty()) return;
  const auto level = to_start_.begin()->first;
  do {
    const auto next = *to_start_.begin();
    child& c = children_.at(next.second);
    in_turn_.insert(next);
    const bool again = c.generation != 0;
    if (again) ++c.restarts;
    const auto by = again && (c.cause || c.rejoins) ? origin::automatic : origin::asked;
    auto reason = fmt::format("restarted: {}", c.reason);
    begin_start(c, by, again ? std::move(reason) : "first start");
  } while (order() == stop_order::levels && !to_start_.empty() &&
           to_start_.begin()->first == level);
}

void supervisor_core::begin_finish(action::finish::kind why, std::string reason) {
  if (!accepts_requests()) return;
  phase_ = supervisor_phase::stopping;
  ending_ = {why, std::move(reason), {}, {}, {}};
  to_start_.clear();
  in_turn_.clear();
  for (auto& [order, c] : children_) {
    c.cause = false;
    c.rejoins = false;
    if (!c.live) {
      disarm(c);
      if (c.state == child_state::backoff) enter(c, child_state::stopped, "its supervisor stops");
      continue;
    }
    if (c.killed && c.timer == 0) arm(c, now_ + policy_.kill_wait);
    queue_stop(c, sequel::none);
  }
}

void supervisor_core::finish() {
  phase_ = supervisor_phase::finished;
  if (deadline_timer_ != 0) out_.emplace_back(action::cancel_timer{deadline_timer_});
  deadline_timer_ = 0;
  out_.emplace_back(ending_);
}

void supervisor_core::deadline_passed() {
  const std::string reason = "did not end before the supervisor's deadline";
  for (auto& [order, c] : children_) {
    if (!c.live || c.killed) continue;
    if (c.state != child_state::stopping) enter(c, child_state::stopping, reason);
    ending_.killed.push_back(c.spec.id);
    kill(c, reason);
  }
  unasked_.clear();
}

// ------------------------------------------------------------------------------------------------
// the queues

void supervisor_core::queue_stop(child& c, sequel after) {
  leave_turn(c);
  c.after_stop = after;
  to_stop_.insert(rank_of(c));
  if (c.state != child_state::stopping) unasked_.insert(rank_of(c));
}

void supervisor_core::queue_start(child& c) {
  to_start_.insert(rank_of(c));
}

void supervisor_core::leave_turn(const child& c) {
  in_turn_.erase(rank_of(c));
}

void supervisor_core::leave_queues(const child& c) {
  for (auto* queue : {&to_stop_, &unasked_, &to_start_, &in_turn_}) queue->erase(rank_of(c));
}

}  // namespace bulkhead
