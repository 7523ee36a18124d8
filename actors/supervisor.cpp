// SPDX-License-Identifier: Apache-2.0
#include "actors/supervisor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace bulkhead {
namespace {

using exit_category = caf::atom_constant<caf::atom("bulkhead")>;

// An error that says "no error" has no category to ask for.

bool is(const caf::error& reason, actor_exit code) {
  return reason && reason.category() == exit_category::value &&
         reason.code() == static_cast<std::uint8_t>(code);
}

bool is(const caf::error& reason, caf::exit_reason code) {
  return reason && reason.category() == caf::atom("exit") &&
         reason.code() == static_cast<std::uint8_t>(code);
}

caf::actor handle_of(const caf::strong_actor_ptr& actor) {
  return caf::actor_cast<caf::actor>(actor);
}

supervisor_event event_of(const supervisor_order& order) {
  switch (order.what) {
    case child_order::restart:
      return event::restart_child{order.id};
    case child_order::terminate:
      return event::terminate_child{order.id};
    case child_order::erase:
      return event::erase_child{order.id};
    case child_order::reset:
      return event::reset_child{order.id};
    case child_order::start:
      break;
  }
  return event::start_child{order.id};
}

std::vector<child_spec> rules_of(const std::vector<actor_child_spec>& children) {
  std::vector<child_spec> rules;
  rules.reserve(children.size());
  for (const auto& child : children) rules.push_back(child.rules);
  return rules;
}

std::string check_factory(const actor_child_spec& child) {
  return child.make ? std::string{} : fmt::format("child {} has no factory", child.rules.id);
}

std::string check_children(const supervisor_policy& policy,
                           const std::vector<actor_child_spec>& children) {
  if (auto wrong = check_all(policy, rules_of(children)); !wrong.empty()) return wrong;
  for (const auto& child : children) {
    if (auto wrong = check_factory(child); !wrong.empty()) return wrong;
  }
  return {};
}

supervisor_reply invalid(const std::string& id, std::string text) {
  supervisor_reply refused;
  refused.answer = verdict::invalid;
  refused.text = std::move(text);
  refused.child.id = id;
  return refused;
}

}  // namespace

caf::error make_exit(actor_exit why, std::string text) {
  return {static_cast<std::uint8_t>(why), exit_category::value, caf::make_message(std::move(text))};
}

void report_ready(const child_ticket& ticket) {
  if (ticket.supervisor == nullptr) return;
  caf::anon_send(caf::actor_cast<supervisor_actor>(ticket.supervisor),
                 child_ready{ticket.id, ticket.generation});
}

exit_kind exit_kind_of(const caf::error& reason) {
  if (!reason) return exit_kind::normal;
  if (is(reason, caf::exit_reason::user_shutdown)) return exit_kind::shutdown;
  if (is(reason, actor_exit::gave_up) || is(reason, actor_exit::significant_ended)) {
    return exit_kind::shutdown;
  }
  if (is(reason, caf::exit_reason::kill)) return exit_kind::killed;
  return exit_kind::abnormal;
}

std::string exit_text_of(const caf::actor_system& system, const caf::error& reason) {
  switch (exit_kind_of(reason)) {
    case exit_kind::normal:
      return "ended normally";
    case exit_kind::killed:
      return "was killed";
    case exit_kind::shutdown:
      if (is(reason, caf::exit_reason::user_shutdown)) return "ended as asked";
      break;
    case exit_kind::abnormal:
      break;
  }
  if (reason.category() == exit_category::value && reason.context().match_elements<std::string>()) {
    return reason.context().get_as<std::string>(0);
  }
  return fmt::format("failed: {}", system.render(reason));
}

std::string check(const supervisor_options& options) {
  return check_children(options.policy, options.children);
}

supervisor::supervisor(caf::actor_config& config, supervisor_options options)
    : supervisor_actor::base(config),
      options_{std::move(options)},
      random_{options_.random ? options_.random : std::make_shared<fixed_random>(0.0)},
      core_{options_.policy, *random_} {}

supervisor::~supervisor() noexcept = default;

supervisor_actor::behavior_type supervisor::make_behavior() {
  set_default_handler(caf::drop);
  set_down_handler([this](caf::down_msg& news) { child_down(news); });
  set_exit_handler([this](caf::exit_msg& order) {
    if (core_.phase() != supervisor_phase::stopping) stop_reason_ = order.reason;
    std::optional<instant> deadline;
    if (options_.stop_max.count() > 0) deadline = now() + options_.stop_max;
    take(event::stop{"it was asked to", deadline});
  });
  send(supervisor_actor{this}, supervisor_tick{0});
  return {
      [this](const supervisor_add& request) { return add(request); },
      [this](const supervisor_spawn& request) { return spawn_dynamic(request); },
      [this](const supervisor_order& request) { return order(request); },
      [this](const supervisor_find& request) { return find(request.id); },
      [this](const supervisor_query&) { return snapshot(); },
      [this](const supervisor_count&) { return core_.count(); },
      [this](const supervisor_reconfigure& request) { return reconfigure(request); },
      [this](const child_ready& news) {
        take(event::started{news.id, news.generation});
      },
      [this](const supervisor_tick& tick) {
        if (tick.timer == 0) {
          boot();
        } else {
          take(event::timer{tick.timer});
        }
      },
  };
}

void supervisor::on_exit() {
  for (auto& [id, child] : members_) {
    if (child.actor != nullptr) send_exit(handle_of(child.actor), caf::exit_reason::kill);
    child.actor = nullptr;
    supervisor_reply gone;
    gone.answer = verdict::stopping;
    gone.child.id = id;
    for (auto& promise : child.waiting) promise.deliver(gone);
    child.waiting.clear();
  }
  instances_.clear();
}

// -- requests -----------------------------------------------------------------------------------

void supervisor::boot() {
  if (core_.phase() != supervisor_phase::idle) return;
  auto wrong = check(options_);
  const auto children = std::exchange(options_.children, {});
  for (const auto& child : children) {
    if (!wrong.empty()) break;
    if (options_.policy.strategy == restart_strategy::dynamic) {
      template_ = child;
      take(event::add{child.rules});
      continue;
    }
    const auto [place, fresh] = members_.try_emplace(child.rules.id);
    if (!fresh) continue;  // somebody was faster with a child of that id
    adopt_rules(place->second, child);
    take(event::add{child.rules});
  }
  if (wrong.empty()) wrong = take(event::start{}).text;
  if (!wrong.empty()) quit(make_exit(actor_exit::permanent_failure, std::move(wrong)));
}

supervisor::answer supervisor::add(const supervisor_add& request) {
  const auto& id = request.child.rules.id;
  if (auto wrong = check_factory(request.child); !wrong.empty()) return invalid(id, wrong);
  const auto result = decide(event::add{request.child.rules});
  if (result.answer != verdict::ok) return refusal(result, id);
  adopt_rules(members_[id], request.child);
  carry_out(result);
  return answer_when_settled(id);
}

supervisor::answer supervisor::spawn_dynamic(const supervisor_spawn& request) {
  const auto result = decide(event::add_dynamic{});
  if (result.answer != verdict::ok) return refusal(result, {});
  auto& child = members_[result.id];
  child.kind = template_->kind;
  child.arguments = request.arguments;
  carry_out(result);
  return answer_when_settled(result.id);
}

supervisor::answer supervisor::order(const supervisor_order& request) {
  const auto result = take(event_of(request));
  if (result.answer != verdict::ok) return refusal(result, request.id);
  return answer_when_settled(request.id);
}

supervisor_reply supervisor::reconfigure(const supervisor_reconfigure& request) {
  if (auto wrong = check_children(request.policy, request.children); !wrong.empty()) {
    return invalid({}, wrong);
  }
  const auto result =
      decide(event::reconfigure{request.policy, rules_of(request.children), request.prune});
  if (result.answer != verdict::ok) return refusal(result, {});
  for (const auto& child : request.children) {
    if (template_) {
      template_ = child;
    } else {
      adopt_rules(members_[child.rules.id], child);
    }
  }
  carry_out(result);
  return reply_for({});
}

void supervisor::adopt_rules(member& place, const actor_child_spec& spec) const {
  place.kind = spec.kind;
  place.ready_when_made = spec.ready_when_made;
  // A temporary child that runs is not started again.
  const bool is_over = spec.rules.restart == restart_type::temporary && place.actor != nullptr;
  if (!is_over) place.make = spec.make;
}

supervisor::answer supervisor::answer_when_settled(const std::string& id) {
  const auto found = members_.find(id);
  if (core_.has_settled(id) || found == members_.end()) return reply_for(id);
  auto promise = make_response_promise<supervisor_reply>();
  found->second.waiting.push_back(promise);
  return promise;
}

supervisor_reply supervisor::find(const std::string& id) {
  sweep();
  auto reply = reply_for(id);
  if (!reply.known) reply.answer = verdict::not_found;
  return reply;
}

supervisor_reply supervisor::reply_for(const std::string& id) const {
  supervisor_reply reply;
  reply.child.id = id;
  const auto found = members_.find(id);
  if (found != members_.end()) {
    reply.actor = found->second.actor;
    reply.child = found->second.last;
    reply.info = found->second.info;
  }
  if (const auto status = core_.status(id, now())) reply.child = *status;
  const auto rules = core_.spec(id);
  reply.known = rules.has_value();
  if (rules) reply.rules = *rules;
  return reply;
}

supervisor_reply supervisor::refusal(const step_result& result, const std::string& id) const {
  auto reply = reply_for(id);
  reply.answer = result.answer;
  reply.text = result.text;
  return reply;
}

supervisor_snapshot supervisor::snapshot() const {
  supervisor_snapshot snapshot;
  snapshot.name = options_.name;
  snapshot.status = core_.status(now());
  for (auto& status : snapshot.status.children) {
    supervised_actor child;
    const auto found = members_.find(status.id);
    if (found != members_.end()) {
      child.kind = found->second.kind;
      child.actor = found->second.actor;
    }
    child.status = std::move(status);
    snapshot.children.push_back(std::move(child));
  }
  snapshot.status.children.clear();
  snapshot.count = core_.count();
  return snapshot;
}

// -- the core's actions -------------------------------------------------------------------------

step_result supervisor::decide(const supervisor_event& what) {
  sweep();
  return core_.step(what, now());
}

/// Does what was decided, and takes the events that this brings about.
void supervisor::carry_out(const step_result& result) {
  for (const auto& each : result.actions) perform(each);
  if (std::exchange(performing_, true)) return;
  while (!pending_.empty()) {
    const auto next = std::move(pending_.front());
    pending_.pop_front();
    const auto decided = core_.step(next, now());
    for (const auto& each : decided.actions) perform(each);
  }
  for (const auto& id : std::exchange(changed_, {})) answer_waiting(id);
  performing_ = false;
}

step_result supervisor::take(const supervisor_event& what) {
  auto result = decide(what);
  carry_out(result);
  return result;
}

void supervisor::perform(const supervisor_action& what) {
  if (const auto* start = std::get_if<action::start_child>(&what)) {
    perform_start(*start);
  } else if (const auto* stop = std::get_if<action::stop_child>(&what)) {
    perform_stop(*stop);
  } else if (const auto* timer = std::get_if<action::arm_timer>(&what)) {
    const auto delay = std::max(timer->at - now(), std::chrono::nanoseconds{0});
    delayed_send(supervisor_actor{this}, delay, supervisor_tick{timer->id});
  } else if (const auto* report = std::get_if<action::report>(&what)) {
    note(*report);
  } else if (const auto* forgotten = std::get_if<action::forget_child>(&what)) {
    changed_.push_back(forgotten->id);
    forgotten_.push_back(forgotten->id);
  } else if (const auto* problem = std::get_if<action::problem>(&what)) {
    if (options_.problem_observer) options_.problem_observer(options_.name, *problem);
  } else if (std::holds_alternative<action::booted>(what)) {
    report_ready(options_.ticket);
  } else if (const auto* finish = std::get_if<action::finish>(&what)) {
    perform_finish(*finish);
  }
  // cancel_timer: a late timer changes nothing.
}

void supervisor::note(const action::report& report) {
  auto& last = members_.at(report.id).last;
  if (auto status = core_.status(report.id, now())) last = std::move(*status);
  // The core may have forgotten it by now.
  last.id = report.id;
  last.state = report.to;
  last.reason = report.reason;
  last.generation = report.generation;
  changed_.push_back(report.id);
  if (options_.observer) options_.observer(report);
}

/// Members that were forgotten stay until the next message, for the answer to the one that made
/// them go.
void supervisor::sweep() {
  for (const auto& id : std::exchange(forgotten_, {})) {
    if (!core_.status(id, now())) members_.erase(id);
  }
}

void supervisor::perform_start(const action::start_child& start) {
  auto& child = members_.at(start.id);
  auto made = make(start, child);
  const auto rules = core_.spec(start.id);
  if (rules && rules->restart == restart_type::temporary) {
    child.make = nullptr;
    child.arguments.reset();
  }
  child.info = std::move(made.info);
  if (made.actor == nullptr && made.ignored) {
    pending_.emplace_back(event::start_ignored{start.id, start.generation});
    return;
  }
  if (made.actor == nullptr) {
    if (made.failure.empty()) made.failure = "its factory made nothing";
    pending_.emplace_back(
        event::start_failed{start.id, start.generation, std::move(made.failure), made.permanent});
    return;
  }
  child.actor = made.actor;
  child.generation = start.generation;
  instances_[made.actor->id()] = {start.id, start.generation};
  monitor(handle_of(made.actor));
  const bool is_ready = template_ ? template_->ready_when_made : child.ready_when_made;
  if (is_ready) pending_.emplace_back(event::started{start.id, start.generation});
}

child_made supervisor::make(const action::start_child& start, const member& child) {
  const auto& factory = template_ ? template_->make : child.make;
  try {
    return factory({caf::strong_actor_ptr{ctrl()}, start.id, start.generation, child.arguments});
  } catch (const std::exception& problem) {
    return {nullptr, problem.what(), false};
  }
}

void supervisor::perform_stop(const action::stop_child& stop) {
  const auto found = members_.find(stop.id);
  if (found == members_.end() || found->second.actor == nullptr ||
      found->second.generation != stop.generation) {
    return;  // its end is on its way
  }
  send_exit(handle_of(found->second.actor),
            stop.kill ? caf::exit_reason::kill : caf::exit_reason::user_shutdown);
}

void supervisor::perform_finish(const action::finish& finish) {
  if (options_.finish_observer) options_.finish_observer(finish);
  switch (finish.why) {
    case action::finish::kind::stopped:
      quit(stop_reason_);
      return;
    case action::finish::kind::gave_up:
      quit(make_exit(actor_exit::gave_up, fmt::format("gave up: {}", finish.reason)));
      return;
    case action::finish::kind::significant:
      quit(make_exit(actor_exit::significant_ended, finish.reason));
      return;
    case action::finish::kind::start_failed:
      quit(make_exit(actor_exit::start_failed, finish.reason));
      return;
  }
}

void supervisor::child_down(const caf::down_msg& news) {
  const auto found = instances_.find(news.source.id());
  if (found == instances_.end()) return;
  const auto instance = std::move(found->second);
  instances_.erase(found);
  auto& child = members_.at(instance.id);
  if (child.generation == instance.generation) child.actor = nullptr;
  auto text = exit_text_of(system(), news.reason);
  if (is(news.reason, actor_exit::permanent_failure)) {
    take(event::start_failed{instance.id, instance.generation, std::move(text), true});
  } else {
    take(event::exited{instance.id, instance.generation, exit_kind_of(news.reason),
                       std::move(text)});
  }
}

void supervisor::answer_waiting(const std::string& id) {
  const auto found = members_.find(id);
  if (found == members_.end()) return;
  if (found->second.waiting.empty() || !core_.has_settled(id)) return;
  const auto reply = reply_for(id);
  for (auto& promise : std::exchange(found->second.waiting, {})) promise.deliver(reply);
}

instant supervisor::now() const {
  return clock().now();
}

}  // namespace bulkhead
