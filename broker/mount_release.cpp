// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, fourth part: the release that the mount keeps to.
#include <fmt/format.h>

#include <utility>

#include "broker/convert.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/storage_upgrade.hpp"

namespace bulkhead {

/// Writes which release runs. It runs whether that can be written or not.
kj::Promise<void> mount_supervisor::keep_to(const std::shared_ptr<const release>& of) {
  if (of == nullptr) return kj::READY_NOW;
  return note_release(services_, entry_, of)
      .catch_([this, path = entry_->spec.path, of](kj::Exception&& problem) {
        const auto why = to_error(problem);
        services_.events.record(
            path, live_.generation, "not_stored",
            fmt::format("that it runs {}: {}", to_string(of->id()), why.what()));
      });
}

caf::result<mount_snapshot> mount_supervisor::condemn(const std::string& reason) {
  const auto now = state();
  if (leaving_ || entry_->closed || now == child_state::stopped || now == child_state::quarantined)
    return snapshot();
  abandon_reload(reason);
  entry_->take_wanted = false;
  restart(reason);
  return await_start();
}

}  // namespace bulkhead
