// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_supervisor.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>

#include "actors/supervisor.hpp"
#include "broker/convert.hpp"

namespace bulkhead {
namespace {

constexpr const char* instance_id = "instance";

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

exit_kind exit_kind_of(const instance_end& end) {
  switch (end.cause) {
    case end_cause::stopped:
      return exit_kind::shutdown;
    case end_cause::stop_killed:
      return exit_kind::killed;
    case end_cause::process:
      if (end.status.success()) return exit_kind::normal;
      if (end.status == exit_status::signaled(SIGKILL, false)) return exit_kind::killed;
      return exit_kind::abnormal;
    default:
      return exit_kind::abnormal;
  }
}

bool ended_by_itself(const instance_end& end) {
  return end.cause != end_cause::stopped && end.cause != end_cause::stop_killed;
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
      core_(policy_of(entry_->spec, shares_fate_), services.random) {}

mount_supervisor::~mount_supervisor() noexcept = default;

mount_actor::behavior_type mount_supervisor::make_behavior() {
  set_down_handler([this](caf::down_msg& news) { instance_down(news); });
  set_exit_handler([this](caf::exit_msg& order) {
    if (order.reason != caf::exit_reason::user_shutdown || instance_reported_end_)
      quit(order.reason);
    else if (entry_->closed)
      leave({services_.limits.drain_ms_max, "the broker stops"});
    else
      leave({std::chrono::milliseconds{0}, "its group restarts"});
  });
  know_child();
  step(event::start{});
  return {
      [this](const instance_ready& news) { ready(news); },
      [this](const instance_ended& news) { return ended(news); },
      [this](const mount_await_start&) { return await_start(); },
      [this](const mount_restart&) {
        know_child();
        step(event::restart_child{instance_id});
        return await_start();
      },
      [this](const mount_reset&) {
        step(event::reset_child{instance_id});
        return await_start();
      },
      [this](const mount_query&) { return query(); },
      [this](const mount_signal& order) -> caf::result<mount_signalled> {
        if (pid_ == 0) return mount_signalled{};
        auto answer = make_response_promise<mount_signalled>();
        const mount_signalled sent{pid_, instance_generation_};
        request(instance_, caf::infinite, instance_signal{order.number})
            .then([answer,
                   sent](bool alive) mutable { answer.deliver(alive ? sent : mount_signalled{}); },
                  [answer](const caf::error&) mutable { answer.deliver(mount_signalled{}); });
        return answer;
      },
      [this](const mount_stop& order) { return begin_stop(order); },
      [this](const mount_tick& tick) { step(event::timer{tick.timer}); },
      [this](const mount_launch& order) {
        // The store took its time: the core may have been told to stop meanwhile.
        const auto child = core_.status(instance_id, services_.clock.now());
        if (child && child->state == child_state::starting && child->generation == order.generation)
          start_instance(order.generation);
        else
          step(event::exited{instance_id, order.generation, exit_kind::shutdown,
                             "stopped before it started"});
      },
      [this](const mount_drained&) {
        step(event::stop{stop_reason_, {}});
      },
  };
}

// -- the core's actions --------------------------------------------------------------------------

/// Makes the core know its one child: at the start, and again when a temporary one was forgotten.
void mount_supervisor::know_child() {
  if (core_.status(instance_id, services_.clock.now())) return;
  child_spec child;
  child.id = instance_id;
  child.restart = static_cast<restart_type>(entry_->spec.restart);
  child.first_generation = entry_->generations_used + 1;
  child.shutdown = shutdown_rule::infinity();  // instance_stop carries the limits
  step(event::add{child});
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
    const bool up = child && child->state == child_state::ready;
    answer_waiters(up || !child ? std::string() : child->reason);
  }
  return reports;
}

/// Whoever depends on this mount need not wait any longer, however its first start ended.
void mount_supervisor::tell_started() {
  if (core_.phase() == supervisor_phase::running) report_ready(std::exchange(ticket_, {}));
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
  } else if (const auto* finish = std::get_if<action::finish>(&what)) {
    if (finish->why != action::finish::kind::stopped) return end_with_group(finish->reason);
    for (auto& waiter : stop_waiters_) waiter.deliver(snapshot());
    stop_waiters_.clear();
    answer_waiters("the mount is being removed");
    stop(caf::exit_reason::user_shutdown);
  }
  // cancel_timer: a late timer changes nothing. forget_child: see know_child().
}

void mount_supervisor::perform_start(std::uint64_t generation) {
  starting_ = true;
  if (generation > entry_->generations_reserved) {
    reserve_generations(generation, true);
    return;
  }
  if (generation + generation_low_mark > entry_->generations_reserved)
    reserve_generations(generation, false);
  start_instance(generation);
}

void mount_supervisor::reserve_generations(std::uint64_t generation, bool launch_after) {
  if (reserving_ && !launch_after) return;
  reserving_ = true;
  const auto before = entry_->generations_reserved;
  const auto wanted = std::max(before, generation) + generation_block;
  run(services_.save_entry(*entry_, wanted)
          .then(
              [this, generation, launch_after, wanted] {
                reserving_ = false;
                entry_->generations_reserved = wanted;
                if (launch_after) this->send(this, mount_launch{generation});
              },
              [this, generation, launch_after](kj::Exception&& error) {
                reserving_ = false;
                if (!launch_after) return;  // there is time: the next start tries again
                step(event::start_failed{
                    instance_id, generation,
                    fmt::format("no generation could be reserved: {}", to_error(error).what()),
                    false});
              }));
}

void mount_supervisor::start_instance(std::uint64_t generation) {
  instance_config settings;
  settings.process.executable = services_.config.plugin_directory + "/" + entry_->spec.plugin;
  settings.generation = generation;
  settings.broker_version = BULKHEAD_VERSION;
  settings.calls_in_flight_max = services_.limits.calls_in_flight_max;
  settings.log_line_bytes_max = services_.limits.log_line_bytes_max;
  settings.limits.start_max = services_.limits.start_ms_max;
  settings.limits.log_bytes_per_s_max = services_.limits.log_bytes_per_s_max;
  settings.error_text_bytes_max = wire::error_text_bytes_max;

  entry_->generations_used = std::max(entry_->generations_used, generation);
  instance_generation_ = generation;
  instance_reported_end_ = false;
  offer_ = std::make_shared<mount_bring_up>(services_, entry_, generation);
  instance_ = spawn<bulkhead::instance, caf::monitored>(
      loop(), std::move(settings), services_.spawner, caf::actor_cast<instance_parent>(this),
      entry_->log->sink(generation), offer_);
}

void mount_supervisor::perform_stop(const action::stop_child& what) {
  if (instance_reported_end_) return;
  instance_stop order;
  order.grace = what.kill ? std::chrono::milliseconds{0} : services_.limits.stop_grace_ms;
  order.term_wait = what.kill ? std::chrono::milliseconds{0} : services_.limits.stop_term_ms;
  if (forget_) order.unmount_uuid = entry_->uuid;
  this->send(instance_, order);
}

void mount_supervisor::enter(const action::report& what) {
  const auto& path = entry_->spec.path;
  const auto name = std::string(to_string(what.to));
  services_.events.record(path, what.generation, name, what.reason);
  starting_ = what.to == child_state::starting || what.to == child_state::stopping;
  if (leaving_ || entry_->closed) return;
  auto& slot = *entry_->slot;
  switch (what.to) {
    case child_state::ready:
      break;  // ready() has switched the slot
    case child_state::starting:
    case child_state::stopping:
      slot.hold("it is starting");
      break;
    case child_state::backoff:
      slot.hold(fmt::format("it restarts in {}: {}", duration_text(what.delay), what.reason));
      break;
    case child_state::quarantined:
      slot.refuse(exception(error_kind::quarantined, fmt::format("mount '{}' is quarantined", path),
                            what.reason,
                            fmt::format("bulkhead why {}   |   bulkhead reset {}", path, path)));
      break;
    case child_state::stopped:
      slot.refuse(exception(error_kind::plugin_unavailable,
                            fmt::format("mount '{}' is stopped", path), what.reason,
                            fmt::format("bulkhead restart {}", path)));
      break;
  }
  if (what.to == child_state::quarantined || what.to == child_state::stopped) {
    for (auto& waiter : entry_->waiting_for_face)
      waiter->reject(exception(error_kind::plugin_unavailable,
                               fmt::format("mount '{}' is {}", path, name), what.reason));
    entry_->waiting_for_face.clear();
  }
}

// -- news of the instance ------------------------------------------------------------------------

void mount_supervisor::ready(const instance_ready& news) {
  if (news.generation != instance_generation_ || instance_reported_end_) return;
  pid_ = news.pid;
  ready_since_ = services_.clock.now();
  const auto child = core_.status(instance_id, services_.clock.now());
  // It may have become ready while it was told to stop.
  if (child && child->state == child_state::starting) {
    entry_->face = offer_->face;
    if (!leaving_ && !entry_->closed)
      entry_->slot->serve(kj::mv(offer_->backend), kj::mv(offer_->typed));
    for (auto& waiter : entry_->waiting_for_face) waiter->fulfill();
    entry_->waiting_for_face.clear();
  }
  step(event::started{instance_id, news.generation});
}

crash_report mount_supervisor::make_report(const instance_ended& news) const {
  crash_report report;
  report.mount = entry_->spec.path;
  report.uuid = entry_->uuid;
  report.plugin = entry_->spec.plugin;
  report.generation = news.generation;
  report.end = news.end;
  report.calls_in_flight = entry_->slot->counters().in_flight;
  report.last_lines = entry_->log->last_lines(news.generation, crash_last_lines_max);
  report.at_unix_ms = unix_ms_now();
  return report;
}

std::string mount_supervisor::ended(const instance_ended& news) {
  if (news.generation != instance_generation_ || instance_reported_end_)
    return "an instance that was given up has ended";
  instance_reported_end_ = true;
  pid_ = 0;
  auto report = make_report(news);
  if (!leaving_ && !entry_->closed) entry_->slot->hold("its instance has just ended");
  const bool crash = ended_by_itself(news.end);
  if (crash)
    services_.events.record(report.mount, news.generation, "crashed", describe_end(report));
  const auto sentence = describe_end(report);
  permanent_failure_ = news.end.permanent;
  const bool no_start = news.end.during_start || news.end.cause == end_cause::start_failed;
  if (no_start && crash && !entry_->acknowledged) give_up_mounting(sentence);
  const auto reports =
      no_start
          ? step(event::start_failed{instance_id, news.generation, sentence, news.end.permanent})
          : step(event::exited{instance_id, news.generation, exit_kind_of(news.end), sentence});
  report.next = reports.empty() ? "stays down" : next_step_text(reports.front());
  auto text = crash_text(report);
  if (crash) {
    entry_->crashes.push_back(std::move(report));
    if (entry_->crashes.size() > crash_reports_kept) entry_->crashes.pop_front();
  }
  if (no_start && crash) answer_waiters(sentence);
  return text;
}

/// The mount was never acknowledged: whoever asked for it hears why, and nothing is tried again.
void mount_supervisor::give_up_mounting(const std::string& why) {
  leaving_ = true;
  answer_waiters(why);
  step(event::stop{"its first start failed", {}});
}

void mount_supervisor::instance_down(const caf::down_msg& news) {
  if (news.source != instance_.address() || instance_reported_end_) return;
  // The actor itself failed, which is a defect; its process is gone with it.
  instance_ended lost{instance_generation_, {}};
  lost.end.cause = end_cause::unknown;
  lost.end.why = "the actor that owned it failed";
  const auto child = core_.status(instance_id, services_.clock.now());
  lost.end.during_start = child && child->state == child_state::starting;
  ended(lost);
}

// -- requests ------------------------------------------------------------------------------------

caf::result<mount_snapshot> mount_supervisor::await_start() {
  if (!starting_) return snapshot();
  auto waiter = make_response_promise<mount_snapshot>();
  waiters_.push_back(waiter);
  return waiter;
}

void mount_supervisor::answer_waiters(const std::string& failure) {
  auto waiters = std::move(waiters_);
  waiters_.clear();
  for (auto& waiter : waiters) waiter.deliver(snapshot(failure));
}

caf::result<mount_snapshot> mount_supervisor::begin_stop(const mount_stop& order) {
  auto waiter = make_response_promise<mount_snapshot>();
  stop_waiters_.push_back(waiter);
  leave(order);
  return waiter;
}

void mount_supervisor::leave(const mount_stop& order) {
  if (leaving_) return;
  leaving_ = true;
  stop_reason_ = order.reason;
  forget_ = order.forget;
  if (!entry_->closed) entry_->slot->hold(order.reason);
  run(entry_->slot->drained(order.drain_max.count() * kj::MILLISECONDS).then([this] {
    this->send(this, mount_drained{});
  }));
}

caf::result<mount_snapshot> mount_supervisor::query() {
  if (instance_reported_end_ || pid_ == 0) return snapshot();
  auto answer = make_response_promise<mount_snapshot>();
  request(instance_, caf::infinite, instance_sample{})
      .then(
          [this, answer](const instance_stats& stats) mutable {
            auto now = snapshot();
            now.instance = stats;
            answer.deliver(std::move(now));
          },
          [this, answer](const caf::error&) mutable { answer.deliver(snapshot()); });
  return answer;
}

mount_snapshot mount_supervisor::snapshot(const std::string& start_failure) {
  mount_snapshot result;
  const auto now = services_.clock.now();
  const auto child = core_.status(instance_id, now).value_or(child_status{});
  auto& status = result.status;
  status.path = entry_->spec.path;
  status.uuid = entry_->uuid;
  status.plugin = entry_->spec.plugin;
  if (entry_->face != nullptr) status.plugin_version = entry_->face->version;
  status.state = state_of(child.state, leaving_);
  status.reason = child.reason;
  status.generation = child.generation;
  status.pid = pid_;
  status.restarts = child.restarts;
  const auto counters = entry_->slot->counters();
  status.calls_in_flight = counters.in_flight;
  status.calls_waiting = counters.waiting;
  status.calls_total = counters.total;
  status.calls_failed = counters.failed;
  if (pid_ != 0)
    result.uptime_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now - ready_since_).count());
  // The window also holds the one restart too many, which was not made.
  result.restarts_in_window =
      std::min<std::size_t>(child.restarts_in_window, entry_->spec.supervision.intensity);
  result.backoff_left = child.backoff_left;
  result.oldest_call = std::chrono::nanoseconds(entry_->slot->oldest_call() / kj::NANOSECONDS);
  if (!entry_->crashes.empty()) result.last_crash = entry_->crashes.back();
  result.start_failure = start_failure;
  return result;
}

void mount_supervisor::on_task_failed(kj::Exception&& error) {
  KJ_LOG(ERROR, "a task of a mount failed", error.getDescription());
}

void mount_supervisor::on_loop_exit() {
  // Should this actor fail, its instance must not live on unsupervised, nor an asker wait for it.
  if (!instance_reported_end_) anon_send_exit(instance_, caf::exit_reason::user_shutdown);
  answer_waiters("the mount's actor has ended");
  for (auto& waiter : stop_waiters_) waiter.deliver(snapshot());
  stop_waiters_.clear();
  instance_ = instance_actor();
  offer_ = nullptr;
  // The last reference to this actor may go on another thread: nothing of the reactor's is left
  // then.
  entry_ = nullptr;
}

}  // namespace bulkhead
