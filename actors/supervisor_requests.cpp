// SPDX-License-Identifier: Apache-2.0
// What is asked of a supervisor. A request that is refused changes nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "actors/dependency_levels.hpp"
#include "actors/supervisor_core.hpp"

namespace bulkhead {

/// `change` gives children other ranks; the queues keep whom they hold.
template <class Change>
void supervisor_core::in_new_order(Change change) {
  const std::array queues = {&to_stop_, &unasked_, &to_start_, &in_turn_};
  std::array<std::vector<std::string>, queues.size()> held;
  for (std::size_t i = 0; i < queues.size(); ++i) {
    for (const auto& place : *queues[i]) held[i].push_back(children_.at(place.second).spec.id);
    queues[i]->clear();
  }
  std::vector<std::string> delayed;
  for (const auto order : std::exchange(backoffs_, {})) {
    delayed.push_back(children_.at(order).spec.id);
  }
  change();
  for (std::size_t i = 0; i < queues.size(); ++i) {
    for (const auto& id : held[i]) queues[i]->insert(rank_of(*find(id)));
  }
  for (const auto& id : delayed) backoffs_.insert(find(id)->order);
}

verdict supervisor_core::on(const event::start& /*e*/) {
  if (!accepts_requests()) return verdict::stopping;
  if (phase_ != supervisor_phase::idle) return verdict::ok;
  if (is_dynamic()) {
    std::vector<child_spec> templates;
    if (template_) templates.push_back(*template_);
    text_ = check_all(policy_, templates);
  } else if (order() == stop_order::levels) {
    // `add` let pass what only the whole of them can tell.
    text_ = check_all(policy_, all_specs());
  }
  if (!text_.empty()) return verdict::invalid;
  in_new_order([this] { set_levels(); });
  phase_ = supervisor_phase::booting;
  return verdict::ok;
}

verdict supervisor_core::on(const event::add& e) {
  if (!accepts_requests()) return verdict::stopping;
  text_ = check(policy_, e.spec);
  if (!text_.empty()) return verdict::invalid;
  if (is_dynamic()) {
    if (template_ || phase_ != supervisor_phase::idle) return verdict::dynamic;
    template_ = e.spec;
    return verdict::ok;
  }
  if (const child* known = find(e.spec.id)) {
    return known->live ? verdict::already_started : verdict::already_present;
  }
  std::uint32_t level = 0;
  for (const auto& name : e.spec.after) {
    if (phase_ == supervisor_phase::idle) break;  // it may be added yet
    const child* sibling = find(name);
    if (sibling == nullptr) {
      text_ = fmt::format("after of child {} names {}, which is not there", e.spec.id, name);
      return verdict::invalid;
    }
    level = std::max(level, sibling->level + 1);
  }
  child& c = insert(e.spec);
  c.level = level;
  id_ = c.spec.id;
  if (c.parked) return verdict::ok;
  if (phase_ == supervisor_phase::running) {
    c.newly_added = true;
    begin_start(c, origin::asked, "first start");
  } else {
    queue_start(c);
  }
  return verdict::ok;
}

verdict supervisor_core::on(const event::add_dynamic& /*e*/) {
  if (!accepts_requests()) return verdict::stopping;
  if (!is_dynamic() || phase_ == supervisor_phase::idle) return verdict::dynamic;
  auto spec = *template_;
  spec.id = fmt::format("{}-{}", template_->id, ++last_dynamic_);
  child& c = insert(spec);
  id_ = spec.id;
  begin_start(c, origin::asked, "first start");
  return verdict::ok;
}

verdict supervisor_core::on(const event::start_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return unknown(e.id);
  if (is_dynamic()) return verdict::dynamic;
  if (c->live) return verdict::running;
  if (waits_for_restart(*c)) return verdict::restarting;
  if (phase_ == supervisor_phase::idle) {
    c->parked = false;
    queue_start(*c);
  } else if (is_group() && c->state == child_state::quarantined) {
    start_group("started by an operator");
  } else {
    begin_start(*c, origin::asked, "started by an operator");
  }
  return verdict::ok;
}

verdict supervisor_core::on(const event::restart_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return unknown(e.id);
  if (is_dynamic()) return verdict::dynamic;
  if (c->live && c->after_stop == sequel::forget) return verdict::not_found;
  if (phase_ == supervisor_phase::idle) {
    c->parked = false;
    queue_start(*c);
    return verdict::ok;
  }
  if (c->live) {
    restart_running(*c, e.reason);
  } else if (is_group() && c->state == child_state::quarantined) {
    start_group(e.reason);
  } else if (c->cause || c->rejoins) {
    cut_backoffs_short();
  } else {
    if (c->generation != 0) ++c->restarts;
    begin_start(*c, origin::asked, e.reason);
  }
  return verdict::ok;
}

void supervisor_core::restart_running(child& c, const std::string& reason) {
  c.parked = false;
  if (to_stop_.count(rank_of(c)) == 1) {
    c.after_stop = sequel::rejoin;  // its group is on its way down
  } else if (is_group() && c.state != child_state::stopping) {
    c.cause = true;
    queue_stop(c, sequel::rejoin);
    const auto why = fmt::format("restarts with child {}: {}", c.spec.id, reason);
    for (child* member : group_of(c)) join_restart(*member, why);
  } else {
    c.after_stop = sequel::start;
    begin_stop(c, reason);
  }
}

verdict supervisor_core::on(const event::terminate_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) {
    // OTP: to terminate a dynamic child that is gone already is no error.
    return is_dynamic() && was_dynamic(e.id) ? verdict::ok : unknown(e.id);
  }
  terminate(*c, e.reason);
  return verdict::ok;
}

void supervisor_core::terminate(child& c, const std::string& reason) {
  if (c.live && c.after_stop == sequel::forget) return;
  leave_group(c);
  c.parked = true;
  if (c.live) {
    c.after_stop = sequel::none;
    begin_stop(c, reason);
    return;
  }
  const bool waited = to_start_.count(rank_of(c)) == 1;
  leave_queues(c);
  disarm(c);
  if (waited || c.state != child_state::stopped) settle(c, reason);
}

verdict supervisor_core::on(const event::erase_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return unknown(e.id);
  if (is_dynamic()) return verdict::dynamic;
  if (c->live) return verdict::running;
  if (waits_for_restart(*c)) return verdict::restarting;
  forget(*c);
  return verdict::ok;
}

verdict supervisor_core::on(const event::reset_child& e) {
  if (!accepts_requests()) return verdict::stopping;
  child* c = find(e.id);
  if (c == nullptr) return unknown(e.id);
  if (c->state != child_state::quarantined) return verdict::not_quarantined;
  const std::string reason = "reset by an operator";
  if (is_group()) {
    window_.clear();
    for (auto& [order, member] : children_) {
      if (member.state == child_state::quarantined) member.delays.reset();
    }
    start_group(reason);
    return verdict::ok;
  }
  c->window.clear();
  c->delays.reset();
  ++c->restarts;
  begin_start(*c, origin::asked, reason);
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
  begin_finish(action::finish::kind::stopped, bounded_reason(e.reason));
  return verdict::ok;
}

// ------------------------------------------------------------------------------------------------
// a new configuration

verdict supervisor_core::on(const event::reconfigure& e) {
  if (!accepts_requests()) return verdict::stopping;
  text_ = check_all(e.policy, e.children);
  if (text_.empty() && (e.policy.strategy == restart_strategy::dynamic) != is_dynamic()) {
    text_ = fmt::format("strategy is {} and becomes {}; to and from dynamic it cannot change",
                        to_string(policy_.strategy), to_string(e.policy.strategy));
  }
  if (!text_.empty()) return verdict::invalid;
  std::vector<std::string> fresh;
  in_new_order([&] {
    policy_ = e.policy;
    window_.resize(policy_.intensity, policy_.period);
    for (auto& [order, c] : children_) {
      c.window.resize(policy_.intensity, policy_.period);
      c.delays.use(policy_.backoff);
    }
    if (is_dynamic()) {
      adopt_template(e.children.front());
      return;
    }
    for (const auto& spec : e.children) {
      if (adopt_spec(spec) && spec.autostart) fresh.push_back(spec.id);
    }
    renumber(e.children);
    set_levels();
  });
  for (const auto& id : fresh) queue_start(*find(id));
  if (e.prune && !is_dynamic()) prune(e.children);
  return verdict::ok;
}

void supervisor_core::adopt_template(const child_spec& spec) {
  template_ = spec;
  supervisors_ = spec.type == child_type::supervisor ? children_.size() : 0;
  for (auto& [order, c] : children_) {
    const auto id = std::move(c.spec.id);
    c.spec = spec;
    c.spec.id = id;
  }
}

/// True when it was not known.
bool supervisor_core::adopt_spec(const child_spec& spec) {
  child* known = find(spec.id);
  if (known == nullptr) {
    insert(spec);
    return true;
  }
  if (known->spec.type == child_type::supervisor) --supervisors_;
  if (spec.type == child_type::supervisor) ++supervisors_;
  known->spec = spec;
  // It was on its way out of the configuration, and is wanted again.
  if (known->live && known->after_stop == sequel::forget) known->after_stop = sequel::rejoin;
  return false;
}

void supervisor_core::prune(const std::vector<child_spec>& kept) {
  std::unordered_set<std::string_view> ids;
  for (const auto& spec : kept) ids.insert(spec.id);
  std::vector<child*> pruned;
  for (auto& [order, c] : children_) {
    if (ids.count(c.spec.id) == 0) pruned.push_back(&c);
  }
  for (child* c : pruned) {
    leave_group(*c);
    if (c->live) {
      queue_stop(*c, sequel::forget);
    } else {
      forget(*c);
    }
  }
}

/// Children that `first` names come first, in its order; the others stay in theirs behind them.
void supervisor_core::renumber(const std::vector<child_spec>& first) {
  child_map before = std::exchange(children_, {});
  const auto take = [&](std::uint64_t from) {
    auto node = before.extract(from);
    node.key() = ++last_order_;
    node.mapped().order = last_order_;
    order_of_[node.mapped().spec.id] = last_order_;
    if (node.mapped().timer != 0) timer_owner_[node.mapped().timer] = last_order_;
    children_.insert(children_.end(), std::move(node));
  };
  for (const auto& spec : first) take(order_of_.at(spec.id));
  while (!before.empty()) take(before.begin()->first);
}

void supervisor_core::set_levels() {
  const bool has_levels = order() == stop_order::levels;
  const auto levels = has_levels ? levels_of(all_specs()).levels : std::vector<std::uint32_t>{};
  std::size_t position = 0;
  for (auto& [order, c] : children_) c.level = has_levels ? levels.at(position++) : 0;
}

// ------------------------------------------------------------------------------------------------

std::vector<child_spec> supervisor_core::all_specs() const {
  std::vector<child_spec> specs;
  specs.reserve(children_.size());
  for (const auto& [order, c] : children_) specs.push_back(c.spec);
  return specs;
}

bool supervisor_core::accepts_requests() const {
  return phase_ != supervisor_phase::stopping && phase_ != supervisor_phase::finished;
}

bool supervisor_core::waits_for_restart(const child& c) const {
  return c.state == child_state::backoff || c.cause || c.rejoins;
}

/// Why there is no child of that id: OTP's dynamic children have no ids, ours not the template's.
verdict supervisor_core::unknown(const std::string& id) const {
  return template_ && template_->id == id ? verdict::dynamic : verdict::not_found;
}

/// `id` was given to a child of this dynamic supervisor.
bool supervisor_core::was_dynamic(const std::string& id) const {
  const auto prefix = template_ ? template_->id + "-" : std::string{};
  if (prefix.empty() || id.compare(0, prefix.size(), prefix) != 0) return false;
  std::uint64_t number = 0;
  const char* end = id.data() + id.size();
  const auto parsed = std::from_chars(id.data() + prefix.size(), end, number);
  return parsed.ec == std::errc{} && parsed.ptr == end && number >= 1 && number <= last_dynamic_;
}

}  // namespace bulkhead
