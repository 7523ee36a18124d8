// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, fourth part: the release that the mount keeps to.
#include <fmt/format.h>

#include <utility>

#include "broker/convert.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/storage_upgrade.hpp"

namespace bulkhead {

/// Writes that the mount runs on with this release, whatever the record says (but for a rollback).
/// It does, whether that can be written or not: every later change of the record says so, too.
kj::Promise<void> mount_supervisor::keep_to(const std::shared_ptr<const release>& of) {
  if (of == nullptr) return kj::READY_NOW;
  write_release(*entry_, of.get());
  return write_release(services_, entry_, of)
      .catch_([this, path = entry_->spec.path, of](kj::Exception&& problem) {
        const auto why = to_error(problem);
        services_.events.record(
            path, live_.generation, "not_stored",
            fmt::format("that it runs {}: {}", to_string(of->id()), why.what()));
      });
}

/// Ends what may not run any more: on trial, finishing its calls, or serving.
caf::result<mount_snapshot> mount_supervisor::condemn(const std::string& reason) {
  if (leaving_ || entry_->closed) return snapshot();
  const auto condemned = [this](const run_of& which) {
    return !which.ended && which.of != nullptr && !may_go_on(services_, which.of);
  };
  const bool serving = condemned(live_);
  if (reload_ && (serving || condemned(reload_->green))) abandon_reload(reason);
  for (const auto& each : old_) {
    if (!condemned(each)) continue;
    entry_->slot->cut(
        each.generation,
        exception(error_kind::plugin_unavailable,
                  fmt::format("the instance of '{}' that had this call was stopped: {}",
                              entry_->spec.path, reason),
                  "whether the call took effect is not known"));
    stop_instance(each, false);
  }
  if (!serving) return snapshot();
  entry_->take_wanted = false;
  restart(reason);
  return await_start();
}

}  // namespace bulkhead
