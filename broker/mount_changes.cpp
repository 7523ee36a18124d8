// SPDX-License-Identifier: Apache-2.0
//
// The broker's core, second part: a mount gets other rules (tune) or another path (move).
//
// Both are checked as a whole first, are then one transaction of the store, and only then change
// what is in memory; so they have happened or they have not, whatever becomes of the broker, and
// what was answered is durable. While one is under way no other change of the same mount begins.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "actors/wipe.hpp"
#include "broker/broker_core.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"
#include "broker/mount_rules.hpp"
#include "broker/option_rules.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

[[noreturn]] void refuse_option(const std::string& name, std::string why) {
  refuse(error_kind::invalid_argument,
         fmt::format("option '{}' cannot be unset", wire::escape_line(name)), std::move(why));
}

void set_options(std::vector<option>& options, const tune_request& what) {
  const auto named = [](const std::string& name) {
    return [&name](const option& each) { return each.name == name; };
  };
  for (const auto& name : what.unset_options) {
    if (std::any_of(what.options.begin(), what.options.end(), named(name)))
      refuse_option(name, "it is set by the same request");
    // Not erased: what takes its place in memory would leave parts of it behind.
    std::vector<option> others;
    std::remove_copy_if(options.begin(), options.end(), std::back_inserter(others), named(name));
    if (others.size() == options.size()) refuse_option(name, "it is not set");
    options = std::move(others);
  }
  for (const auto& each : what.options) {
    const auto found = std::find_if(options.begin(), options.end(), named(each.name));
    if (found == options.end()) {
      options.push_back(each);
    } else {
      wipe(found->value);
      found->value = each.value;
    }
  }
}

mount_spec tuned(mount_spec spec, const tune_request& what) {
  set_options(spec.options, what);
  if (what.version) spec.version = *what.version;
  if (what.description) spec.description = *what.description;
  if (what.restart) spec.restart = *what.restart;
  if (what.supervision) spec.supervision = *what.supervision;
  if (what.life) spec.life = *what.life;
  if (what.calls) spec.calls = *what.calls;
  if (what.profile) spec.confinement.profile = *what.profile;
  if (what.waive) spec.confinement.waive = *what.waive;
  if (what.limits) spec.confinement.limits = *what.limits;
  if (what.grants) {
    for (auto& each : spec.confinement.grants) wipe(each);
    spec.confinement.grants = *what.grants;
  }
  if (what.thresholds) spec.thresholds = *what.thresholds;
  return spec;
}

/// What was worked out from an earlier spec. The kind is found out by starts, which may have come
/// in between.
void take(mount_record& record, const mount_spec& spec) {
  auto kind = spec.kind.empty() ? record.spec.kind : spec.kind;
  record.spec = spec;
  record.spec.kind = std::move(kind);
}

/// "options, calls", for the event.
std::string names_of(const tune_request& what) {
  std::string names;
  const auto add = [&names](bool is_set, const char* name) {
    if (is_set) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  add(!what.options.empty() || !what.unset_options.empty(), "options");
  add(what.version.has_value(), "version");
  add(what.description.has_value(), "description");
  add(what.restart.has_value(), "restart");
  add(what.supervision.has_value(), "supervision");
  add(what.life.has_value(), "life");
  add(what.calls.has_value(), "calls");
  add(what.profile.has_value(), "profile");
  add(what.waive.has_value(), "waive");
  add(what.limits.has_value(), "limits");
  add(what.grants.has_value(), "grants");
  add(what.thresholds.has_value(), "thresholds");
  return names;
}

}  // namespace

/// Marks the mount as busy until the work has ended.
template <class T>
kj::Promise<T> broker_core::working(mount_route& route, mount_work what, kj::Promise<T> work) {
  route.work = what;
  return work.attach(kj::defer([this, entry = route.entry] {
    if (auto* now = route_of(*entry)) now->work = mount_work::none;
  }));
}

// -- tune ----------------------------------------------------------------------------------------

kj::Promise<mount_snapshot> broker_core::tune(tune_request what) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_tunable(what.path);
    auto entry = route.entry;
    auto spec = tuned(entry->spec, what);
    check_mount_spec(spec, services_.limits);
    check_tuned(services_, spec, what.version.has_value());
    // What runs unregistered has nothing but its own word.
    if (entry->face != nullptr && entry->version_running.empty())
      check_options(entry->face->reader(), spec.options);
    auto before = entry->spec;
    auto work =
        change_record(entry, [spec = std::move(spec)](mount_record& record) { take(record, spec); })
            .then([this, entry, names = names_of(what)] {
              services_.events.record(entry->spec.path, entry->generations_used, "tuned", names);
              use_spec(*entry);
            })
            .then([this, entry, before = std::move(before), reload = what.reload]() mutable {
              if (require(entry->spec.path).tunable) return start_mended(entry);
              return reload ? reload_tuned(entry, std::move(before)) : query_limited(entry);
            });
    return working(route, mount_work::tuning, kj::mv(work));
  });
}

/// The record broke a rule, and does not any more: the mount starts, as with a broker that starts.
kj::Promise<mount_snapshot> broker_core::start_mended(entry_ptr entry) {
  auto& route = require(entry->spec.path);
  route.unusable.clear();
  route.tunable = false;
  return start(entry).then([this, entry] {
    return ask_.ask<mount_snapshot>(require(entry->spec.path).actor, mount_await_start{});
  });
}

/// Makes what runs go by the entry's spec, as far as that concerns the broker.
void broker_core::use_spec(mount_entry& entry) {
  entry.slot->use(slot_rules(entry.spec.calls, services_.limits, times_of(entry.serving_of.get())));
  const auto* route = route_of(entry);
  if (route != nullptr && route->actor) ask_.tell(route->actor, mount_changed{});
}

/// What is told of limits is what came of them.
kj::Promise<mount_snapshot> broker_core::query_limited(entry_ptr entry) {
  return query(require(entry->spec.path), true).then([this, entry](mount_snapshot&&) {
    return query(require(entry->spec.path));
  });
}

/// Replaces the instance. When the new one does not come up, the spec is what it was before.
kj::Promise<mount_snapshot> broker_core::reload_tuned(entry_ptr entry, mount_spec before) {
  return ask_.ask<reload_result>(require(entry->spec.path).actor, mount_reload{})
      .catch_([](kj::Exception&& problem) {  // the mount's actor has gone
        reload_result failed;
        failed.reason = to_error(problem).what();
        return failed;
      })
      .then([this, entry, before = std::move(before)](
                reload_result&& result) mutable -> kj::Promise<mount_snapshot> {
        if (result.outcome != reload_outcome::failed) return query(require(entry->spec.path));
        return undo_tune(entry, std::move(before), std::move(result.reason));
      });
}

/// Fails with the reason for which the tuning is taken back, or says that it could not be.
kj::Promise<mount_snapshot> broker_core::undo_tune(entry_ptr entry, mount_spec before,
                                                   std::string why) {
  return change_record(entry, [before](mount_record& record) { take(record, before); })
      .then(
          [this, entry, why]() -> mount_snapshot {
            services_.events.record(entry->spec.path, entry->generations_used, "tune_undone", why);
            use_spec(*entry);
            refuse(error_kind::start_failed,
                   fmt::format("'{}' was not tuned: its reload failed", entry->spec.path), why,
                   "without --reload the rules are kept for the next start");
          },
          [entry, why](kj::Exception&& problem) -> mount_snapshot {
            const auto unwritten = to_error(problem);
            refuse(unwritten.kind(),
                   fmt::format("'{}' is tuned, but its reload failed", entry->spec.path),
                   fmt::format("{}; and it could not be tuned back: {}", why, unwritten.what()),
                   "the rules count from the next start on; tune it again to change that");
          });
}

// -- move ----------------------------------------------------------------------------------------

kj::Promise<mount_snapshot> broker_core::move(const std::string& from, const std::string& to) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_settled(from);
    auto entry = route.entry;
    const auto before = entry->spec.path;
    auto spec = entry->spec;
    spec.path = to;
    check_mount_spec(spec, services_.limits);
    const auto after = spec.path;
    if (after == before)
      refuse(error_kind::already_exists, fmt::format("'{}' is there already", after));
    check_free(after, before);
    promised_.insert(after);
    auto work = change_record(entry, [after](mount_record& record) { record.spec.path = after; })
                    .attach(kj::defer([this, after] { promised_.erase(after); }))
                    .then([this, entry] { return query(require(entry->spec.path)); });
    return working(route, mount_work::moving, kj::mv(work));
  });
}

kj::Promise<void> broker_core::adopt(const std::string& path) {
  return kj::evalNow([&] {
    return change_record(require(path).entry,
                         [](mount_record& record) { record.declared_path = record.spec.path; });
  });
}

/// The store has moved the record.
void broker_core::switch_routes(const std::string& from, const std::string& to) {
  routes_.rename(from, to);
  parent_.rename(from, to);
  auto& route = *routes_.exact(to);
  auto& entry = *route.entry;
  entry.slot->rename(to);
  for (auto& each : entry.crashes) each.mount = to;
  services_.events.record(to, entry.generations_used, "moved", fmt::format("from {}", from));
  if (const auto why = parent_.absence(to))
    tell_slot_of_absence(entry, *why);
  else
    use_spec(entry);
}

}  // namespace bulkhead
