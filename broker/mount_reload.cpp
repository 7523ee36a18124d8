// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, third part: one instance takes over from another, because an operator wants it
// so (reload), or because the instance is old or has served enough (mount_life.hpp).
//
//     start green beside blue ── hello, mount, ping ── [trial: a share of the calls] ── switch
//                 │                                              │                        │
//                 └── it fails: blue has never noticed ──────────┘      blue: drain, cut, stop
//
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

constexpr const char* instance_id = "instance";
constexpr std::string_view stop_first_feature = "stop-first";

// How often a trial is looked at before its end.
constexpr int trial_looks = 10;
// When a replacement that nobody asked for has failed, the next is tried after this.
constexpr auto recycle_pause = 60 * kj::SECONDS;

std::chrono::milliseconds since(instant then, instant now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

}  // namespace

bool mount_supervisor::must_be_alone() const {
  if (entry_->spec.life.handover == handover::stop_first) return true;
  if (entry_->face == nullptr) return false;
  for (auto feature : entry_->face->reader().getFeatures())
    if (std::string_view(feature.cStr(), feature.size()) == stop_first_feature) return true;
  return false;
}

caf::result<reload_result> mount_supervisor::reload(const mount_reload& order) {
  auto asker = make_response_promise<reload_result>();
  const bool ready = state() == child_state::ready && !leaving_;
  if (leaving_ || reload_ || starting_) {
    reload_result refused;
    refused.path = entry_->spec.path;
    refused.reason = leaving_  ? "the mount is being removed"
                     : reload_ ? "a reload of it is under way"
                               : "an instance of it is starting or stopping";
    asker.deliver(std::move(refused));
  } else if (!ready || must_be_alone()) {
    reload_by_restart(order.how, asker);
  } else {
    begin_reload(order.how, {asker}, "an operator asked for it");
  }
  return asker;
}

/// There is nothing to keep up, or the plugin must be alone.
void mount_supervisor::reload_by_restart(const reload_request& how, reload_promise asker) {
  reload_result result;
  result.path = entry_->spec.path;
  result.outcome = reload_outcome::restarted;
  result.generation_before = live_.pid == 0 ? 0 : live_.generation;
  if (entry_->face != nullptr) result.version_before = entry_->face->version;
  const auto began = services_.clock.now();
  halted_ = false;
  if (core_.status(instance_id, began))
    step(event::restart_child{instance_id});
  else
    know_child();
  start_waiter waiter = [this, result, began, asker,
                         wanted = how.version](const mount_snapshot& now) mutable {
    result.generation_after = now.status.generation;
    result.version_after = now.status.plugin_version;
    result.took = since(began, services_.clock.now());
    if (now.status.state != mount_state::ready)
      result.reason = now.start_failure.empty() ? now.status.reason : now.start_failure;
    else if (!wanted.empty() && wanted != result.version_after)
      result.reason = fmt::format("it serves as version {}, not {}", result.version_after, wanted);
    if (!result.reason.empty()) result.outcome = reload_outcome::failed;
    asker.deliver(result);
  };
  if (starting_)
    waiters_.push_back(std::move(waiter));
  else
    waiter(snapshot());
}

void mount_supervisor::begin_reload(const reload_request& how, std::vector<reload_promise> askers,
                                    const std::string& reason) {
  auto& run = reload_.emplace();
  run.how = how;
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
  const auto look = run.how.canary.count() * kj::MILLISECONDS / trial_looks;
  for (int i = 1; i <= trial_looks; ++i)
    this->run(loop().timer().afterDelay(look * i).then([this, i, generation = news.generation] {
      this->send(this, mount_trial{generation, i == trial_looks});
    }));
}

void mount_supervisor::judge_trial(const mount_trial& order) {
  if (!reload_ || !reload_->on_trial || reload_->green.generation != order.generation) return;
  const auto fresh = entry_->slot->tried_tally();
  const auto old = entry_->slot->serving_tally();
  if (trial_failed(fresh, old, order.over))
    abandon_reload(fmt::format("on trial {} of {} calls failed, of the instance before it {} of {}",
                               fresh.failures, fresh.calls, old.failures, old.calls));
  else if (order.over)
    take_over();
}

/// From here on green is the mount's instance.
void mount_supervisor::take_over() {
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
  show_face(live_);
  step(event::adopt_instance{instance_id, live_.generation});
  run.result.outcome = reload_outcome::replaced;
  run.result.generation_after = live_.generation;
  run.result.version_after = entry_->face->version;
  run.result.took = since(run.began, services_.clock.now());
  services_.events.record(
      entry_->spec.path, live_.generation, "reloaded",
      fmt::format("generation {} took over from {}", live_.generation, blue.generation));
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
  if (run.askers.empty()) look_again(recycle_pause);
  if (run.green.ended) return;  // or was never started
  if (run.on_trial) {
    retire(std::move(run.green));
  } else {
    stop_instance(run.green, true);
    old_.push_back(std::move(run.green));
  }
}

void mount_supervisor::answer_reload(reload_run& run) {
  for (auto& each : run.askers) each.deliver(run.result);
}

/// Lets an instance finish its calls, then stops it.
void mount_supervisor::retire(run_of which) {
  const auto generation = which.generation;
  const auto longest = services_.limits.drain_ms_max.count() * kj::MILLISECONDS;
  old_.push_back(std::move(which));
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
  if (life.calls_max > 0)
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
  if (state() != child_state::ready || leaving_ || reload_) return;
  auto facts = entry_->slot->facts();
  facts.ready_since = live_.life_since;
  const auto now = entry_->slot->now();
  const auto verdict = judge_life(entry_->spec.life, facts, now);
  switch (verdict.what) {
    case life_verdict::kind::keep:
      if (verdict.next) look_again((*verdict.next - now).count() * kj::NANOSECONDS);
      return;
    case life_verdict::kind::stop_idle:
      stopped_idle_ = true;
      step(event::terminate_child{instance_id, verdict.reason});
      return;
    case life_verdict::kind::replace:
      if (must_be_alone())
        step(event::restart_child{instance_id});
      else
        begin_reload({}, {}, verdict.reason);
      return;
    case life_verdict::kind::replace_hung:
      this->send(live_.actor, instance_hung{verdict.reason});
      return;
  }
}

}  // namespace bulkhead
