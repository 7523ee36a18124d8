// SPDX-License-Identifier: Apache-2.0
// Children that share their fate: who is concerned by the end of one of them, and what happens to
// those. The queues that carry it out are in supervisor_turns.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "actors/supervisor_core.hpp"

namespace bulkhead {

/// The others that are started again with `cause`.
std::vector<supervisor_core::child*> supervisor_core::group_of(const child& cause) {
  std::vector<child*> members;
  if (policy_.strategy == restart_strategy::one_for_all) {
    for (auto& [order, c] : children_) {
      if (&c != &cause) members.push_back(&c);
    }
    return members;
  }
  if (order() != stop_order::levels) {
    for (auto it = children_.upper_bound(cause.order); it != children_.end(); ++it) {
      members.push_back(&it->second);
    }
    return members;
  }
  std::vector<child*> above;
  for (auto& [order, c] : children_) {
    if (c.level > cause.level) above.push_back(&c);
  }
  std::stable_sort(above.begin(), above.end(),
                   [](const child* one, const child* other) { return one->level < other->level; });
  std::unordered_set<std::string_view> concerned = {cause.spec.id};
  for (child* c : above) {
    const auto is_concerned = [&](const std::string& id) { return concerned.count(id) == 1; };
    if (std::none_of(c->spec.after.begin(), c->spec.after.end(), is_concerned)) continue;
    concerned.insert(c->spec.id);
    members.push_back(c);
  }
  return members;
}

/// `cause` has ended, and the window has room.
void supervisor_core::restart_group(child& cause, const std::string& reason) {
  const auto delay = cause.delays.next(*random_);
  leave_turn(cause);
  cause.cause = true;
  cause.next_start_at = now_ + delay;
  enter(cause, child_state::backoff, reason, delay);
  queue_start(cause);
  if (delay.count() > 0) {
    arm(cause, cause.next_start_at);
    backoffs_.insert(cause.order);
  }
  const auto why = fmt::format("restarts with child {}: {}", cause.spec.id, reason);
  for (child* member : group_of(cause)) join_restart(*member, why);
}

void supervisor_core::join_restart(child& member, const std::string& reason) {
  if (member.live) {
    // What an operator said of it, or a new configuration, stands.
    if (member.parked || member.after_stop == sequel::forget) return;
    member.cause = false;
    queue_stop(member, sequel::rejoin);
    return;
  }
  if (member.parked || member.state == child_state::quarantined) return;
  if (to_start_.count(rank_of(member)) == 1) return;
  disarm(member);
  enter(member, child_state::stopped, reason);
  member.rejoins = true;
  queue_start(member);
}

/// `cause` is not to be started any more, and so are those that would have been with it.
void supervisor_core::give_up_group(child& cause, std::string reason) {
  const auto why = fmt::format("given up with child {}: {}", cause.spec.id, reason);
  const auto give_up = [this](child& c, std::string because) {
    c.cause = false;
    c.rejoins = false;
    disarm(c);
    leave_queues(c);
    enter(c, child_state::quarantined, std::move(because));
  };
  give_up(cause, std::move(reason));
  for (child* member : group_of(cause)) {
    if (member->live) {
      if (member->parked || member->after_stop == sequel::forget) continue;
      member->cause = false;
      queue_stop(*member, sequel::quarantine);
    } else if (member->spec.restart == restart_type::temporary) {
      forget(*member);
    } else if (!member->parked && member->state != child_state::quarantined) {
      give_up(*member, why);
    }
  }
}

/// Lets all that are quarantined start in order.
void supervisor_core::start_group(const std::string& reason) {
  for (auto& [order, c] : children_) {
    if (c.live && c.after_stop == sequel::quarantine) c.after_stop = sequel::rejoin;
    if (c.state != child_state::quarantined) continue;
    enter(c, child_state::stopped, reason);
    c.rejoins = true;
    queue_start(c);
  }
}

/// Those whose restart is under way start as soon as their siblings have ended.
void supervisor_core::cut_backoffs_short() {
  for (const auto order : std::exchange(backoffs_, {})) {
    child& c = children_.at(order);
    disarm(c);
    c.next_start_at = now_;
  }
}

/// `c` is stopped for good. When the restart of its group is for this child alone, it is over.
void supervisor_core::leave_group(child& c) {
  c.rejoins = false;
  if (!std::exchange(c.cause, false)) return;
  const auto is_cause = [](const auto& entry) { return entry.second.cause; };
  if (std::any_of(children_.begin(), children_.end(), is_cause)) return;
  const auto reason = fmt::format("the restart with child {} was ended", c.spec.id);
  for (auto& [order, member] : children_) {
    if (member.live && member.after_stop == sequel::rejoin) member.after_stop = sequel::none;
    if (&member == &c || !std::exchange(member.rejoins, false)) continue;
    to_start_.erase(rank_of(member));
    enter(member, child_state::stopped, reason);
  }
}

}  // namespace bulkhead
