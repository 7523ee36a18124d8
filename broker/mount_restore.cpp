// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, fourth part: its start. Mounts that the store holds are started again, without
// waiting for them; removals that were cut short go on; records that cannot be used are kept in
// sight; views and snapshots that belong to no mount, of a mount that was never acknowledged, are
// swept.
//
// Cost: linear in the number of mounts (times its logarithm) and in that of views; one read for
// each view.
#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>

#include "actors/wipe.hpp"
#include "broker/broker_core.hpp"
#include "broker/mount_rules.hpp"
#include "broker/refusal.hpp"
#include "broker/state_restore.hpp"
#include "broker/view.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

// What the keys of every view, and of every snapshot, begin with.
constexpr const char* views_root = "view/";
constexpr const char* snapshots_root = "snapshot/";

}  // namespace

kj::Promise<void> broker_core::load() {
  // What may run is known before anything does.
  return services_.trust->load()
      .then([this] { return services_.catalog->load(); })
      .then([this] { return load_restored(); })
      .then([this] { return load_page({}); })
      .then([this]() -> kj::Promise<void> {
        // In a group the order of mounting counts.
        std::stable_sort(restored_.begin(), restored_.end(), [](const auto& a, const auto& b) {
          return a->created_unix_ms < b->created_unix_ms;
        });
        for (const auto& entry : std::exchange(restored_, {})) {
          auto* route = route_of(*entry);
          if (entry->removing)
            begin_removal(*route);
          else
            services_.reactor.detach(start(entry));
        }
        parent_.open();
        // What cannot be told from somebody's data is not deleted.
        if (!views_are_known_) return kj::READY_NOW;
        return sweep(views_root, {}).then([this] { return sweep(snapshots_root, {}); });
      });
}

/// A state that was put back from a backup does not know which generations were used after it.
kj::Promise<void> broker_core::load_restored() {
  range_request request;
  request.keys = key_range::one(restored_key);
  return services_.store.range(std::move(request)).then([this](range_result&& found) {
    if (!found.rows.empty()) generations_floor_ = restored_generation(found.rows.front().value);
  });
}

kj::Promise<void> broker_core::load_page(std::string after) {
  range_request request;
  request.keys = key_range::prefix(mounts_prefix);
  request.after = std::move(after);
  return services_.store.range(std::move(request))
      .then([this](range_result&& page) -> kj::Promise<void> {
        for (auto& row : page.rows) {
          restore(row.key, row.value);
          wipe(row.value);
        }
        if (!page.more) return kj::READY_NOW;
        return load_page(page.rows.back().key);
      });
}

void broker_core::restore(const std::string& key, const std::string& bytes) {
  const auto path = key.substr(mounts_prefix.size());
  mount_record stored;
  const bool readable = decode_record(bytes, stored);
  auto problem = readable ? problem_of(stored, path)
                          : record_problem{"its record in the store makes no sense"};
  stored.generations_reserved = std::max(stored.generations_reserved, generations_floor_);
  if (!problem.reason.empty()) return shelve(path, std::move(stored), problem);
  mount_route route;
  route.entry = make_entry(std::move(stored));
  if (route.entry->removing) {
    revoke(*route.entry);
    services_.events.record(path, route.entry->generations_used, "draining",
                            "its removal goes on: the broker ended before it was done");
  }
  restored_.push_back(route.entry);
  add_route(path, std::move(route));
}

/// Why a record that can be read cannot be used.
broker_core::record_problem broker_core::problem_of(mount_record& stored,
                                                    const std::string& path) const {
  if (stored.spec.path != path) return {"its record in the store is that of another mount"};
  auto refused = kj::runCatchingExceptions([&] {
    std::string why;
    if (!stored.removing)
      check_mount_spec(stored.spec, services_.limits);
    else if (normalise_mount_path(path, why) != path)
      refuse(error_kind::invalid_argument, "its path is none", why);
  });
  KJ_IF_MAYBE (problem, refused) {
    const auto said = to_error(*problem);
    return {fmt::format("its record in the store is refused: {}: {}", said.what(), said.why()),
            !stored.removing};
  }
  if (auto taken = routes_.overlap(path))
    return {fmt::format("the mount '{}' overlaps with it", *taken)};
  return {};
}

/// Keeps what cannot be mounted, in sight where its path allows that.
void broker_core::shelve(const std::string& path, mount_record stored, const record_problem& why) {
  const auto& reason = why.reason;
  const auto shown = wire::escape_line(path);
  services_.events.record(shown, 0, "unreadable", reason);
  KJ_LOG(ERROR, "a mount is kept, and not mounted", shown, reason);
  if (stored.uuid.empty())
    views_are_known_ = false;
  else
    uuids_.insert(stored.uuid);
  std::string problem;
  if (normalise_mount_path(path, problem) != path || routes_.overlap(path)) return;
  mount_record kept;
  kept.spec.path = path;
  kept.uuid = stored.uuid;
  kept.removing = stored.removing;
  mount_route route;
  route.entry = make_entry(why.of_its_rules ? std::move(stored) : std::move(kept));
  route.unusable = reason;
  route.tunable = why.of_its_rules;
  route.entry->slot->refuse(exception(error_kind::quarantined,
                                      fmt::format("mount '{}' is quarantined", path), reason,
                                      remedy_of(route)));
  add_route(path, std::move(route));
}

/// Deletes what belongs to no mount, one owner at a time.
kj::Promise<void> broker_core::sweep(std::string root, std::string after) {
  range_request request;
  request.keys = key_range::prefix(root);
  request.after = std::move(after);
  request.limit = 1;
  request.keys_only = true;
  return services_.store.range(std::move(request))
      .then([this, root = std::move(root)](range_result&& page) mutable -> kj::Promise<void> {
        if (page.rows.empty()) return kj::READY_NOW;
        const auto& key = page.rows.front().key;
        const auto uuid = key.substr(root.size(), key.find('/', root.size()) - root.size());
        const bool known = uuids_.contains(uuid);
        // '0' follows '/': the next key that can be another mount's.
        auto next = root + uuid + "0";
        auto done = known ? kj::Promise<void>(kj::READY_NOW)
                          : delete_keys_below(services_.store, root + uuid + "/").ignoreResult();
        return done.then([this, root = std::move(root), next = std::move(next)]() mutable {
          return sweep(std::move(root), std::move(next));
        });
      });
}

}  // namespace bulkhead
