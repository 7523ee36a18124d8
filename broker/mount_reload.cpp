// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, third part: one instance takes over from another, because an operator wants it
// so (reload), or because the instance is old or has served enough (mount_life.hpp).
//
//     start green beside blue ── hello, mount, ping ── [trial: a share of the calls] ── switch
//                 │                                              │                        │
//                 └── it fails: blue has never noticed ──────────┘      blue: drain, cut, stop
//
// Before the switch the record says what runs from then on; when that cannot be written, the reload
// has failed.
// The switch is one call of the slot: a call goes to blue or to green, none waits or fails. Blue
// keeps the calls that it has until drain_ms_max; then they end as plugin_unavailable, and blue is
// stopped in good order. Until the switch the core knows only blue: should blue crash meanwhile,
// the reload is given up and the mount recovers by its rules.
#include <fmt/format.h>

#include <algorithm>

#include "broker/convert.hpp"
#include "broker/mount_supervisor.hpp"

namespace bulkhead {
namespace {

// How often a trial is looked at before its end.
constexpr int trial_looks = 10;
// When a replacement that nobody asked for has failed, the next is tried after this.
constexpr auto recycle_pause = 60 * kj::SECONDS;

std::chrono::milliseconds since(instant then, instant now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

}  // namespace

mount_supervisor::reload_run::reload_run() = default;

bool mount_supervisor::must_be_alone() const {
  if (entry_->spec.life.handover == handover::stop_first) return true;
  return entry_->face != nullptr && bulkhead::must_be_alone(entry_->face->reader());
}

caf::result<reload_result> mount_supervisor::reload(const mount_reload& order) {
  auto asker = make_response_promise<reload_result>();
  const auto now = state();
  if (leaving_ || entry_->closed || reload_ || starting_) {
    reload_result refused;
    refused.path = entry_->spec.path;
    refused.reason = leaving_ || entry_->closed ? "the mount is being removed"
                     : reload_                  ? "a reload of it is under way"
                                                : "an instance of it is starting or stopping";
    asker.deliver(std::move(refused));
  } else if (auto problem = reload_problem(services_, *entry_, order.how.version);
             !problem.empty()) {
    reload_result refused;
    refused.path = entry_->spec.path;
    refused.reason = std::move(problem);
    asker.deliver(std::move(refused));
  } else if (now == child_state::stopped || now == child_state::quarantined) {
    reload_result nothing;
    nothing.path = entry_->spec.path;
    nothing.outcome = reload_outcome::nothing;
    nothing.reason =
        fmt::format("no instance runs: the mount is {}",
                    falls_asleep() && now == child_state::stopped ? "asleep" : to_string(now));
    asker.deliver(std::move(nothing));
  } else if (now != child_state::ready || must_be_alone()) {
    entry_->take_wanted = true;
    reload_by_restart(order.how, {asker}, "reloaded by an operator");
  } else {
    begin_reload(order.how, {asker}, "an operator asked for it");
  }
  return asker;
}

/// No instance serves, or it must be alone.
void mount_supervisor::reload_by_restart(const reload_request& how,
                                         std::vector<reload_promise> askers,
                                         const std::string& reason) {
  reload_result result;
  result.path = entry_->spec.path;
  result.outcome = reload_outcome::restarted;
  result.generation_before = live_.pid == 0 ? 0 : live_.generation;
  if (entry_->face != nullptr) result.version_before = entry_->face->version;
  const auto began = services_.clock.now();
  waiters_.emplace_back([this, result, began, askers = std::move(askers),
                         wanted = how.version](const mount_snapshot& now) mutable {
    result.generation_after = now.status.generation;
    result.version_after = now.status.plugin_version;
    result.took = since(began, services_.clock.now());
    if (now.status.state != mount_state::ready || !now.start_failure.empty())
      result.reason = now.start_failure.empty() ? now.status.reason : now.start_failure;
    else if (!wanted.empty() && wanted != result.version_after)
      result.reason = fmt::format("it serves as version {}, not {}", result.version_after, wanted);
    if (!result.reason.empty()) result.outcome = reload_outcome::failed;
    for (auto& each : askers) each.deliver(result);
  });
  reloaded_alone_ = true;
  if (state() == child_state::ready)
    hand_over_alone(reason);
  else
    restart(reason);
}

/// Lets the instance finish its calls, while new ones wait, and restarts it.
void mount_supervisor::hand_over_alone(const std::string& reason) {
  starting_ = true;
  entry_->slot->hold("it is being replaced");
  const auto longest = services_.limits.drain_ms_max.count() * kj::MILLISECONDS;
  run(entry_->slot->drained(live_.generation, longest)
          .then([this, generation = live_.generation, reason] {
            this->send(this, mount_handover{generation, reason});
          }));
}

void mount_supervisor::begin_reload(const reload_request& how, std::vector<reload_promise> askers,
                                    const std::string& reason) {
  auto& run = reload_.emplace();
  run.how = how;
  // One that nobody asked for replaces the process, not the release.
  run.anew = !askers.empty();
  run.askers = std::move(askers);
  run.began = services_.clock.now();
  run.result.path = entry_->spec.path;
  run.result.generation_before = live_.generation;
  run.result.version_before = entry_->face->version;
  run.green.generation = core_.take_generation(instance_id);
  services_.events.record(entry_->spec.path, run.green.generation, "reloading", reason);
  const auto generation = run.green.generation;
  if (generation > entry_->generations_reserved)
    reserve_generations(generation, true);
  else
    start_reserved(generation);
}

void mount_supervisor::green_ready(const instance_ready& news) {
  if (leaving_ || entry_->closed) return abandon_reload("the mount is being removed");
  auto& run = *reload_;
  run.green.pid = news.pid;
  run.green.ready_since = services_.clock.now();
  const auto& version = run.green.offer->face->version;
  if (!run.how.version.empty() && run.how.version != version) {
    abandon_reload(
        fmt::format("it introduced itself as version {}, not {}", version, run.how.version));
    return;
  }
  if (run.how.canary_percent == 0) {
    take_over();
    return;
  }
  run.on_trial = true;
  entry_->slot->try_out(
      {run.green.generation, kj::mv(run.green.offer->backend), kj::mv(run.green.offer->typed)},
      run.how.canary_percent);
  services_.events.record(entry_->spec.path, news.generation, "on_trial",
                          fmt::format("{} % of the calls for {}", run.how.canary_percent,
                                      duration_text(run.how.canary)));
  run.looks = look_at_trial(news.generation, trial_looks).eagerlyEvaluate(nullptr);
}

kj::Promise<void> mount_supervisor::look_at_trial(std::uint64_t generation, int looks_left) {
  return loop().timer().afterDelay(trial_look()).then([this, generation, looks_left] {
    this->send(this, mount_trial{generation, looks_left == 1});
    return looks_left == 1 ? kj::Promise<void>(kj::READY_NOW)
                           : look_at_trial(generation, looks_left - 1);
  });
}

kj::Duration mount_supervisor::trial_look() const {
  return reload_->how.canary.count() * kj::MILLISECONDS / trial_looks;
}

void mount_supervisor::judge_trial(const mount_trial& order) {
  if (!reload_ || !reload_->on_trial || reload_->green.generation != order.generation) return;
  if (leaving_ || entry_->closed) return abandon_reload("the mount is being removed");
  const auto fresh = entry_->slot->tried_tally(trial_look());
  const auto old = entry_->slot->serving_tally(trial_look());
  if (trial_failed(fresh, old, order.over))
    abandon_reload(fmt::format(
        "on trial {} of {} calls failed or went unanswered, of the instance before it {} of {}",
        fresh.failures, fresh.calls, old.failures, old.calls));
  else if (order.over)
    take_over();
}

/// Green is good. That the mount runs its release is written before it does: what is acknowledged
/// is durable, and what cannot be written is not switched to.
void mount_supervisor::take_over() {
  const auto& green = reload_->green;
  if (green.of == nullptr || keeps_to(*entry_, *green.of)) return switch_over();
  if (std::exchange(reload_->writing, true)) return;
  run(write_release(services_, entry_, green.of)
          .then([this, generation = green.generation] { written(generation); },
                [this, generation = green.generation](kj::Exception&& problem) {
                  if (reload_ && reload_->green.generation == generation)
                    abandon_reload(fmt::format("that it runs {} could not be stored: {}",
                                               to_string(reload_->green.of->id()),
                                               to_error(problem).what()));
                }));
}

/// The record says that the mount runs green's release. The store took its time: if that is not to
/// be any more, the record goes back.
void mount_supervisor::written(std::uint64_t generation) {
  if (reload_ && reload_->green.generation == generation) switch_over();
  if (live_.generation != generation && !entry_->closed) run(keep_to(live_.of));
}

/// From here on green is the mount's instance.
void mount_supervisor::switch_over() {
  // It was good when it was started; a trial, or a slow start, may have been long.
  if (const auto& of = reload_->green.of; of != nullptr && !may_run(services_, *of))
    return abandon_reload(
        "its release may not run any more: deregistered, its time over, or a key revoked");
  auto run = std::move(*reload_);
  reload_.reset();
  auto& slot = *entry_->slot;
  if (run.on_trial)
    slot.promote();
  else
    slot.serve(
        {run.green.generation, kj::mv(run.green.offer->backend), kj::mv(run.green.offer->typed)});
  auto blue = std::exchange(live_, run.green);
  live_.life_since = slot.now();
  note_serving();
  show_face(live_);
  step(event::adopt_instance{instance_id, live_.generation});
  run.result.outcome = reload_outcome::replaced;
  run.result.generation_after = live_.generation;
  run.result.version_after = entry_->face->version;
  run.result.took = since(run.began, services_.clock.now());
  services_.events.record(
      entry_->spec.path, live_.generation, "reloaded",
      fmt::format("generation {} took over from {}", live_.generation, blue.generation));
  note_running(services_, *entry_, live_.of);
  answer_reload(run);
  retire(std::move(blue));
  look_after_life();
}

/// Gives up a reload that is under way; without one it does nothing. The live instance is not
/// touched.
void mount_supervisor::abandon_reload(const std::string& reason) {
  if (!reload_) return;
  auto run = std::move(*reload_);
  reload_.reset();
  entry_->slot->end_trial();
  services_.events.record(entry_->spec.path, run.green.generation, "reload_failed", reason);
  run.result.reason = reason;
  run.result.generation_after = live_.generation;
  run.result.version_after = run.result.version_before;
  run.result.took = since(run.began, services_.clock.now());
  answer_reload(run);
  look_again(run.askers.empty() ? recycle_pause : 0 * kj::SECONDS);
  if (run.green.ended) return;  // or was never started
  if (run.on_trial) {
    retire(std::move(run.green));
  } else {
    stop_instance(run.green, true);
    set_aside(std::move(run.green));
  }
}

void mount_supervisor::answer_reload(reload_run& run) {
  for (auto& each : run.askers) each.deliver(run.result);
}

void mount_supervisor::set_aside(run_of which) {
  const auto run = entry_->runs.find(which.generation);
  if (run != entry_->runs.end()) run->second.set_aside = true;
  old_.push_back(std::move(which));
}

/// Lets an instance finish its calls, then stops it. Those that finish are not many: the oldest
/// makes room.
void mount_supervisor::retire(run_of which) {
  if (old_.size() >= draining_instances_max) retired(old_.front().generation);
  const auto generation = which.generation;
  const auto longest = services_.limits.drain_ms_max.count() * kj::MILLISECONDS;
  set_aside(std::move(which));
  run(entry_->slot->drained(generation, longest).then([this, generation] {
    this->send(this, mount_retired{generation});
  }));
}

void mount_supervisor::retired(std::uint64_t generation) {
  entry_->slot->cut(
      generation,
      exception(
          error_kind::plugin_unavailable,
          fmt::format("the instance of '{}' that had this call was replaced", entry_->spec.path),
          fmt::format("the call was not done within {} ms (drain_ms_max); whether it took "
                      "effect is not known",
                      services_.limits.drain_ms_max.count())));
  for (const auto& each : old_)
    if (each.generation == generation) stop_instance(each, false);
}

// -- life ----------------------------------------------------------------------------------------

void mount_supervisor::look_after_life() {
  const auto& life = entry_->spec.life;
  const auto generation = live_.generation;
  if (life.calls_max == 0)
    entry_->slot->set_call_alarm(0, nullptr);
  else
    entry_->slot->set_call_alarm(
        life.calls_max, [weak = caf::actor_cast<caf::actor_addr>(this->ctrl()), generation] {
          if (auto mount = caf::actor_cast<caf::actor>(weak))
            caf::anon_send(mount, mount_check{generation});
        });
  judge_life_of_live();
}

void mount_supervisor::look_again(kj::Duration delay) {
  run(loop().timer().afterDelay(delay).then(
      [this, generation = live_.generation] { this->send(this, mount_check{generation}); }));
}

void mount_supervisor::judge_life_of_live() {
  if (leaving_ || entry_->closed) return;
  if (state() == child_state::stopped && falls_asleep()) return doze();
  if (state() != child_state::ready || starting_) return;
  auto facts = entry_->slot->facts();
  facts.ready_since = live_.life_since;
  const auto now = entry_->slot->now();
  const auto verdict = judge_life(entry_->spec.life, facts, now);
  using kind = life_verdict::kind;
  if (verdict.what == kind::replace_hung) {
    this->send(live_.actor, instance_hung{verdict.reason});
  } else if (verdict.what == kind::keep) {
    if (verdict.next) look_again((*verdict.next - now).count() * kj::NANOSECONDS);
  } else if (reload_) {
    return;  // its end looks again
  } else if (verdict.what == kind::stop_idle) {
    stopped_idle_ = true;
    step(event::terminate_child{instance_id, verdict.reason});
  } else if (old_.size() >= draining_instances_max) {
    look_again(1 * kj::SECONDS);
  } else {
    replace_live(verdict.reason);
  }
}

/// As by a reload that nobody asked for.
void mount_supervisor::replace_live(const std::string& reason) {
  if (must_be_alone())
    hand_over_alone(reason);
  else
    begin_reload({}, {}, reason);
}

/// The desk tells again with every sample, until what it tells of is gone.
void mount_supervisor::passed(const mount_passed& news) {
  if (news.generation != live_.generation || live_.ended || leaving_ || entry_->closed) return;
  if (state() != child_state::ready || starting_) return;
  if (news.what.act == threshold_act::quarantine) {
    abandon_reload("the instance that it was to replace " + news.what.reason);
    this->send(live_.actor, instance_hung{news.what.reason, end_cause::over_limit, true});
  } else if (!reload_ && old_.size() < draining_instances_max) {
    replace_for_use("it " + news.what.reason);
  }
}

void mount_supervisor::replace_for_use(const std::string& reason) {
  const auto now = entry_->slot->now();
  if (!live_.above) {
    live_.above = true;
    pace_.above(now - live_.life_since);
    if (const auto wait = std::chrono::ceil<std::chrono::seconds>(pace_.wait(now));
        wait.count() > 0)
      services_.events.record(
          entry_->spec.path, live_.generation, "not_replaced",
          fmt::format("{}, as did the one before it: replaced in {} s at the earliest", reason,
                      wait.count()));
  }
  if (!pace_.is_due(now)) return;
  pace_.replaced(now, services_.random);
  replace_live(reason);
}

}  // namespace bulkhead
