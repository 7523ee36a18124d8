// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, where it meets the catalog and trust: who uses which release, and what follows
// for mounts when a key does not count any more.
#include <fmt/format.h>

#include "broker/broker_core.hpp"
#include "broker/catalog/registration.hpp"
#include "broker/convert.hpp"

namespace bulkhead {

broker_core::~broker_core() noexcept(false) = default;

/// What mounts run, and what they would with their next start.
release_catalog::usage broker_core::release_usage() {
  release_catalog::usage users;
  for (const auto& [path, route] : routes_) {
    const auto& spec = route.entry->spec;
    std::set<release_id> used;
    if (!route.entry->version_running.empty())
      used.insert({spec.kind, spec.plugin, route.entry->version_running});
    const auto meant = services_.catalog->resolve({spec.kind, spec.plugin, spec.version});
    if (meant.found()) used.insert(meant.chosen->id());
    for (const auto& id : used) users[id].push_back(path);
  }
  return users;
}

kj::Promise<release_info> broker_core::register_release(release_spec spec, bool declared) {
  if (stopping_) return exception(error_kind::broker_stopping, "the broker is stopping");
  return registrar_->run(std::move(spec), declared);
}

trust_report broker_core::trust() const {
  auto report = services_.trust->report();
  report.development = services_.config.allow_unregistered;
  return report;
}

kj::Promise<std::vector<std::string>> broker_core::untrust(std::string id, bool revoke,
                                                           std::string reason) {
  return services_.trust->untrust(std::move(id), revoke, std::move(reason))
      .then([this] { return query_all(); })
      .then([this, revoke](std::vector<mount_snapshot>&& all) -> kj::Promise<paths> {
        paths affected;
        for (const auto& each : all) {
          const bool runs = each.status.pid != 0 || each.status.state == mount_state::starting;
          if (runs && runs_untrusted(each.status.path)) affected.push_back(each.status.path);
        }
        if (!revoke) return kj::mv(affected);
        auto stopped = kj::Vector<kj::Promise<void>>();
        for (const auto& path : affected) stopped.add(condemn(path));
        return kj::joinPromises(stopped.releaseAsArray()).then([affected = kj::mv(affected)] {
          return affected;
        });
      });
}

/// The mount's release would not be started any more.
bool broker_core::runs_untrusted(const std::string& path) {
  const auto* route = routes_.exact(path);
  if (route == nullptr || route->entry->version_running.empty()) return false;
  const auto& spec = route->entry->spec;
  const auto of = services_.catalog->find({spec.kind, spec.plugin, route->entry->version_running});
  return of != nullptr && !services_.trust->judge(*of).accepted();
}

kj::Promise<void> broker_core::condemn(const std::string& path) {
  const auto* route = routes_.exact(path);
  if (route == nullptr || !route->unusable.empty() || parent_.absence(path)) return kj::READY_NOW;
  return ask_
      .ask<mount_snapshot>(route->actor, mount_condemn{"a key that signed its release was revoked"})
      .ignoreResult()
      .catch_([](kj::Exception&&) {});  // it has gone meanwhile
}

}  // namespace bulkhead
