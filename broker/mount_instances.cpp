// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, second part: what it hears of its instances, and the reports that it makes of
// their ends.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "actors/confinement/waivers.hpp"
#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"
#include "broker/mount_rules.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/redact.hpp"

namespace bulkhead {
namespace {

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

/// What to do about the walls that are missing: all that are known by now.
std::string waiver_text(const std::string& path, const mount_bring_up& refused) {
  const auto found = refused.report != nullptr ? *refused.report : confinement_report{};
  return fmt::format(
      "{} (bulkhead doctor)   |   bulkhead tune {} {}, or the flags of mount   |   "
      "waive = [\"{}\"] under [confinement] of the configuration",
      way_to_have(found, *refused.missing), path, waiver_flags(found, *refused.missing),
      fmt::join(walls_to_waive(found, *refused.missing), "\", \""));
}

std::string errno_name(int number) {
  const char* name = ::strerrorname_np(number);
  return name == nullptr ? std::to_string(number) : name;
}

/// Why limits of what runs are not what they were to be.
std::string unlimited_text(int error_number) {
  return fmt::format("not all limits of what runs could be changed ({}{}); the next start has them",
                     errno_name(error_number),
                     error_number == EPERM ? ": to raise one takes CAP_SYS_RESOURCE" : "");
}

bool ended_by_itself(const instance_end& end) {
  return end.cause != end_cause::stopped && end.cause != end_cause::stop_killed;
}

/// "read kv/app" in the request style; "evaluate" where the plugin shipped its schema, else the
/// numbers.
std::string method_name(const plugin_face* face, const slot_call& call) {
  if (!call.request.empty()) return call.request;
  if (face != nullptr) {
    for (auto node : face->reader().getSchema()) {
      if (node.getId() != call.interface_id || !node.isInterface()) continue;
      const auto methods = node.getInterface().getMethods();
      if (call.method_id < methods.size()) return text(methods[call.method_id].getName());
    }
  }
  return fmt::format("{:#x}.{}", call.interface_id, call.method_id);
}

}  // namespace

void mount_supervisor::ready(const instance_ready& news) {
  if (reload_ && news.generation == reload_->green.generation) return green_ready(news);
  if (news.generation != live_.generation || live_.ended) return;
  live_.pid = news.pid;
  live_.ready_since = services_.clock.now();
  live_.life_since = entry_->slot->now();
  reloaded_alone_ = false;
  // It may have become ready while it was told to stop.
  if (state() == child_state::starting) {
    if (!leaving_ && !entry_->closed)
      entry_->slot->serve(
          {live_.generation, kj::mv(live_.offer->backend), kj::mv(live_.offer->typed)});
    show_face(live_);
    note_serving();
  }
  note_running(services_, *entry_, live_.of);
  step(event::started{instance_id, news.generation});
  look_after_life();
}

/// From now on what `live_` uses is the mount's to answer for.
void mount_supervisor::note_serving() {
  entry_->serving = {++services_.served, live_.generation, live_.pid, live_.offer};
  entry_->serving_of = live_.of;
  entry_->slot->use(
      slot_rules(entry_->spec.calls, services_.limits, times_of(entry_->serving_of.get())));
}

void mount_supervisor::limited(const instance_limited& news) {
  const bool live = news.generation == live_.generation && !live_.ended;
  if (live && news.error_number == 0 && live_.offer->limits_asked) {
    auto confined = std::make_shared<confinement>(*live_.offer->confined);
    confined->limits = *live_.offer->limits_asked;
    live_.offer->confined = std::move(confined);
  }
  if (news.error_number == 0)
    services_.events.record(entry_->spec.path, news.generation, "limited",
                            "the limits of what runs are those of the mount now");
  else
    services_.events.record(entry_->spec.path, news.generation, "not_limited",
                            unlimited_text(news.error_number));
  answer_limit_waiters();
}

void mount_supervisor::show_face(const run_of& whose) {
  entry_->face = whose.offer->face;
  for (auto& waiter : entry_->waiting_for_face) waiter->fulfill();
  entry_->waiting_for_face.clear();
}

crash_report mount_supervisor::make_report(const instance_ended& news, const run_of& whose) const {
  crash_report report;
  report.mount = entry_->spec.path;
  report.uuid = entry_->uuid;
  report.plugin = entry_->spec.plugin;
  const auto* face = whose.offer == nullptr ? nullptr : whose.offer->face.get();
  if (face != nullptr) report.plugin_version = face->version;
  report.generation = news.generation;
  report.end = news.end;
  if (whose.offer != nullptr && whose.offer->missing)
    report.end.remedy = waiver_text(entry_->spec.path, *whose.offer);
  if (report.end.out_of_memory)
    report.end.remedy = fmt::format("bulkhead tune {} --limit memory=SIZE, if it is to have more",
                                    entry_->spec.path);
  const auto calls = entry_->slot->calls_of(news.generation);
  report.calls_in_flight = static_cast<std::uint32_t>(calls.size());
  const auto outcome = to_string(ended_by_itself(news.end) ? error_kind::plugin_crashed
                                                           : error_kind::plugin_unavailable);
  for (std::size_t i = 0; i < std::min(calls.size(), crash_calls_max); ++i)
    report.calls.push_back({method_name(face, calls[i]),
                            static_cast<std::uint64_t>(calls[i].age / kj::MILLISECONDS), outcome});
  report.last_lines =
      redact_last(entry_->log->last_lines(news.generation, crash_last_lines_max + pem_lines_max),
                  crash_last_lines_max);
  report.at_unix_ms = unix_ms_now();
  return report;
}

void mount_supervisor::keep_report(crash_report report) {
  entry_->crashes.push_back(std::move(report));
  if (entry_->crashes.size() > crash_reports_kept) entry_->crashes.pop_front();
}

/// The answer is the text that calls in flight on that instance end with.
std::string mount_supervisor::ended(const instance_ended& news) {
  entry_->runs.erase(news.generation);
  if (news.end.out_of_memory) ++entry_->out_of_memory_ends;
  answer_limit_waiters();
  if (reload_ && news.generation == reload_->green.generation) return green_ended(news);
  if (news.generation == live_.generation && !live_.ended) return live_ended(news);
  return old_ended(news);
}

std::string mount_supervisor::live_ended(const instance_ended& news) {
  live_.ended = true;
  live_.pid = 0;
  close_storage(live_);
  entry_->serving = {};
  auto report = make_report(news, live_);
  const auto sentence = describe_end(report);
  abandon_reload(fmt::format("the instance that it was to replace ended meanwhile: {}", sentence));
  if (!leaving_ && !entry_->closed) entry_->slot->hold("its instance has just ended");
  end_remedy_ = report.end.remedy;
  const bool crash = ended_by_itself(news.end);
  permanent_failure_ = news.end.permanent || (crash && live_.offer->migration_failed());
  if (crash) services_.events.record(report.mount, news.generation, "crashed", sentence);
  const bool no_start = news.end.during_start || news.end.cause == end_cause::start_failed;
  start_failed_ = no_start && crash;
  // A lazy mount that is being acknowledged may have been called already: it is mounted all the
  // same.
  if (start_failed_ && !entry_->acknowledged && entry_->spec.life.start == start_mode::eager)
    give_up_mounting(sentence);
  const bool back = start_failed_ && falls_back();
  if (no_start) reloaded_alone_ = false;
  // What is ended for what it used, with a word that it is to stay down, does.
  const bool for_good = news.end.cause == end_cause::over_limit && news.end.permanent;
  const auto reports =
      back ? fall_back(sentence)
      : no_start || for_good
          ? step(event::start_failed{instance_id, news.generation, sentence, permanent_failure_})
          : step(event::exited{instance_id, news.generation, exit_kind_of(news.end), sentence});
  // In a group that shares its fate this actor ends, and what follows is the group's to say.
  const bool group_decides =
      shares_fate_ && !leaving_ && core_.phase() != supervisor_phase::running;
  report.next = group_decides     ? "restarts with its group, or the group gives up"
                : reports.empty() ? "stays down"
                                  : next_step_text(reports.front());
  auto text = crash_text(report);
  if (crash) keep_report(std::move(report));
  if (no_start && crash && !back) answer_waiters(sentence);
  return text;
}

/// The new instance of a reload is not to be.
std::string mount_supervisor::green_ended(const instance_ended& news) {
  auto report = make_report(news, reload_->green);
  report.next = "the instance before it serves on";
  reload_->green.ended = true;
  reload_->green.offer->end_loan();
  auto text = crash_text(report);
  const auto sentence = describe_end(report);
  if (reload_->green.offer->refused_beside) {
    // It has not been mounted, and is no crash: it says that it must be alone.
    auto run = std::move(*reload_);
    reload_.reset();
    entry_->take_wanted = run.anew;
    reload_by_restart(run.how, std::move(run.askers), "reloaded; the new plugin must be alone");
    return text;
  }
  services_.events.record(report.mount, news.generation, "crashed", sentence);
  keep_report(std::move(report));
  abandon_reload(sentence);
  return text;
}

/// An instance that was replaced, or given up, has ended.
std::string mount_supervisor::old_ended(const instance_ended& news) {
  const auto found = std::find_if(old_.begin(), old_.end(), [&](const run_of& each) {
    return each.generation == news.generation;
  });
  if (found == old_.end()) return "an instance that was given up has ended";
  if (found->offer != nullptr) found->offer->end_loan();
  auto report = make_report(news, *found);
  report.next = "it had been replaced";
  auto text = crash_text(report);
  const bool crash = ended_by_itself(news.end);
  const bool given_up = found->pid == 0;  // it was never ready: there was no stop in good order
  services_.events.record(report.mount, news.generation, crash ? "crashed" : "retired",
                          given_up && !crash ? "it was given up and killed" : describe_end(report));
  if (crash) keep_report(std::move(report));
  old_.erase(found);
  tell_alone();
  finish();
  return text;
}

/// The mount was never acknowledged: whoever asked for it hears why, and nothing is tried again.
void mount_supervisor::give_up_mounting(const std::string& why) {
  leaving_ = true;
  answer_waiters(why);
  step(event::stop{"its first start failed", {}});
}

void mount_supervisor::instance_down(const caf::down_msg& news) {
  // Such an end is a defect of the instance's actor; its process is gone with it. One that ended
  // well has been reported before.
  const auto report_for = [this](std::uint64_t generation, bool during_start) {
    instance_ended lost{generation, {}};
    lost.end.cause = end_cause::unknown;
    lost.end.why = "the actor that owned it failed";
    lost.end.during_start = during_start;
    ended(lost);
  };
  if (!live_.ended && news.source == live_.actor.address()) {
    report_for(live_.generation, state() == child_state::starting);
  } else if (reload_ && !reload_->green.ended && news.source == reload_->green.actor.address()) {
    report_for(reload_->green.generation, reload_->green.pid == 0);
  } else {
    for (const auto& each : old_)
      if (news.source == each.actor.address()) return report_for(each.generation, false);
  }
}

}  // namespace bulkhead
