// SPDX-License-Identifier: Apache-2.0
//
// The mount's actor, fourth part: the release that the mount keeps to.
#include <fmt/format.h>

#include <utility>

#include "broker/convert.hpp"
#include "broker/mount_supervisor.hpp"

namespace bulkhead {
namespace {

/// Resolves when the record says it. When that fails the entry is as before, so that the next start
/// tries again.
kj::Promise<void> keep_to_release(broker_services& services, mount_entry& entry,
                                  const release& of) {
  if (entry.version_running == of.spec.version && entry.spec.kind == of.spec.kind)
    return kj::READY_NOW;
  const auto version = std::exchange(entry.version_running, of.spec.version);
  const auto kind = std::exchange(entry.spec.kind, of.spec.kind);
  return services.save_entry(entry, entry.generations_reserved)
      .catch_([&entry, version, kind](kj::Exception&& problem) {
        entry.version_running = version;
        entry.spec.kind = kind;
        kj::throwFatalException(kj::mv(problem));
      });
}

}  // namespace

/// The steps before a start. Before anything of another release runs, the record says that the
/// mount runs it: a broker that dies meanwhile goes on with it.
std::function<kj::Promise<process_spec>()> mount_supervisor::keeping_to(
    const release_choice& choice) {
  if (!choice.prepare || choice.of == nullptr) return choice.prepare;
  // The instance that does this may outlive this actor by a moment.
  return [&services = services_, entry = entry_, choice]() -> kj::Promise<process_spec> {
    return choice.prepare().then([&services, entry, of = choice.of](process_spec&& program) {
      return keep_to_release(services, *entry, *of)
          .then([entry, program = kj::mv(program)]() mutable { return kj::mv(program); });
    });
  };
}

/// Writes which release runs. It runs whether that can be written or not.
kj::Promise<void> mount_supervisor::keep_to(const std::shared_ptr<const release>& of) {
  return services_.save_entry(*entry_, entry_->generations_reserved)
      .catch_([this, path = entry_->spec.path, of](kj::Exception&& problem) {
        const auto why = to_error(problem);
        services_.events.record(
            path, live_.generation, "not_stored",
            fmt::format("that it runs {}: {}", of == nullptr ? "a file" : to_string(of->id()),
                        why.what()));
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
