// SPDX-License-Identifier: Apache-2.0
// What happens in a life: its phases, and what hurts and commands its members meanwhile.
#include <fmt/format.h>

#include "tests/simulation/life.hpp"
#include "tests/simulation/sim_actors.hpp"

namespace bulkhead::simulation {

using namespace std::chrono_literals;

namespace {

/// Longer than any sequence of backoffs, starts and stops that can be under way.
constexpr auto heal_time = 10min;
constexpr auto end_time = 10min;

bool contains(const std::string& text, const char* words) {
  return text.find(words) != std::string::npos;
}

}  // namespace

std::chrono::nanoseconds life::live() {
  start_root();
  safety_phase();
  const auto lived = world_->age();  // what follows is long, and little happens in it
  if (!has(fault::early_end)) liveness_phase();
  end_phase();
  return lived;
}

void life::start_root() {
  root_incarnation_ = book_.supervisor_made(root_.path, root_.policy);
  place_of_[root_incarnation_] = &root_;
  const auto root = spawn_supervisor(options_of(root_, root_incarnation_));
  supervisors_[root_incarnation_] = caf::actor_cast<caf::strong_actor_ptr>(root);
  const auto which = root_incarnation_;
  caf::actor_cast<caf::actor>(root)->attach_functor(
      [this, which](const caf::error&) { book_.supervisor_ended(which); });
  if (world_->chance(0.5)) advance(0s);
}

void life::advance(std::chrono::nanoseconds time) {
  const auto until = world_->now() + time;
  world_->run_until(until);
  fail_if_broken();
  guarded([&] { book_.check_at_rest(world_->now()); });
  fail_if_broken();
}

void life::fail_if_broken() const {
  if (!broken_.empty()) throw violation{broken_};
}

void life::safety_phase() {
  auto& w = *world_;
  const auto steps = w.number(5, 40);
  for (std::uint64_t step = 0; step < steps && book_.is_alive(root_incarnation_); ++step) {
    advance(w.duration(10s));
    // Some deeds fall into the middle of what the ones before brought about.
    for (auto deeds = w.number(1, 3); deeds > 0; --deeds) {
      do_something();
      w.run_some(w.number(0, 30));
    }
  }
}

void life::liveness_phase() {
  healed_ = true;
  world_->trace("the faults end");
  advance(heal_time);
  for (const auto& [which, actor] : supervisors_) {
    if (book_.is_alive(which)) require_up(which);
  }
}

/// Nothing is under way any more, and what can run does.
void life::require_up(incarnation which) {
  const auto answer = ask<supervisor_snapshot>(which, supervisor_query{}, "snapshot");
  advance(0s);
  if (!*answer) throw violation{book_.path_of(which) + ": no answer"};
  const auto broken = [&](const std::string& what) {
    throw violation{fmt::format("{}: {}", book_.path_of(which), what)};
  };
  if ((*answer)->status.phase != supervisor_phase::running) {
    broken(fmt::format("is {} long after the faults", to_string((*answer)->status.phase)));
  }
  for (const auto& child : (*answer)->children) {
    const auto& status = child.status;
    if (status.state == child_state::ready || status.state == child_state::quarantined) continue;
    const bool stands_alone = place_of_.at(which)->policy.strategy == restart_strategy::one_for_one;
    if (stands_alone && !touched_[which] && book_.is_owed_restart(which, status.id)) {
      broken(fmt::format("{} was not started again: {}", status.id, status.reason));
    }
    const bool may_be_down = touched_[which] || status.restart != restart_type::permanent ||
                             contains(status.reason, "nothing to do");
    if (status.state != child_state::stopped || !may_be_down) {
      broken(fmt::format("{} is {} long after the faults: {}", status.id, to_string(status.state),
                         status.reason));
    }
  }
}

void life::end_phase() {
  const auto begin = world_->now();
  if (book_.is_alive(root_incarnation_)) {
    world_->trace("the whole tree is to stop");
    stopping_[root_incarnation_] = true;
    for (const auto& [which, where] : place_of_) {
      if (!book_.is_alive(which)) continue;
      if (!healed_ && world_->chance(0.1))
        rare_.reached("the tree stopped in the middle of things");
    }
    caf::anon_send_exit(caf::actor_cast<caf::actor>(supervisors_.at(root_incarnation_)),
                        caf::exit_reason::user_shutdown);
    if (root_.stop_max.count() > 0) {
      // What is killed at the deadline may be waited for, at every level of the tree.
      advance(begin - world_->now() + root_.stop_max + root_.policy.kill_wait);
      if (book_.is_alive(root_incarnation_)) throw violation{"root: has not kept its deadline"};
    }
  }
  advance(end_time);
  if (book_.is_alive(root_incarnation_)) throw violation{"root: does not end"};
  for (const auto key : book_.living()) {
    const auto& one = book_.at(key);
    throw violation{fmt::format("{}/{} is left", book_.path_of(one.owner), one.id)};
  }
  for (const auto& each : requests_) {
    if (each.answers != 1) {
      throw violation{fmt::format("{} was answered {} times", each.what, each.answers)};
    }
  }
}

// -- deeds --------------------------------------------------------------------------------------

std::optional<instance_key> life::any_process() {
  if (processes_.empty()) return std::nullopt;
  auto found = processes_.begin();
  std::advance(found, static_cast<std::ptrdiff_t>(world_->number(0, processes_.size() - 1)));
  return found->first;
}

/// Mostly one that lives; now and then one that does not.
std::optional<incarnation> life::any_supervisor(bool below_root) {
  std::vector<incarnation> found;
  const bool dead_too = !below_root && world_->chance(0.05);
  for (const auto& [which, actor] : supervisors_) {
    if (below_root && which == root_incarnation_) continue;
    if (dead_too || book_.is_alive(which)) found.push_back(which);
  }
  if (found.empty()) return std::nullopt;
  return world_->one_of(found);
}

void life::do_something() {
  switch (world_->number(0, 4)) {
    case 0:
      hurt_process();
      break;
    case 1:
      hurt_supervisor();
      break;
    default:
      if (has(fault::operators)) operate();
      break;
  }
}

void life::hurt_process() {
  auto& w = *world_;
  const auto times = has(fault::storm) ? w.number(1, 4) : 1;
  for (std::uint64_t n = 0; n < times; ++n) {
    const auto which = any_process();
    if (!which) return;
    const auto& actor = processes_.at(*which);
    const auto& one = book_.at(*which);
    if (has(fault::crash) && w.chance(0.6)) {
      w.trace(fmt::format("{}/{} is to crash", book_.path_of(one.owner), one.id));
      caf::anon_send(actor, process_order{process_order::what::end, exit_kind::abnormal});
    } else if (has(fault::kill)) {
      w.trace(fmt::format("{}/{} is killed", book_.path_of(one.owner), one.id));
      caf::anon_send_exit(actor, caf::exit_reason::kill);
    }
  }
  if (times > 1) rare_.reached("several processes hurt at one instant");
}

void life::hurt_supervisor() {
  const auto which = any_supervisor(true);
  if (!which) return;
  const auto actor = caf::actor_cast<caf::actor>(supervisors_.at(*which));
  if (has(fault::kill_supervisor) && world_->chance(0.3)) {
    world_->trace(book_.path_of(*which) + " is killed");
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    rare_.reached("a supervisor killed");
  } else if (has(fault::stop_supervisor) && world_->chance(0.3)) {
    world_->trace(book_.path_of(*which) + " is asked to end");
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    rare_.reached("a supervisor asked to end by a stranger");
  }
}

template <class Answer, class Message>
std::shared_ptr<std::optional<Answer>> life::ask(incarnation whom, Message message,
                                                 std::string what) {
  const auto number = requests_.size();
  world_->trace(fmt::format("request {} to {}: {}", number, book_.path_of(whom), what));
  requests_.push_back({fmt::format("{} of {}", what, book_.path_of(whom)), 0});
  auto answer = std::make_shared<std::optional<Answer>>();
  const auto target = caf::actor_cast<supervisor_actor>(supervisors_.at(whom));
  // The target is an argument: without any, CAF 0.17 binds a reference to nothing.
  world_->system().spawn(
      [this, number, answer, message = std::move(message)](caf::event_based_actor* self,
                                                           const supervisor_actor& target) {
        self->request(target, caf::infinite, message)
            .then(
                [this, number, answer](const Answer& reply) {
                  ++requests_[number].answers;
                  *answer = reply;
                  if constexpr (std::is_same_v<Answer, supervisor_reply>) note_reply(number, reply);
                },
                [this, number](const caf::error&) {
                  ++requests_[number].answers;
                  if (!over_) rare_.reached("a request to a supervisor that was gone");
                });
      },
      target);
  return answer;
}

void life::note_reply(std::size_t number, const supervisor_reply& reply) {
  if (over_) return;
  world_->trace(fmt::format("  answer to {}: {} {}", number, to_string(reply.answer), reply.text));
  if (reply.answer != verdict::ok) {
    rare_.reached(fmt::format("an answer {}", to_string(reply.answer)));
  }
}

void life::operate() {
  auto& w = *world_;
  const auto whom = any_supervisor(false);
  if (!whom) return;
  auto ids = book_.ids_of(*whom);
  ids.emplace_back("nobody");
  const auto& id = w.one_of(ids);
  const auto& where = *place_of_.at(*whom);
  const auto deed = w.number(0, 10);
  if (deed <= 5) {
    using what = child_order;
    const auto order = w.one_of<what>(
        {what::start, what::restart, what::terminate, what::terminate, what::erase, what::reset});
    static const std::array<const char*, 5> words = {"start", "restart", "terminate", "erase",
                                                     "reset"};
    touched_[*whom] = true;
    if (order == what::erase) book_.may_forget(*whom);
    ask<supervisor_reply>(*whom, supervisor_order{order, id},
                          fmt::format("{} {}", words.at(static_cast<std::size_t>(order)), id));
  } else if (deed == 6) {
    ask<supervisor_reply>(*whom, supervisor_find{id}, "find " + id);
  } else if (deed == 7) {
    ask<child_count>(*whom, supervisor_count{}, "count");
  } else if (where.policy.strategy == restart_strategy::dynamic && w.chance(0.9)) {
    ask<supervisor_reply>(*whom, supervisor_spawn{std::string{"argument"}}, "spawn");
  } else if (deed == 8 && has(fault::reconfiguration)) {
    reconfigure(*whom);
  } else {
    // One that is there, or was erased; or another of the same kind.
    auto spec = spec_of(w.one_of(where.below), *whom);
    if (w.chance(0.5)) spec.rules.id = fmt::format("extra{}", ++extras_);
    touched_[*whom] = true;
    ask<supervisor_reply>(*whom, supervisor_add{spec}, "add " + spec.rules.id);
  }
}

/// Another order, some children left out, another backoff; the rules stay (see life.hpp).
void life::reconfigure(incarnation whom) {
  auto& w = *world_;
  const auto& where = *place_of_.at(whom);
  auto options = options_of(where, whom);
  supervisor_reconfigure request;
  request.policy = options.policy;
  request.policy.backoff = draw_policy().backoff;
  request.prune = w.chance(0.3);
  for (auto& spec : options.children) {
    spec.rules.after.clear();
    if (!w.chance(0.8)) continue;
    const auto at = w.number(0, request.children.size());
    request.children.insert(request.children.begin() + static_cast<std::ptrdiff_t>(at), spec);
  }
  touched_[whom] = true;
  if (request.prune) book_.may_forget(whom);
  rare_.reached(request.prune ? "a reconfiguration that prunes" : "a reconfiguration");
  ask<supervisor_reply>(whom, request, "reconfigure");
}

// -- states -------------------------------------------------------------------------------------

void life::count_states(incarnation by, const action::report& claim) {
  using state = child_state;
  const auto& policy = place_of_.at(by)->policy;
  const bool is_group = policy.strategy == restart_strategy::one_for_all ||
                        policy.strategy == restart_strategy::rest_for_one;
  const auto& reason = claim.reason;
  if (claim.from == state::starting && claim.to == state::backoff) {
    rare_.reached("a start that failed, and a delay");
  }
  if (claim.to == state::stopping && contains(reason, "was not ready within")) {
    rare_.reached("a start that took too long");
  }
  if (claim.to == state::stopping && contains(reason, "was killed and has not ended")) {
    rare_.reached("a kill without effect");
  }
  if (is_group && claim.to == state::backoff) rare_.reached("a restart of a group");
  if (is_group && contains(reason, "the restart with child")) {
    rare_.reached("a restart of a group that an operator ended");
  }
  if (claim.from == state::backoff && reason == "restarted by an operator") {
    rare_.reached("a delay that an operator cut short");
  }
  if (claim.to == state::starting && reason == "restarted by an operator") {
    rare_.reached("a restart by an operator");
  }
  if (claim.to == state::quarantined) rare_.reached("a quarantine");
  if (claim.from == state::quarantined && contains(reason, "reset by")) rare_.reached("a reset");
  if (claim.to == state::quarantined && giving_up_of(reason) == giving_up::permanent) {
    rare_.reached("a permanent failure");
  }
  if (claim.from == state::starting && contains(reason, "its supervisor stops")) {
    rare_.reached("a stop while a child starts");
  }
  if (contains(reason, "restarted: gave up: ")) rare_.reached("a supervisor back after it gave up");
  if (claim.from == state::ready && claim.to != state::ready && claim.to != state::stopping) {
    if (world_->now() == first_end_ && claim.id != first_ended_) {
      rare_.reached("two ends at one instant");
    }
    first_end_ = world_->now();
    first_ended_ = claim.id;
  }
}

void life::on_finish(incarnation by, const action::finish& claim) {
  if (over_) return;
  world_->trace(fmt::format("  {} finishes: {}", book_.path_of(by), claim.reason));
  const bool is_root = by == root_incarnation_;
  if (claim.why == action::finish::kind::gave_up) {
    rare_.reached(is_root ? "a root that gave up" : "a supervisor that gave up");
  }
  if (claim.why == action::finish::kind::start_failed) rare_.reached("a boot that failed");
  if (claim.why == action::finish::kind::significant) rare_.reached("an auto-shutdown");
  if (!claim.killed.empty()) rare_.reached("a child killed while its supervisor stopped");
  if (!claim.abandoned.empty()) rare_.reached("a child given up while its supervisor stopped");
}

}  // namespace bulkhead::simulation
