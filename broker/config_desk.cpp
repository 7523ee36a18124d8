// SPDX-License-Identifier: Apache-2.0
#include "broker/config_desk.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <caf/all.hpp>

#include "broker/refusal.hpp"

namespace bulkhead {

struct declaration_request {
  std::function<declared_state()> read;
};
struct declaration {
  std::shared_ptr<const declared_state> state;
  std::shared_ptr<const error> problem;
};

}  // namespace bulkhead

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::declaration_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::declaration)

namespace bulkhead {
namespace {

using reader_actor = caf::typed_actor<caf::replies_to<declaration_request>::with<declaration>>;

declaration read_now(const declaration_request& order) {
  declaration answer;
  try {
    answer.state = std::make_shared<const declared_state>(order.read());
  } catch (const error& problem) {
    answer.problem = std::make_shared<const error>(problem);
  } catch (const std::exception& problem) {
    answer.problem = std::make_shared<const error>(
        error_kind::internal, "what is declared cannot be read", problem.what(), std::string());
  }
  return answer;
}

class declaration_reader final : public reader_actor::base {
 public:
  explicit declaration_reader(caf::actor_config& config) : reader_actor::base(config) {}
  ~declaration_reader() noexcept override = default;

  reader_actor::behavior_type make_behavior() override {
    return {[this](const declaration_request& order) {
      quit();  // once this is answered
      return read_now(order);
    }};
  }
};

std::string line_of(const error& problem) {
  return problem.why().empty() ? problem.what()
                               : fmt::format("{}: {}", problem.what(), problem.why());
}

}  // namespace

config_desk::reading read_elsewhere(broker_services& services, asker& ask,
                                    std::function<declared_state()> declared) {
  if (!declared) return {};
  return [&services, &ask, declared = std::move(declared)] {
    auto reader = services.reactor.system().spawn<declaration_reader, caf::detached>();
    return ask.ask<declaration>(reader, declaration_request{declared})
        .then([](declaration&& answer) -> declared_state {
          if (answer.problem != nullptr) kj::throwFatalException(to_exception(*answer.problem));
          return *answer.state;
        });
  };
}

struct config_desk::work {
  std::vector<config_step> steps;
  std::vector<config_change> done;
};

// -- what there is -------------------------------------------------------------------------------

kj::Promise<declared_state> config_desk::read() {
  return kj::evalNow([this]() -> kj::Promise<declared_state> {
           if (!read_)
             refuse(error_kind::failed_precondition, "nothing is declared",
                    "the broker was started without a configuration file",
                    "bulkheadd --config FILE");
           return read_();
         })
      .then([this](declared_state&& wanted) {
        if (!fixed_) fixed_ = wanted.fixed;
        return kj::mv(wanted);
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
    actual_mount mount{route.entry->spec, route.entry->declared, route.unusable};
    if (route.entry->removing) mount.problem = "it is being removed";
    result.mounts.push_back(std::move(mount));
  });
  if (fixed_) result.fixed = *fixed_;
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
        return do_next(job).then([job] { return std::move(job->done); });
      })
      .catch_([this](kj::Exception&& problem) -> std::vector<config_change> {
        core_.services().events.record({}, 0, "config_refused", line_of(to_error(problem)));
        kj::throwFatalException(kj::mv(problem));
      });
}

void config_desk::apply_soon() {
  tasks_.add(apply(false).ignoreResult());
}

/// It is an event already.
void config_desk::taskFailed(kj::Exception&&) {}

kj::Promise<void> config_desk::do_next(std::shared_ptr<work> job) {
  if (job->done.size() == job->steps.size()) return kj::READY_NOW;
  const auto& step = job->steps[job->done.size()];
  auto done = step.shown.problem.empty() ? kj::evalNow([&] { return carry_out(step); })
                                         : kj::Promise<void>(kj::READY_NOW);
  return done
      .then([] { return std::string(); },
            [](kj::Exception&& problem) { return line_of(to_error(problem)); })
      .then([this, job](std::string&& problem) {
        auto change = job->steps[job->done.size()].shown;
        if (!problem.empty()) change.problem = std::move(problem);
        tell(change);
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
      return tune(step.tune);
    case config_action::unmount:
      return core_.unmount(step.mount.path);
    case config_action::unpin:
      return catalog.unpin(step.pin.kind, step.pin.name);
    case config_action::deregister:
      return catalog.remove({step.release.kind, step.release.name, step.release.version});
    case config_action::configure:
      break;
  }
  return kj::READY_NOW;
}

/// A mount that is just starting cannot be reloaded.
kj::Promise<void> config_desk::tune(tune_request what) {
  auto started =
      what.reload ? core_.await_start(what.path).ignoreResult() : kj::Promise<void>(kj::READY_NOW);
  return started.then([this, what = std::move(what)]() mutable {
    return core_.tune(std::move(what)).ignoreResult();
  });
}

void config_desk::tell(const config_change& change) {
  const auto said = fmt::format("{} {}: {}", change.action, change.target, change.detail);
  if (change.problem.empty())
    core_.services().events.record({}, 0, "configured", said);
  else
    core_.services().events.record({}, 0, "config_problem",
                                   fmt::format("{}: {}", said, change.problem));
}

}  // namespace bulkhead
