// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_supervisor.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>

#include "actors/supervisor.hpp"
#include "broker/convert.hpp"
#include "broker/instance_settings.hpp"
#include "broker/mount_rules.hpp"

namespace bulkhead {
namespace {

constexpr const char* asleep = "it starts with its next call";
constexpr auto asleep_pause = 1 * kj::SECONDS;
constexpr const char* halted = "stopped by an operator";

/// The limits that the mount's rules come to, where they are others than what runs has. What cannot
/// be worked out is told by the next start.
std::optional<resource_limits> new_limits(const broker_services& services, const mount_entry& entry,
                                          const release* of, const confinement& now) {
  std::optional<resource_limits> changed;
  const auto problem = kj::runCatchingExceptions([&] {
    const auto wanted = confinement_of(services, of, &entry);
    if (wanted != nullptr && !(wanted->limits == now.limits)) changed = wanted->limits;
  });
  return problem == nullptr ? changed : std::nullopt;
}

/// The start of an unregistered file, which is confined all the same. The instance that does it may
/// outlive the mount's actor by a moment.
std::function<kj::Promise<process_spec>()> confined_file(const broker_services& services,
                                                         std::shared_ptr<mount_entry> entry,
                                                         process_spec process) {
  return [&services, entry = std::move(entry), process = std::move(process)] {
    auto confined = process;
    confined.confined = confinement_of(services, nullptr, entry.get());
    return kj::Promise<process_spec>(std::move(confined));
  };
}

bool shares_fate(const std::string& name, const std::vector<group_spec>& groups) {
  return std::any_of(groups.begin(), groups.end(), [&name](const group_spec& each) {
    return each.name == name && each.strategy != group_strategy::one_for_one;
  });
}

supervisor_policy policy_of(const mount_spec& spec, bool shares_fate) {
  supervisor_policy policy;
  if (shares_fate) {
    // The first end that calls for a restart is the end of the actor.
    policy.intensity = 0;
    policy.when_spent = give_up::escalate;
    policy.asked = asked_start::may_fail;
    return policy;
  }
  policy.intensity = spec.supervision.intensity;
  policy.period = spec.supervision.period;
  policy.backoff.first = spec.supervision.backoff_first;
  policy.backoff.max = spec.supervision.backoff_max;
  policy.backoff.stable = spec.supervision.backoff_stable;
  policy.when_spent = give_up::quarantine;
  policy.asked = asked_start::may_fail;
  return policy;
}

mount_state state_of(child_state state, bool leaving) {
  switch (state) {
    case child_state::starting:
      return mount_state::starting;
    case child_state::ready:
      return leaving ? mount_state::draining : mount_state::ready;
    case child_state::stopping:
      return leaving ? mount_state::draining : mount_state::starting;
    case child_state::backoff:
      return mount_state::backoff;
    case child_state::quarantined:
      return mount_state::quarantined;
    case child_state::stopped:
      break;
  }
  return mount_state::stopped;
}

}  // namespace

mount_supervisor::mount_supervisor(caf::actor_config& config, bulkhead::reactor& loop,
                                   std::shared_ptr<mount_entry> entry, broker_services& services,
                                   child_ticket ticket)
    : hosted(config, loop),
      services_(services),
      entry_(std::move(entry)),
      shares_fate_(shares_fate(entry_->spec.group, services.config.groups)),
      ticket_(std::move(ticket)),
      core_(policy_of(entry_->spec, shares_fate_), services.random) {
  entry_->become_alone = [this] { return become_alone(); };
}

mount_supervisor::~mount_supervisor() noexcept = default;

/// What happens to the mount outside of this actor is told to it.
void mount_supervisor::attend_to_entry() {
  const auto self = caf::actor_cast<mount_actor>(this->ctrl());
  entry_->slot->on_breaker(
      [weak = caf::actor_cast<caf::actor_addr>(self)](breaker_state now, bool by_hand) {
        if (auto mount = caf::actor_cast<caf::actor>(weak))
          caf::anon_send(mount, mount_breaker{now, by_hand});
      });
  entry_->pass = [this, weak = caf::actor_cast<caf::actor_addr>(self)](const auto& what) {
    if (auto mount = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(mount, mount_passed{live_.generation, what});
  };
}

mount_actor::behavior_type mount_supervisor::make_behavior() {
  set_down_handler([this](caf::down_msg& news) { instance_down(news); });
  set_exit_handler([this](caf::exit_msg& order) {
    const bool nothing_runs = live_.ended && old_.empty();
    if (finishing_ || nothing_runs || order.reason != caf::exit_reason::user_shutdown)
      quit(order.reason);
    else if (entry_->closed)
      leave({services_.limits.drain_ms_max, "the broker stops"});
    else
      leave({std::chrono::milliseconds{0}, "its group restarts"});
  });
  attend_to_entry();
  step(event::start{});
  if (entry_->spec.life.start == start_mode::lazy)
    switch_slot({instance_id, 0, child_state::stopped, child_state::stopped, asleep, {}});
  else
    know_child();
  return {
      [this](const instance_ready& news) { ready(news); },
      [this](const instance_limited& news) { limited(news); },
      [this](const instance_ended& news) { return ended(news); },
      [this](const mount_await_start&) { return await_start(); },
      [this](const mount_restart&) -> caf::result<mount_snapshot> {
        if (leaving_ || state() == child_state::quarantined) return refusal();
        entry_->take_wanted = true;
        abandon_reload("the mount was restarted meanwhile");
        restart("restarted by an operator");
        return await_start();
      },
      [this](const mount_reset&) { return reset(); },
      [this](const mount_hold_breaker& order) { return hold_breaker(order.open); },
      [this](const mount_halt&) { return halt(); },
      [this](const mount_start& order) -> caf::result<mount_snapshot> {
        if (leaving_ || state() == child_state::quarantined) return refusal();
        if (state() == child_state::stopped) entry_->take_wanted = !order.as_before;
        start_up();
        return await_start();
      },
      [this](const mount_changed&) { changed(); },
      [this](const mount_passed& news) { passed(news); },
      [this](const mount_reload& order) { return reload(order); },
      [this](const mount_condemn& order) { return condemn(order.reason); },
      [this](const mount_query& what) -> caf::result<mount_snapshot> {
        return what.limited && limits_under_way_ ? await_limits() : query();
      },
      [this](const mount_signal& order) { return signal(order.number); },
      [this](const mount_stop& order) { return begin_stop(order); },
      [this](const mount_tick& tick) { step(event::timer{tick.timer}); },
      [this](const mount_launch& order) { start_reserved(order.generation); },
      [this](const mount_drained&) {
        step(event::stop{stop_reason_, {}});
      },
      [this](const mount_wake&) {
        if (!halted_ && !leaving_) start_up();
      },
      [this](const mount_check& order) {
        if (order.generation == live_.generation) judge_life_of_live();
      },
      [this](const mount_trial& order) { judge_trial(order); },
      [this](const mount_handover& order) {
        if (order.generation == live_.generation && !live_.ended && !leaving_)
          restart(order.reason);
      },
      [this](const mount_retired& order) { retired(order.generation); },
      [this](const mount_breaker& news) { breaker_changed(news); },
  };
}

// -- the core's actions --------------------------------------------------------------------------

/// Makes the core know its one child, and so start it: at first, and again when a temporary one was
/// forgotten.
void mount_supervisor::know_child() {
  if (core_.status(instance_id, services_.clock.now())) return;
  child_spec child;
  child.id = instance_id;
  child.restart = static_cast<restart_type>(entry_->spec.restart);
  child.first_generation = entry_->generations_used + 1;
  child.shutdown = shutdown_rule::infinity();  // instance_stop carries the limits
  step(event::add{child});
}

/// Ends the instance in good order, if there is one, and starts another.
void mount_supervisor::restart(const std::string& reason) {
  halted_ = stopped_idle_ = false;
  if (core_.status(instance_id, services_.clock.now()))
    step(event::restart_child{instance_id, reason});
  else
    know_child();
}

/// Starts what is stopped, or on its way there; elsewhere it changes nothing.
void mount_supervisor::start_up() {
  if (leaving_) return;
  const auto child = core_.status(instance_id, services_.clock.now());
  if (child && child->state == child_state::stopping && (halted_ || stopped_idle_))
    return restart("started while it stopped");
  if (child && child->state != child_state::stopped) return;
  halted_ = stopped_idle_ = false;
  if (child)
    step(event::start_child{instance_id});
  else
    know_child();
}

child_state mount_supervisor::state() const {
  const auto child = core_.status(instance_id, services_.clock.now());
  return child ? child->state : child_state::stopped;
}

std::vector<action::report> mount_supervisor::step(const supervisor_event& what) {
  const auto result = core_.step(what, services_.clock.now());
  std::vector<action::report> reports;
  for (const auto& each : result.actions) {
    if (const auto* report = std::get_if<action::report>(&each)) reports.push_back(*report);
    perform(each);
  }
  if (!starting_) tell_started();
  // Whoever waits for a start hears when none is under way any more, for whatever reason.
  if (!starting_ && !waiters_.empty()) {
    const auto child = core_.status(instance_id, services_.clock.now());
    const bool well = !child || child->state == child_state::ready ||
                      (child->state == child_state::stopped && (halted_ || falls_asleep()));
    answer_waiters(well ? std::string() : child->reason);
  }
  return reports;
}

/// Whoever depends on this mount need not wait any longer, however its first start ended.
void mount_supervisor::tell_started() {
  const bool nothing_yet = live_.generation == 0 && entry_->spec.life.start == start_mode::eager &&
                           !core_.status(instance_id, services_.clock.now());
  if (core_.phase() == supervisor_phase::running && !nothing_yet)
    report_ready(std::exchange(ticket_, {}));
}

void mount_supervisor::end_with_group(const std::string& reason) {
  if (!leaving_ && !entry_->closed) entry_->slot->hold("its group restarts");
  answer_waiters(reason);
  stop(make_exit(permanent_failure_ ? actor_exit::permanent_failure : actor_exit::failed, reason));
}

void mount_supervisor::perform(const supervisor_action& what) {
  if (const auto* start = std::get_if<action::start_child>(&what)) {
    perform_start(start->generation);
  } else if (const auto* ending = std::get_if<action::stop_child>(&what)) {
    perform_stop(*ending);
  } else if (const auto* timer = std::get_if<action::arm_timer>(&what)) {
    delayed_send(this, std::max(timer->at - services_.clock.now(), std::chrono::nanoseconds{0}),
                 mount_tick{timer->id});
  } else if (const auto* report = std::get_if<action::report>(&what)) {
    enter(*report);
  } else if (const auto* finished = std::get_if<action::finish>(&what)) {
    if (finished->why != action::finish::kind::stopped) return end_with_group(finished->reason);
    finishing_ = true;
    finish();
  }
  // cancel_timer: a late timer changes nothing. forget_child: see know_child().
}

/// Ends the actor as soon as no instance is left.
void mount_supervisor::finish() {
  if (!finishing_ || !old_.empty()) return;
  for (auto& waiter : stop_waiters_) waiter.deliver(snapshot());
  stop_waiters_.clear();
  answer_waiters("the mount is being removed");
  stop(caf::exit_reason::user_shutdown);
}

void mount_supervisor::perform_start(std::uint64_t generation) {
  starting_ = true;
  if (generation > entry_->generations_reserved) {
    reserve_generations(generation, true);
    return;
  }
  if (generation + generation_low_mark > entry_->generations_reserved)
    reserve_generations(generation, false);
  launch_settled(generation);
}

void mount_supervisor::reserve_generations(std::uint64_t generation, bool launch_after) {
  if (reserving_ && !launch_after) return;
  reserving_ = true;
  const auto before = entry_->generations_reserved;
  const auto wanted = std::max(before, generation) + generation_block;
  run(services_
          .change_record(entry_,
                         [wanted](mount_record& record) {
                           record.generations_reserved =
                               std::max(record.generations_reserved, wanted);
                         })
          .then(
              [this, generation, launch_after] {
                reserving_ = false;
                if (launch_after) this->send(this, mount_launch{generation});
              },
              [this, generation, launch_after](kj::Exception&& error) {
                reserving_ = false;
                if (!launch_after) return;  // there is time: the next start tries again
                const auto why =
                    fmt::format("no generation could be reserved: {}", to_error(error).what());
                if (reload_ && reload_->green.generation == generation)
                  abandon_reload(why);
                else
                  step(event::start_failed{instance_id, generation, why, false});
              }));
}

/// The generation has been reserved, the storage settled. The store took its time: whoever wanted
/// it may have changed its mind.
void mount_supervisor::start_reserved(std::uint64_t generation) {
  if (reload_ && reload_->green.generation == generation) {
    reload_->green = start_instance(generation, true);
    return;
  }
  if (live_.generation == generation) return;
  const auto child = core_.status(instance_id, services_.clock.now());
  if (child && child->state == child_state::starting && child->generation == generation)
    launch_settled(generation);
  else
    step(event::exited{instance_id, generation, exit_kind::shutdown, "stopped before it started"});
}

mount_supervisor::run_of mount_supervisor::start_instance(std::uint64_t generation, bool beside) {
  const auto& life = entry_->spec.life;
  auto settings = instance_settings(services_.limits, generation);
  const auto choice =
      choose_release(services_, *entry_, beside ? reload_->anew : entry_->take_wanted);
  settings.process.executable = services_.config.plugin_directory + "/" + entry_->spec.plugin;
  settings.prepare = choice.prepare;
  if (choice.of == nullptr && !settings.prepare)
    settings.prepare = confined_file(services_, entry_, settings.process);
  settings.limits.start_max = time_within(life.start_max, times_of(choice.of.get()).start_max,
                                          services_.limits.start_ms_max);
  settings.limits.ping_every = life.ping_every;
  settings.limits.ping_wait = life.ping_wait;

  entry_->generations_used = std::max(entry_->generations_used, generation);
  run_of started;
  started.generation = generation;
  started.ended = false;
  started.of = choice.of;
  if (choice.of != nullptr) entry_->runs[generation].of = choice.of;
  started.offer = std::make_shared<mount_bring_up>(services_, entry_, generation, beside);
  started.offer->of = choice.of;
  started.actor = spawn<bulkhead::instance, caf::monitored>(
      loop(), std::move(settings), services_.spawner, caf::actor_cast<instance_parent>(this),
      entry_->log->sink(generation), started.offer);
  return started;
}

void mount_supervisor::perform_stop(const action::stop_child& what) {
  stop_instance(live_, what.kill);
}

void mount_supervisor::stop_instance(const run_of& which, bool at_once) {
  if (which.ended) return;
  instance_stop order;
  order.grace = at_once ? std::chrono::milliseconds{0} : services_.limits.stop_grace_ms;
  order.term_wait = at_once ? std::chrono::milliseconds{0} : services_.limits.stop_term_ms;
  if (forget_) order.unmount_uuid = entry_->uuid;
  this->send(which.actor, order);
}

void mount_supervisor::enter(const action::report& what) {
  const auto& path = entry_->spec.path;
  services_.events.record(path, what.generation, std::string(to_string(what.to)), what.reason);
  starting_ = what.to == child_state::starting || what.to == child_state::stopping;
  if (what.to == child_state::starting) stopped_idle_ = false;
  if (!leaving_ && !entry_->closed) switch_slot(what);
}

/// A stopped mount that its next call starts.
bool mount_supervisor::falls_asleep() const {
  return !halted_ && (stopped_idle_ || entry_->spec.life.start == start_mode::lazy);
}

void mount_supervisor::switch_slot(const action::report& what) {
  const auto& path = entry_->spec.path;
  auto& slot = *entry_->slot;
  entry_->wake = nullptr;
  shown_ = what;
  switch (what.to) {
    case child_state::ready:
      return;  // ready() has switched it
    case child_state::starting:
    case child_state::stopping:
      slot.hold("it is starting");
      return;
    case child_state::backoff:
      slot.hold(fmt::format("it restarts in {}: {}", duration_text(what.delay), what.reason));
      return;
    case child_state::quarantined:
      slot.refuse(exception(error_kind::quarantined, fmt::format("mount '{}' is quarantined", path),
                            what.reason,
                            fmt::format("bulkhead why {}   |   bulkhead reset {}", path, path)));
      break;
    case child_state::stopped:
      if (falls_asleep() && !start_failed_) return doze();
      slot.refuse(exception(error_kind::plugin_unavailable,
                            fmt::format("mount '{}' is stopped", path), what.reason,
                            fmt::format("bulkhead start {}", path)));
      if (falls_asleep())
        look_again(asleep_pause);  // no hot loop of starts that fail, one for each call
      break;
  }
  for (auto& waiter : entry_->waiting_for_face)
    waiter->reject(exception(error_kind::plugin_unavailable,
                             fmt::format("mount '{}' is {}", path, to_string(what.to)),
                             what.reason));
  entry_->waiting_for_face.clear();
}

/// The next call starts the mount; so does one that waits already.
void mount_supervisor::doze() {
  start_failed_ = false;
  auto wake = [weak = caf::actor_cast<caf::actor_addr>(this->ctrl())] {
    if (auto mount = caf::actor_cast<caf::actor>(weak)) caf::anon_send(mount, mount_wake{});
  };
  entry_->wake = wake;
  entry_->slot->doze(asleep, wake);
  std::erase_if(entry_->waiting_for_face, [](auto& each) { return !each->isWaiting(); });
  if (!entry_->waiting_for_face.empty()) wake();
}

/// Of everything that runs: also what is on its way in, or finishes its calls.
void mount_supervisor::use_addresses() {
  if (!live_.ended) live_.offer->use_addresses();
  if (reload_ && !reload_->green.ended) reload_->green.offer->use_addresses();
  for (const auto& each : old_)
    if (!each.ended) each.offer->use_addresses();
}

/// What the instance was started with stays with it; all else counts at once.
void mount_supervisor::changed() {
  use_addresses();
  event::reconfigure rules{policy_of(entry_->spec, shares_fate_), {}};
  if (auto child = core_.spec(instance_id)) {
    child->restart = static_cast<restart_type>(entry_->spec.restart);
    rules.children.push_back(std::move(*child));
  }
  step(rules);
  pace_ = {};
  live_.above = false;
  if (leaving_ || entry_->closed) return;
  const auto& life = entry_->spec.life;
  const bool dozes = entry_->wake != nullptr;
  if (dozes && !stopped_idle_ && life.start == start_mode::eager) return start_up();
  const auto now = state();
  if (now == child_state::stopped || now == child_state::quarantined)
    switch_slot(action::report(shown_));  // its words name the path
  if (live_.ended) return;
  instance_rules rules_now{life.ping_every, life.ping_wait, {}};
  if (live_.offer->confined != nullptr)
    rules_now.limits = new_limits(services_, *entry_, live_.of.get(), *live_.offer->confined);
  live_.offer->limits_asked = rules_now.limits;
  limits_under_way_ = rules_now.limits.has_value();
  this->send(live_.actor, rules_now);
  if (live_.pid != 0) look_after_life();
}

// -- requests ------------------------------------------------------------------------------------

caf::result<mount_snapshot> mount_supervisor::await_start() {
  if (!starting_) return snapshot();
  auto asker = make_response_promise<mount_snapshot>();
  waiters_.emplace_back([asker](const mount_snapshot& now) mutable { asker.deliver(now); });
  return asker;
}

caf::result<mount_snapshot> mount_supervisor::await_limits() {
  limit_waiters_.push_back(make_response_promise<mount_snapshot>());
  return limit_waiters_.back();
}

/// Also when what was to have them has ended.
void mount_supervisor::answer_limit_waiters() {
  limits_under_way_ = false;
  for (auto& waiter : std::exchange(limit_waiters_, {})) waiter.deliver(snapshot());
}

void mount_supervisor::answer_waiters(const std::string& failure) {
  for (auto& waiter : std::exchange(waiters_, {})) waiter(snapshot(failure));
}

caf::result<mount_snapshot> mount_supervisor::reset() {
  if (state() == child_state::quarantined) entry_->take_wanted = true;
  if (!leaving_) step(event::reset_child{instance_id});
  return await_start();
}

mount_snapshot mount_supervisor::hold_breaker(bool open) {
  if (!entry_->closed) entry_->slot->hold_breaker(open);
  return snapshot();
}

void mount_supervisor::breaker_changed(const mount_breaker& news) {
  static constexpr std::array names = {"breaker_closed", "breaker_open", "breaker_half_open"};
  const char* reason = news.state == breaker_state::open ? "calls were not answered in time" : "";
  services_.events.record(entry_->spec.path, live_.generation,
                          names.at(static_cast<std::size_t>(news.state)),
                          news.by_hand ? "by an operator" : reason);
}

caf::result<mount_snapshot> mount_supervisor::halt() {
  if (leaving_) return snapshot();
  abandon_reload("the mount was stopped meanwhile");
  halted_ = true;
  if (state() != child_state::stopped)
    step(event::terminate_child{instance_id});
  else if (!entry_->closed)  // it may have been asleep: no call wakes it any more
    switch_slot({instance_id, 0, child_state::stopped, child_state::stopped, halted, {}});
  return await_start();
}

caf::result<mount_snapshot> mount_supervisor::begin_stop(const mount_stop& order) {
  auto waiter = make_response_promise<mount_snapshot>();
  stop_waiters_.push_back(waiter);
  leave(order);
  return waiter;
}

void mount_supervisor::leave(const mount_stop& order) {
  if (leaving_) return;
  abandon_reload(order.reason);
  leaving_ = true;
  stop_reason_ = order.reason;
  forget_ = order.forget;
  if (!entry_->closed) entry_->slot->hold(order.reason);
  services_.events.record(entry_->spec.path, live_.generation, "draining", order.reason);
  run(entry_->slot->drained(order.drain_max.count() * kj::MILLISECONDS).then([this] {
    for (auto& each : old_) stop_instance(each, false);
    this->send(this, mount_drained{});
  }));
}

caf::result<mount_signalled> mount_supervisor::signal(int number) {
  if (live_.pid == 0) return mount_signalled{};
  auto answer = make_response_promise<mount_signalled>();
  const mount_signalled sent{live_.pid, live_.generation};
  request(live_.actor, caf::infinite, instance_signal{number})
      .then(
          [answer, sent](bool alive) mutable { answer.deliver(alive ? sent : mount_signalled{}); },
          [answer](const caf::error&) mutable { answer.deliver(mount_signalled{}); });
  return answer;
}

caf::result<mount_snapshot> mount_supervisor::query() {
  if (live_.ended || live_.pid == 0) return snapshot();
  auto answer = make_response_promise<mount_snapshot>();
  request(live_.actor, caf::infinite, instance_sample{})
      .then(
          [this, answer](const instance_stats& stats) mutable {
            auto now = snapshot();
            now.instance = stats;
            answer.deliver(std::move(now));
          },
          [this, answer](const caf::error&) mutable { answer.deliver(snapshot()); });
  return answer;
}

mount_snapshot mount_supervisor::refusal() {
  auto now = snapshot();
  now.refused = now.status.state == mount_state::quarantined;
  return now;
}

mount_snapshot mount_supervisor::snapshot(const std::string& start_failure) {
  mount_snapshot result;
  const auto now = services_.clock.now();
  auto child = core_.status(instance_id, now).value_or(child_status{});
  if (child.state == child_state::stopped && falls_asleep())
    child.reason = child.reason.empty() ? asleep : fmt::format("{}; {}", child.reason, asleep);
  if (child.state == child_state::stopped && halted_) child.reason = halted;
  auto& status = result.status;
  status.path = entry_->spec.path;
  status.uuid = entry_->uuid;
  status.plugin = entry_->spec.plugin;
  if (entry_->face != nullptr) status.plugin_version = entry_->face->version;
  status.state = state_of(child.state, leaving_);
  status.reason = child.reason;
  status.generation = child.generation;
  status.pid = live_.pid;
  show_release(services_, *entry_, live_.pid != 0, live_.of, status);
  status.restarts = child.restarts;
  const auto counters = entry_->slot->counters();
  status.calls_in_flight = counters.in_flight;
  status.calls_waiting = counters.waiting;
  status.calls_total = counters.total;
  status.calls_failed = counters.failed;
  if (live_.pid != 0)
    result.uptime_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now - live_.ready_since).count());
  // The window also holds the one restart too many, which was not made.
  result.restarts_in_window =
      std::min<std::size_t>(child.restarts_in_window, entry_->spec.supervision.intensity);
  result.backoff_left = child.backoff_left;
  result.oldest_call = std::chrono::nanoseconds(entry_->slot->oldest_call() / kj::NANOSECONDS);
  result.breaker = entry_->slot->breaker_now();
  result.breaker_left = entry_->slot->breaker_left();
  result.breaker_held = entry_->slot->breaker_held();
  if (reload_)
    result.reload = fmt::format("generation {} {}", reload_->green.generation,
                                reload_->on_trial ? "is on trial" : "is starting");
  if (!live_.ended && live_.offer->options != entry_->spec.options)
    result.options_running = live_.offer->options;
  if (live_.offer != nullptr) result.report = live_.offer->report;
  if (!live_.ended) {
    result.confined = live_.offer->confined;
    result.addresses = live_.offer->addresses();
  }
  if (!entry_->crashes.empty()) result.last_crash = entry_->crashes.back();
  result.start_failure = start_failure;
  if (!start_failure.empty()) result.start_remedy = end_remedy_;
  result.asleep = status.state == mount_state::stopped && falls_asleep();
  return result;
}

void mount_supervisor::on_task_failed(kj::Exception&& error) {
  KJ_LOG(ERROR, "a task of a mount failed", error.getDescription());
}

void mount_supervisor::on_loop_exit() {
  // Should this actor fail, its instances must not live on unsupervised, nor an asker wait for it.
  abandon_reload("the mount's actor has ended");
  old_.push_back(std::move(live_));
  for (const auto& each : old_) {
    entry_->runs.erase(each.generation);
    if (!each.ended) anon_send_exit(each.actor, caf::exit_reason::user_shutdown);
  }
  answer_waiters("the mount's actor has ended");
  for (auto& waiter : stop_waiters_) waiter.deliver(snapshot());
  stop_waiters_.clear();
  alone_waiters_.clear();
  old_.clear();
  live_ = {};
  look_ = nullptr;
  // The last reference to this actor may go on another thread: nothing of the reactor's is left
  // then.
  entry_->wake = nullptr;
  entry_->become_alone = nullptr;
  entry_->pass = nullptr;
  entry_->serving = {};
  entry_->slot->on_breaker(nullptr);
  entry_ = nullptr;
}

}  // namespace bulkhead
