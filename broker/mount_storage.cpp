// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, fifth part: its storage while instances come and go.
//
// An instance is started when the view is what its record says (broker/storage_upgrade.hpp); one
// that ends in the middle of an upgrade has its view put back at once. When that upgrade came by a
// reload, the release before it serves again: the upgrade has failed, the mount has not.
#include <fmt/format.h>

#include <algorithm>

#include "broker/catalog/release_catalog.hpp"
#include "broker/convert.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/storage_upgrade.hpp"
#include "broker/upgrade_rules.hpp"

namespace bulkhead {

bool mount_supervisor::storage_is_settled() const {
  return !is_unsettled(state_of_snapshot(*entry_));
}

void mount_supervisor::launch_settled(std::uint64_t generation) {
  if (storage_is_settled())
    live_ = start_instance(generation, false);
  else
    settle_then_launch(generation);
}

/// Brings the view into one piece and starts the instance then.
void mount_supervisor::settle_then_launch(std::uint64_t generation) {
  run(settle_storage(services_, entry_)
          .then([this, generation] { this->send(this, mount_launch{generation}); },
                [this, generation](kj::Exception&& problem) {
                  step(event::start_failed{instance_id, generation,
                                           fmt::format("its storage could not be put back: {}",
                                                       to_error(problem).what()),
                                           false});
                }));
}

/// Resolves when none of the instances that were replaced, or given up, lives any more.
kj::Promise<void> mount_supervisor::become_alone() {
  if (old_.empty()) return kj::READY_NOW;
  auto waiter = kj::newPromiseAndFulfiller<void>();
  alone_waiters_.push_back(kj::mv(waiter.fulfiller));
  return kj::mv(waiter.promise);
}

void mount_supervisor::tell_alone() {
  if (!old_.empty()) return;
  for (auto& each : std::exchange(alone_waiters_, {})) each->fulfill();
}

/// Nothing of an instance that has ended reaches the storage any more; what its upgrade was at is
/// taken back.
void mount_supervisor::close_storage(const run_of& whose) {
  if (whose.offer == nullptr) return;
  whose.offer->end_loan();
  settle_storage_soon(services_, entry_);
}

/// The instance before served until a reload stopped it, and this one's upgrade has failed.
bool mount_supervisor::falls_back() const {
  if (!reloaded_alone_ || leaving_ || halted_ || entry_->closed) return false;
  if (live_.offer == nullptr || !live_.offer->upgrade_failed() || live_.of == nullptr) return false;
  const auto& before = entry_->version_running;
  return !before.empty() && before != live_.of->spec.version &&
         services_.catalog->find({entry_->spec.kind, entry_->spec.plugin, before}) != nullptr;
}

/// In place of a failed start: the release before starts at once, and whoever waits hears, when it
/// serves, why it is that one.
std::vector<action::report> mount_supervisor::fall_back(const std::string& why) {
  entry_->take_wanted = start_failed_ = permanent_failure_ = false;
  for (auto& waiter : waiters_)
    waiter = [waiter = std::move(waiter), why](const mount_snapshot& now) {
      auto told = now;
      told.start_failure = why;
      waiter(told);
    };
  services_.events.record(entry_->spec.path, live_.generation, "upgrade_failed", why);
  step(event::restart_child{instance_id, "the release before it serves again"});
  return step(event::exited{instance_id, live_.generation, exit_kind::shutdown, why});
}

}  // namespace bulkhead
