// SPDX-License-Identifier: Apache-2.0
#include "broker/config_desk.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include "broker/refusal.hpp"

namespace bulkhead {
namespace {

bool is_only_told(config_action action) {
  return action == config_action::keep || action == config_action::configure;
}

std::string line_of(const error& problem) {
  return problem.why().empty() ? problem.what()
                               : fmt::format("{}: {}", problem.what(), problem.why());
}

}  // namespace

struct config_desk::work {
  std::vector<config_step> steps;
  std::vector<config_change> done;
  bool failed = false;  // a change that was to be made could not be
  std::set<std::string> told{};
};

// -- what there is -------------------------------------------------------------------------------

kj::Promise<declared_state> config_desk::read() {
  return kj::evalNow([this]() -> kj::Promise<declared_state> {
    if (!read_)
      refuse(error_kind::failed_precondition, "nothing is declared",
             "the broker was started without a configuration file", "bulkheadd --config FILE");
    return read_();
  });
}

actual_state config_desk::actual() const {
  actual_state result;
  auto& catalog = *core_.services().catalog;
  for (const auto& info : catalog.list({}, {})) {
    const auto release = catalog.at(info);
    if (release == nullptr) continue;  // its record is damaged: an operator's to look at
    result.releases.push_back({release->spec, release->declared, info.used_by});
  }
  result.pins = catalog.pins();
  core_.each_mount([&result](const mount_route& route) {
    const auto& entry = *route.entry;
    actual_mount mount{entry.spec, entry.declared, route.tunable ? "" : route.unusable, entry.uuid,
                       entry.declared_path};
    if (entry.removing) mount.problem = "it is being removed";
    result.mounts.push_back(std::move(mount));
  });
  return result;
}

kj::Promise<std::vector<config_change>> config_desk::diff(bool prune) {
  return read().then([this, prune](declared_state&& wanted) {
    std::vector<config_change> changes;
    for (auto& step : plan(wanted, actual(), prune)) changes.push_back(std::move(step.shown));
    return changes;
  });
}

// -- making it so --------------------------------------------------------------------------------

kj::Promise<std::vector<config_change>> config_desk::apply(bool prune) {
  return applying_.take().then(
      [this, prune](kj::Own<turns::pass>&& turn) { return apply_now(prune).attach(kj::mv(turn)); });
}

kj::Promise<std::vector<config_change>> config_desk::apply_now(bool prune) {
  return read()
      .then([this, prune](declared_state&& wanted) {
        auto job = std::make_shared<work>();
        job->steps = plan(wanted, actual(), prune);
        return do_next(job).then([this, job] {
          told_ = std::move(job->told);
          return std::move(job->done);
        });
      })
      .catch_([this](kj::Exception&& problem) -> std::vector<config_change> {
        core_.services().events.record({}, 0, "config_refused", line_of(to_error(problem)));
        kj::throwFatalException(kj::mv(problem));
      });
}

void config_desk::apply_soon() {
  if (soon_) return;
  soon_ = true;
  tasks_.add(applying_.take().then([this](kj::Own<turns::pass>&& turn) {
    soon_ = false;
    return apply_now(false).ignoreResult().attach(kj::mv(turn));
  }));
}

/// It is an event already.
void config_desk::taskFailed(kj::Exception&&) {}

kj::Promise<void> config_desk::do_next(std::shared_ptr<work> job) {
  if (job->done.size() == job->steps.size()) return kj::READY_NOW;
  const auto& step = job->steps[job->done.size()];
  auto done = step.shown.problem.empty() ? kj::evalNow([&] {
    if (step.action == config_action::unmount && job->failed)
      refuse(error_kind::failed_precondition, "it is not pruned",
             "a change before it has failed, and what was to take its place may not be there");
    return carry_out(step);
  })
                                         : kj::Promise<void>(kj::READY_NOW);
  return done
      .then([] { return std::string(); },
            [](kj::Exception&& problem) { return line_of(to_error(problem)); })
      .then([this, job](std::string&& problem) {
        const auto& step = job->steps[job->done.size()];
        auto change = step.shown;
        if (!problem.empty()) {
          change.problem = std::move(problem);
          job->failed = true;
        }
        tell(*job, step, change);
        job->done.push_back(std::move(change));
        return do_next(job);
      });
}

kj::Promise<void> config_desk::carry_out(const config_step& step) {
  auto& catalog = *core_.services().catalog;
  switch (step.action) {
    case config_action::register_release:
      return core_.register_release(step.release, true).ignoreResult();
    case config_action::pin:
      return catalog.pin({step.pin.kind, step.pin.name, step.pin.version}, true);
    case config_action::mount:
      return core_.mount(step.mount, true).ignoreResult();
    case config_action::tune:
      return tune(step);
    case config_action::unmount:
      require_declared(step.mount.path, step.uuid);
      return core_.unmount(step.mount.path);
    case config_action::unpin:
      return catalog.unpin_declared({step.pin.kind, step.pin.name, step.pin.version});
    case config_action::deregister:
      return catalog.remove({step.release.kind, step.release.name, step.release.version}, true);
    case config_action::keep:
    case config_action::configure:
      break;
  }
  return kj::READY_NOW;
}

/// A mount that is just starting cannot be reloaded.
kj::Promise<void> config_desk::tune(const config_step& step) {
  require_declared(step.tune.path, step.uuid);
  if (step.adopt) return core_.adopt(step.tune.path);
  const bool starts = step.tune.reload && !core_.require(step.tune.path).tunable;
  auto started =
      starts ? core_.await_start(step.tune.path).ignoreResult() : kj::Promise<void>(kj::READY_NOW);
  return started.then([this, what = step.tune, uuid = step.uuid]() mutable {
    require_declared(what.path, uuid);
    return core_.tune(what).ignoreResult();
  });
}

/// The steps before took their time. Who changes the mount does so in the same turn of the loop.
void config_desk::require_declared(const std::string& path, const std::string& uuid) {
  const auto& entry = *core_.require(path).entry;
  if (entry.uuid == uuid && entry.declared) return;
  refuse(error_kind::failed_precondition,
         fmt::format("'{}' is not the mount that the file brought", path),
         "an operator has put another in its place meanwhile");
}

/// What is only told stays so for long: it is an event when it is new.
void config_desk::tell(work& job, const config_step& step, const config_change& change) {
  auto& events = core_.services().events;
  const auto said = fmt::format("{} {}: {}", change.action, change.target, change.detail);
  if (!change.problem.empty())
    return events.record({}, 0, "config_problem", fmt::format("{}: {}", said, change.problem));
  if (!is_only_told(step.action)) return events.record({}, 0, "configured", said);
  if (!told_.contains(said)) events.record({}, 0, "config_note", said);
  job.told.insert(said);
}

}  // namespace bulkhead
