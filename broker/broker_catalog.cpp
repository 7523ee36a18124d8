// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, where it meets the catalog and trust: who uses which release, and what follows
// for mounts when a key does not count any more.
#include <fmt/format.h>

#include <algorithm>

#include "broker/broker_core.hpp"
#include "broker/catalog/registration.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/convert.hpp"

namespace bulkhead {
namespace {

constexpr std::size_t mounts_judged_in_a_turn = 32;

}  // namespace

broker_core::~broker_core() noexcept(false) = default;

/// What mounts run, what they ask for, and what they would take with their next start.
release_catalog::usage broker_core::release_usage() {
  release_catalog::usage users;
  for (const auto& [path, route] : routes_) {
    const auto& spec = route.entry->spec;
    std::set<release_id> used;
    if (!route.entry->version_running.empty())
      used.insert({spec.kind, spec.plugin, route.entry->version_running});
    if (!spec.version.empty()) used.insert({spec.kind, spec.plugin, spec.version});
    for (const auto& [generation, run] : route.entry->runs)
      if (!run.set_aside) used.insert(run.of->id());
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
      .then([this, revoke]() -> kj::Promise<paths> {
        auto all = std::make_shared<paths>();
        for (const auto& [path, route] : routes_) all->push_back(path);
        auto affected = std::make_shared<paths>();
        return find_untrusted(kj::mv(all), 0, affected)
            .then([this, revoke, affected] {
              auto stopped = kj::Vector<kj::Promise<void>>();
              if (revoke)
                for (const auto& path : *affected) stopped.add(condemn(path));
              return kj::joinPromises(stopped.releaseAsArray());
            })
            .then([affected] { return std::move(*affected); });
      });
}

/// Adds the mounts that run what nobody vouches for any more. After a change of trust every
/// signature is checked anew: a few mounts in one turn, so that others get theirs.
kj::Promise<void> broker_core::find_untrusted(std::shared_ptr<paths> all, std::size_t next,
                                              std::shared_ptr<paths> found) {
  const auto end = std::min(all->size(), next + mounts_judged_in_a_turn);
  for (; next < end; ++next) {
    const auto* route = routes_.exact((*all)[next]);
    if (route != nullptr && runs_untrusted(*route->entry)) found->push_back((*all)[next]);
  }
  if (next == all->size()) return kj::READY_NOW;
  return kj::evalLater([this, all = std::move(all), next, found = std::move(found)]() mutable {
    return find_untrusted(std::move(all), next, std::move(found));
  });
}

/// Of an instance of it, serving or not.
bool broker_core::runs_untrusted(const mount_entry& entry) const {
  return std::any_of(entry.runs.begin(), entry.runs.end(),
                     [this](const auto& each) { return !may_go_on(services_, each.second.of); });
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
