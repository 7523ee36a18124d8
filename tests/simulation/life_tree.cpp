// SPDX-License-Identifier: Apache-2.0
// What a life consists of: the tree that is drawn from the seed, and how its members come to be.
#include <fmt/format.h>

#include "tests/simulation/life.hpp"
#include "tests/simulation/sim_actors.hpp"

namespace bulkhead::simulation {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

life::life(const run_options& options, rare_states& rare)
    : options_{options}, rare_{rare}, world_{std::make_unique<world>(options)} {
  draw_faults();
  draw_tree();
}

life::~life() {
  over_ = true;
  for (const auto& [which, actor] : supervisors_) {
    caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::kill);
  }
  for (const auto& [key, actor] : processes_) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  }
  supervisors_.clear();
  processes_.clear();
  world_.reset();
}

// -- the tree -----------------------------------------------------------------------------------

void life::draw_faults() {
  const double share = world_->one_of<double>({0.1, 0.3, 0.6, 0.9});
  for (auto& one : faults_) one = world_->chance(share);
}

supervisor_policy life::draw_policy() {
  auto& w = *world_;
  supervisor_policy policy;
  policy.intensity = w.number(0, 6);
  policy.period = milliseconds{w.one_of<int>({1, 700, 5'000, 60'000})};
  policy.backoff.first = milliseconds{w.one_of<int>({0, 10, 100, 1'000})};
  policy.backoff.max = policy.backoff.first * w.one_of<int>({1, 3, 10});
  policy.backoff.stable = milliseconds{w.one_of<int>({0, 2'000, 20'000})};
  policy.backoff.jitter = w.one_of<double>({0.0, 0.2, 1.0});
  policy.backoff.first_is_immediate = w.chance(0.7);
  policy.when_spent = w.one_of<give_up>({give_up::escalate, give_up::quarantine});
  policy.asked = w.one_of<asked_start>({asked_start::must_succeed, asked_start::may_fail});
  policy.order = w.one_of<stop_order>(
      {stop_order::reverse, stop_order::reverse, stop_order::together, stop_order::levels});
  policy.kill_wait = 2s;
  policy.strategy = w.one_of<restart_strategy>(
      {restart_strategy::one_for_one, restart_strategy::one_for_one, restart_strategy::one_for_all,
       restart_strategy::rest_for_one, restart_strategy::dynamic});
  // Children of one template have no order; the product refuses to be told one.
  if (policy.strategy == restart_strategy::dynamic) policy.order = stop_order::together;
  policy.when_significant_ends = w.one_of<auto_shutdown>(
      {auto_shutdown::never, auto_shutdown::any_significant, auto_shutdown::all_significant});
  return policy;
}

place life::draw_worker(const std::string& path, const std::string& id, bool may_be_significant) {
  auto& w = *world_;
  place made;
  made.path = path + "/" + id;
  made.rules.id = id;
  made.rules.restart = w.one_of<restart_type>({restart_type::permanent, restart_type::permanent,
                                               restart_type::transient, restart_type::temporary});
  made.rules.shutdown =
      w.one_of<shutdown_rule>({shutdown_rule::within(0ms), shutdown_rule::within(300ms),
                               shutdown_rule::within(3s), shutdown_rule::brutal()});
  made.rules.start_max = w.one_of<milliseconds>({0ms, 200ms, 3s});
  made.rules.significant =
      may_be_significant && w.chance(0.3) && made.rules.restart != restart_type::permanent;
  made.ready_when_made = w.chance(0.5);
  return made;
}

place life::draw_supervisor(const std::string& path, const std::string& id, int depth) {
  auto& w = *world_;
  place made;
  made.path = id.empty() ? path : path + "/" + id;
  made.rules = supervisor_spec(id.empty() ? "root" : id);
  made.is_supervisor = true;
  made.ready_when_made = false;
  made.policy = draw_policy();
  if (w.chance(0.3)) made.rules.shutdown = shutdown_rule::within(5s);
  if (w.chance(0.3)) made.rules.restart = restart_type::transient;
  const bool is_dynamic = made.policy.strategy == restart_strategy::dynamic;
  const bool has_significant = made.policy.when_significant_ends != auto_shutdown::never;
  const auto children = is_dynamic ? 1 : w.number(1, 4);
  for (std::uint64_t n = 0; n < children; ++n) {
    const auto name = fmt::format("{}{}", "abcd"[n], depth);
    const bool goes_on = depth < 2 && w.chance(depth == 0 ? 0.7 : 0.3);
    made.below.push_back(goes_on ? draw_supervisor(made.path, name, depth + 1)
                                 : draw_worker(made.path, name, has_significant));
    auto& rules = made.below.back().rules;
    if (made.policy.order != stop_order::levels) continue;
    for (std::uint64_t before = 0; before < n; ++before) {
      if (w.chance(0.4)) rules.after.push_back(made.below[before].rules.id);
    }
  }
  return made;
}

void life::draw_tree() {
  root_ = draw_supervisor("root", "", 0);
  if (world_->chance(0.5)) root_.stop_max = milliseconds{world_->one_of<int>({100, 10'000})};
}

// -- how members come to be ---------------------------------------------------------------------

supervisor_options life::options_of(const place& where, incarnation which) {
  supervisor_options options;
  options.name = where.path;
  options.policy = where.policy;
  if (has_plant("window_off_by_one")) ++options.policy.intensity;
  if (has_plant("early_give_up") && options.policy.intensity > 0) --options.policy.intensity;
  options.random = std::make_shared<seeded_random>(world_->number(0, UINT32_MAX));
  options.stop_max = where.stop_max;
  options.observer = [this, which](const action::report& claim) { on_report(which, claim); };
  options.finish_observer = [this, which](const action::finish& claim) { on_finish(which, claim); };
  for (const auto& each : where.below) options.children.push_back(spec_of(each, which));
  return options;
}

actor_child_spec life::spec_of(const place& where, incarnation owner) {
  actor_child_spec spec;
  spec.rules = where.rules;
  spec.ready_when_made = where.ready_when_made;
  spec.kind = where.is_supervisor ? "supervisor" : "worker";
  spec.make = [this, &where, owner](const child_ticket& ticket) {
    return where.is_supervisor ? make_supervisor(where, owner, ticket)
                               : make_worker(where, owner, ticket);
  };
  return spec;
}

supervisor_actor life::spawn_supervisor(supervisor_options options) {
  if (options_.plant.empty()) return world_->system().spawn<supervisor>(std::move(options));
  return world_->system().spawn<planted_supervisor>(std::move(options), *this);
}

std::optional<child_made> life::draw_failed_start(incarnation owner, const std::string& id) {
  auto& w = *world_;
  if (healed_) return std::nullopt;
  child_made none;
  if (has(fault::permanent_failure) && w.chance(0.03)) {
    none.failure = "there is no such file";
    none.permanent = true;
  } else if (has(fault::fails_to_start) && w.chance(0.15)) {
    if (w.chance(0.3)) throw std::runtime_error{"the factory broke"};
    none.failure = w.chance(0.5) ? "no room" : "";
  } else if (has(fault::nothing_to_do) && w.chance(0.05)) {
    none.ignored = true;
    rare_.reached("a start that found nothing to do");
  } else {
    return std::nullopt;
  }
  guarded([&] { book_.not_made(owner, id, none.permanent); });
  return none;
}

child_made life::make_worker(const place& where, incarnation owner, const child_ticket& ticket) {
  auto& w = *world_;
  if (auto none = draw_failed_start(owner, ticket.id)) return *none;
  auto rules = where.rules;
  rules.id = ticket.id;
  const auto what = draw_fate(where);
  child_made made;
  // The bug: now and then two at a time.
  const int times = has_plant("double_restart") && ticket.generation > 1 && w.chance(0.1) ? 2 : 1;
  for (int n = 0; n < times; ++n) {
    const auto actor = w.system().spawn<process>(*this, ticket, what);
    made.actor = caf::actor_cast<caf::strong_actor_ptr>(actor);
    guarded([&] {
      const auto key = book_.born(owner, rules, ticket.generation, w.now());
      dynamic_cast<process&>(*caf::actor_cast<caf::abstract_actor*>(actor)).be(key);
      processes_[key] = actor;
      if (where.ready_when_made) book_.said_ready(key);
      actor->attach_functor([this, key](const caf::error& reason) { note_end(key, reason); });
    });
  }
  return made;
}

child_made life::make_supervisor(const place& where, incarnation owner,
                                 const child_ticket& ticket) {
  if (auto none = draw_failed_start(owner, ticket.id)) return *none;
  const auto which = book_.supervisor_made(where.path, where.policy);
  place_of_[which] = &where;
  auto options = options_of(where, which);
  options.ticket = ticket;
  const auto actor = caf::actor_cast<caf::actor>(spawn_supervisor(std::move(options)));
  supervisors_[which] = caf::actor_cast<caf::strong_actor_ptr>(actor);
  auto rules = where.rules;
  rules.id = ticket.id;
  guarded([&] {
    const auto key = book_.born(owner, rules, ticket.generation, world_->now());
    book_.said_ready(key);  // it says so to its own supervisor alone
    actor->attach_functor([this, key, which](const caf::error& reason) {
      book_.supervisor_ended(which);
      note_end(key, reason);
    });
  });
  return {caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
}

fate life::draw_fate(const place& where) {
  auto& w = *world_;
  fate what;
  if (!where.ready_when_made) what.ready_after = 0ms;
  if (healed_) return what;
  if (what.ready_after) {
    if (has(fault::slow_start) && w.chance(0.4)) what.ready_after = w.duration(3s);
    const bool is_waited_for = where.rules.start_max.count() == 0;
    if (has(fault::never_ready) && !is_waited_for && w.chance(0.1)) what.ready_after.reset();
    if (has(fault::dies_before_ready) && w.chance(0.2)) {
      what.ready_after = 400ms;
      what.ends_after = w.duration(300ms);
    }
  }
  if (!what.ends_after && has(fault::storm) && w.chance(0.3)) what.ends_after = w.duration(50ms);
  if (!what.ends_after && has(fault::crash) && w.chance(0.4)) what.ends_after = w.duration(60s);
  if (!what.ends_after && has(fault::normal_end) && w.chance(0.3)) {
    what.ends_after = w.duration(60s);
    what.ends_how = w.one_of<exit_kind>({exit_kind::normal, exit_kind::shutdown});
  }
  what.fails_for_good = has(fault::permanent_failure) && w.chance(0.1);
  if (has(fault::slow_stop) && w.chance(0.4)) what.stops_after = w.duration(4s);
  if (has(fault::deaf_to_stop) && w.chance(0.3)) what.stops_after.reset();
  if (has(fault::held_by_kernel) && w.chance(0.2))
    what.held_for = w.chance(0.5) ? w.duration(1s) : 5s;
  return what;
}

// -- what members tell --------------------------------------------------------------------------

void life::process_ready(instance_key which) {
  book_.said_ready(which);
}

void life::process_killed(instance_key which, bool is_held) {
  book_.was_killed(which, is_held);
}

void life::note_end(instance_key which, const caf::error& reason) {
  if (over_) return;
  const bool permanent = exit_text_of(world_->system(), reason) == "the wrong version";
  book_.ended(which, exit_kind_of(reason), permanent);
  const auto& one = book_.at(which);
  if (world_->traces()) {
    world_->trace(fmt::format("  {}/{}#{} ended: {}", book_.path_of(one.owner), one.id,
                              one.generation, exit_text_of(world_->system(), reason)));
  }
  if (processes_.erase(which) == 1) speak_late(one);
}

/// A word that was on its way when its instance ended.
void life::speak_late(const ledger::instance& gone) {
  auto& w = *world_;
  if (!has(fault::late_word) || healed_ || !w.chance(0.2)) return;
  rare_.reached("a word of an instance that is gone");
  w.system().clock().schedule_message(
      w.now() + w.duration(500ms), supervisors_.at(gone.owner),
      caf::make_mailbox_element(nullptr, caf::make_message_id(), {},
                                child_ready{gone.id, gone.generation}));
}

void life::on_report(incarnation by, const action::report& claim) {
  if (over_) return;
  if (world_->traces()) {
    world_->trace(fmt::format("  {}/{}#{} {} -> {}: {}", book_.path_of(by), claim.id,
                              claim.generation, to_string(claim.from), to_string(claim.to),
                              claim.reason));
  }
  guarded([&] { book_.reported(by, claim, world_->now()); });
  count_states(by, claim);
}

std::uint64_t life::generation_of(const std::string& id) const {
  std::uint64_t newest = 0;
  for (const auto key : book_.living()) {
    if (book_.at(key).id == id) newest = book_.at(key).generation;
  }
  return newest;
}

}  // namespace bulkhead::simulation
