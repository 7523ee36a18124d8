// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_core.hpp"

#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "broker/catalog/registration.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/convert.hpp"
#include "broker/fair_store.hpp"
#include "broker/instance_settings.hpp"
#include "broker/mount_record.hpp"
#include "broker/mount_rules.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/redact.hpp"
#include "broker/refusal.hpp"
#include "broker/view.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  KJ_ASSERT(::getrandom(raw.data(), raw.size(), 0) == static_cast<ssize_t>(raw.size()));
  std::string hex;
  for (const char byte : raw) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

/// A random UUID (RFC 4122, version 4).
std::string make_uuid() {
  auto hex = random_hex(16);
  hex[12] = '4';
  hex[16] = "89ab"[static_cast<unsigned>(hex[16]) % 4];
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

/// Quarantine is left by reset alone.
mount_snapshot not_in_quarantine(mount_snapshot&& now) {
  if (now.refused)
    refuse(error_kind::failed_precondition, fmt::format("'{}' is quarantined", now.status.path),
           now.status.reason, fmt::format("bulkhead reset {}", now.status.path));
  return kj::mv(now);
}

void check_reload(const reload_request& how) {
  constexpr std::chrono::hours canary_max{24};
  if (how.canary_percent > 99)
    refuse(error_kind::invalid_argument, "canary_percent is out of range", "it is 0 to 99");
  if (how.canary.count() < 1 || how.canary > canary_max)
    refuse(error_kind::invalid_argument, "canary is out of range", "it is 1 ms to 24 h");
}

/// Fails while a change of the mount is under way.
void require_idle(const mount_route& route) {
  static constexpr std::array words = {"", "mounted", "tuned", "moved", "rolled back", "unmounted"};
  if (route.work != mount_work::none)
    refuse(error_kind::failed_precondition,
           fmt::format("'{}' is being {}", route.entry->spec.path,
                       words.at(static_cast<std::size_t>(route.work))),
           "wait until that has ended");
}

constexpr std::size_t queries_at_once = 64;
constexpr const char* being_removed = "being removed";

reload_result failed_reload(const std::string& path, const kj::Exception& problem) {
  reload_result result;
  result.path = path;
  result.reason = to_error(problem).what();
  return result;
}

}  // namespace

std::string remedy_of(const mount_route& route) {
  const auto& path = route.entry->spec.path;
  return route.tunable ? fmt::format("bulkhead tune {}, so that it keeps the rules", path)
                       : fmt::format("bulkhead unmount {}, and mount it anew", path);
}

broker_core::broker_core(broker_services& services, asker& ask, mounts_parent& parent)
    : services_(services), ask_(ask), parent_(parent) {
  registrar_ = std::make_unique<registrar>(services, ask);
  services_.ask = &ask;
  services_.catalog->set_usage([this] { return release_usage(); });
  services_.change_record = [this](entry_ptr entry, record_change change) {
    return change_record(std::move(entry), std::move(change));
  };
  parent_.watch([this](const std::string& path, const mount_absence& why) { absent(path, why); });
}

/// A mount's actor is gone, for a while or for good, and its slot with nobody to switch it.
void broker_core::absent(const std::string& path, const mount_absence& why) {
  auto* route = routes_.exact(path);
  if (route == nullptr || route->entry->closed) return;
  if (why.state != mount_state::stopped)
    services_.events.record(path, route->entry->generations_used, to_string(why.state), why.reason);
  tell_slot_of_absence(*route->entry, why);
}

void broker_core::tell_slot_of_absence(mount_entry& entry, const mount_absence& why) {
  const auto& path = entry.spec.path;
  if (why.state == mount_state::backoff) {
    entry.slot->hold(
        fmt::format("it restarts in {}: {}", duration_text(why.backoff_left), why.reason));
  } else if (why.state == mount_state::quarantined) {
    entry.slot->refuse(exception(error_kind::quarantined,
                                 fmt::format("mount '{}' is quarantined", path), why.reason,
                                 fmt::format("bulkhead reset {}", path)));
  } else {
    entry.slot->hold(why.reason);  // its turn in the restart of its group comes
  }
}

// -- routes --------------------------------------------------------------------------------------

mount_route& broker_core::add_route(const std::string& path, mount_route route) {
  if (!route.entry->uuid.empty()) uuids_.insert(route.entry->uuid);
  routes_.insert(path, std::move(route));
  return *routes_.exact(path);
}

void broker_core::erase_route(const std::string& path) {
  if (const auto* route = routes_.exact(path)) uuids_.erase(route->entry->uuid);
  routes_.erase(path);
}

/// Null when the mount has gone.
mount_route* broker_core::route_of(const mount_entry& entry) {
  auto* route = routes_.exact(entry.spec.path);
  return route != nullptr && route->entry.get() == &entry ? route : nullptr;
}

// -- mount ---------------------------------------------------------------------------------------

void broker_core::check(mount_spec& spec) {
  const auto& limits = services_.limits;
  check_mount_spec(spec, limits);
  if (stopping_) refuse(error_kind::broker_stopping, "the broker is stopping");
  if (routes_.size() >= limits.mounts_max)
    refuse(error_kind::overloaded, "no further mount is possible",
           fmt::format("there are {}, the limit mounts_max", limits.mounts_max));
  check_free(spec.path);
  if (auto problem = group_problem_of(spec); !problem.empty())
    refuse(error_kind::invalid_argument, std::move(problem), "groups come from the configuration",
           "bulkhead tree");
  check_plugin(services_, spec);
}

/// Fails with already_exists when another mount than `but_for` is at the path, above or below it,
/// or is about to be.
void broker_core::check_free(const std::string& path, const std::string& but_for) const {
  auto taken = routes_.overlap(path, but_for);
  for (const auto& each : promised_)
    if (!taken && (each.starts_with(path) || path.starts_with(each))) taken = each;
  if (!taken) return;
  refuse(error_kind::already_exists, fmt::format("'{}' is not free", path),
         *taken == path ? "there is a mount at this path"
                        : fmt::format("the mount '{}' overlaps with it", *taken),
         fmt::format("bulkhead unmount {}   |   choose another path", *taken));
}

/// Empty, or that the group is not there.
std::string broker_core::group_problem_of(const mount_spec& spec) const {
  const auto& groups = services_.config.groups;
  const auto is_it = [&spec](const group_spec& each) { return each.name == spec.group; };
  if (spec.group.empty() || std::any_of(groups.begin(), groups.end(), is_it)) return {};
  return fmt::format("there is no group '{}'", wire::escape_line(spec.group));
}

std::shared_ptr<mount_entry> broker_core::make_entry(mount_record record) {
  const auto& limits = services_.limits;
  auto entry = std::make_shared<mount_entry>();
  static_cast<mount_record&>(*entry) = std::move(record);
  entry->generations_used = entry->generations_reserved;
  entry->slot = kj::refcounted<bulkhead::slot>(services_.reactor.timer(), entry->spec.path,
                                               slot_rules(entry->spec.calls, limits));
  entry->slot->heed(services_.load);
  entry->log =
      std::make_shared<mount_log>(limits.log_lines_kept, line_limits_of(limits), services_.clock);
  entry->storage = std::make_shared<fair_store>(services_.store, limits.view_calls_in_store_max);
  return entry;
}

/// Gives the mount, which has a route, an actor.
kj::Promise<void> broker_core::start(const entry_ptr& entry) {
  auto make = [this, entry](const child_ticket& ticket) -> caf::actor {
    auto* route = route_of(*entry);
    if (route == nullptr) return {};
    route->actor = services_.reactor.system().spawn<mount_supervisor>(services_.reactor, entry,
                                                                      services_, ticket);
    return caf::actor_cast<caf::actor>(route->actor);
  };
  return parent_.add(entry->spec.path, entry->spec.group, std::move(make));
}

kj::Promise<mount_snapshot> broker_core::mount(mount_spec spec, bool declared) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    check(spec);
    mount_record record;
    record.uuid = make_uuid();
    record.accessor = fmt::format("{}_{}", spec.plugin, random_hex(4));
    record.created_unix_ms = unix_ms_now();
    record.declared = declared;
    if (declared) record.declared_path = spec.path;
    record.spec = std::move(spec);
    auto entry = make_entry(std::move(record));
    entry->generations_reserved = generation_block;
    entry->acknowledged = false;
    mount_route route;
    route.entry = entry;
    route.work = mount_work::mounting;
    add_route(entry->spec.path, std::move(route));
    return start(entry)
        .then([this, entry] {
          return ask_.ask<mount_snapshot>(require(entry->spec.path).actor, mount_await_start{});
        })
        .then([this, entry](mount_snapshot&& status) { return keep(entry, kj::mv(status)); },
              [this, entry](kj::Exception&& problem) {
                return discard(entry, "its actor has failed")
                    .then([problem = kj::mv(problem)]() mutable -> kj::Promise<mount_snapshot> {
                      kj::throwFatalException(kj::mv(problem));
                    });
              });
  });
}

kj::Promise<mount_snapshot> broker_core::keep(entry_ptr entry, mount_snapshot status) {
  const auto& path = entry->spec.path;
  if (!status.start_failure.empty() ||
      (status.status.state != mount_state::ready && !status.asleep)) {
    const auto why = status.start_failure.empty() ? status.status.reason : status.start_failure;
    const auto lines =
        redact_last(entry->log->last_lines(status.status.generation, 1 + pem_lines_max), 1);
    auto remedy = status.start_remedy.empty()
                      ? "correct the plugin, its file or its options, and mount it again"
                      : status.start_remedy;
    return discard(entry, "its first start failed")
        .then([path, why, lines, remedy = std::move(remedy)]() -> mount_snapshot {
          refuse(error_kind::start_failed, fmt::format("'{}' is not mounted: {}", path, why),
                 lines.empty() ? "" : fmt::format("its last log line: {}", lines.back()), remedy);
        });
  }
  return save_new(entry).then(
      [this, entry, status = kj::mv(status)]() mutable -> kj::Promise<mount_snapshot> {
        const auto& spec = entry->spec;
        require(spec.path).work = mount_work::none;
        services_.events.record(spec.path, status.status.generation, "mounted",
                                fmt::format("plugin {}{}", spec.plugin,
                                            status.status.unregistered ? ", unregistered" : ""));
        return kj::mv(status);
      },
      [this, entry](kj::Exception&& problem) {
        return discard(entry, "it could not be stored")
            .then([problem = kj::mv(problem)]() mutable -> mount_snapshot {
              kj::throwFatalException(kj::mv(problem));
            });
      });
}

/// Takes a mount that was never acknowledged back.
kj::Promise<void> broker_core::discard(entry_ptr entry, std::string reason) {
  entry->closed = true;
  entry->slot->refuse(exception(error_kind::unmounted,
                                fmt::format("'{}' is not mounted", entry->spec.path), reason));
  return stop_actor(entry, mount_stop{std::chrono::milliseconds{0}, reason})
      .then([this, entry] { return delete_storage(entry); })
      .catch_([entry](kj::Exception&& problem) {
        KJ_LOG(ERROR, "a mount was not taken back cleanly", entry->spec.path,
               problem.getDescription());
      })
      .then([this, entry] { erase_route(entry->spec.path); });
}

/// Ends the mount's actor, if it has one, and its place with the supervisor.
kj::Promise<void> broker_core::stop_actor(const entry_ptr& entry, mount_stop order) {
  const auto* route = route_of(*entry);
  auto ended = route == nullptr || !route->actor
                   ? kj::Promise<void>(kj::READY_NOW)
                   : ask_.ask<mount_snapshot>(route->actor, std::move(order))
                         .ignoreResult()
                         .catch_([](kj::Exception&&) {});  // it has ended already
  return ended.then([this, entry] { return parent_.remove(entry->spec.path); }).then([this, entry] {
    if (auto* now = route_of(*entry)) now->actor = mount_actor();
  });
}

// -- records -------------------------------------------------------------------------------------

kj::Promise<void> broker_core::save_new(const entry_ptr& entry) {
  return entry->writes.take().then([this, entry](kj::Own<turns::pass>&& turn) {
    txn_request request;
    const auto key = mount_key(entry->spec.path);
    request.compares.push_back(txn_compare::absent(key));
    request.then.push_back(txn_op::put(key, encode_record(*entry)));
    return services_.store.txn(std::move(request))
        .then([entry](txn_result&& result) {
          if (!result.succeeded)
            refuse(error_kind::already_exists, fmt::format("'{}' is not free", entry->spec.path),
                   "another broker on this state has mounted it");
          entry->acknowledged = true;
        })
        .attach(kj::mv(turn))
        .attach(kj::cp(entry));
  });
}

/// Changes the record in the store, then, by doing the same again, the entry. A change of the path
/// moves the record, and the routes with the entry: nobody sees the one without the other. Whoever
/// asked may go: what the store has been told to do is seen through, that memory may follow.
kj::Promise<void> broker_core::change_record(entry_ptr entry, record_change change) {
  auto turn = entry->writes.take();
  return turn.then([this, entry = std::move(entry),
                    change = std::move(change)](kj::Own<turns::pass>&& pass) -> kj::Promise<void> {
    mount_record next = *entry;
    change(next);
    if (!entry->acknowledged) {  // written as a whole when it is
      change(*entry);
      return kj::READY_NOW;
    }
    const auto before = mount_key(entry->spec.path);
    const auto key = mount_key(next.spec.path);
    txn_request request;
    request.compares.push_back(txn_compare::present(before));
    if (key != before) {
      request.compares.push_back(txn_compare::absent(key));
      request.then.push_back(txn_op::erase(before));
    }
    request.then.push_back(txn_op::put(key, encode_record(next)));
    auto done = services_.store.txn(std::move(request))
                    .then([this, entry, change](txn_result&& result) {
                      if (!result.succeeded)
                        refuse(error_kind::not_found,
                               fmt::format("the record of '{}' is not as it was", entry->spec.path),
                               "another broker on this state has changed it");
                      const auto path = entry->spec.path;
                      change(*entry);
                      if (entry->spec.path != path) switch_routes(path, entry->spec.path);
                    })
                    .attach(kj::mv(pass))
                    .attach(kj::cp(entry))  // which the pass refers to
                    .fork();
    services_.reactor.detach(done.addBranch().catch_([](kj::Exception&&) {}));
    return done.addBranch();
  });
}

void broker_core::refuse_all() {
  stopping_ = true;
  for (auto& [path, route] : routes_) {
    route.entry->closed = true;
    route.entry->slot->refuse(exception(error_kind::broker_stopping, "the broker is stopping", {}));
  }
}

// -- questions and orders ------------------------------------------------------------------------

mount_route& broker_core::require(const std::string& path) {
  std::string problem;
  const auto normal = normalise_mount_path(path, problem);
  auto* route = normal ? routes_.exact(*normal) : nullptr;
  if (route == nullptr)
    refuse(error_kind::not_found, fmt::format("there is no mount '{}'", wire::escape_line(path)),
           problem, "bulkhead mounts");
  return *route;
}

mount_route& broker_core::require_usable(const std::string& path) {
  auto& route = require(path);
  const auto& name = route.entry->spec.path;
  if (!route.unusable.empty())
    refuse(error_kind::failed_precondition, fmt::format("'{}' cannot be started", name),
           route.unusable, remedy_of(route));
  if (!route.actor && route.entry->removing)
    refuse(error_kind::failed_precondition, fmt::format("'{}' is being removed", name),
           route.removal_problem, fmt::format("bulkhead unmount {}", name));
  return route;
}

mount_route& broker_core::require_settled(const std::string& path) {
  auto& route = require_usable(path);
  require_idle(route);
  return route;
}

/// As require_settled(), or one that other rules put right.
mount_route& broker_core::require_tunable(const std::string& path) {
  auto& route = require(path);
  if (!route.tunable) return require_settled(path);
  require_idle(route);
  return route;
}

route_table<mount_route>::match broker_core::find(std::string_view path) {
  auto found = routes_.find(path);
  if (!found)
    refuse(error_kind::not_found, fmt::format("no mount serves '{}'", wire::escape_line(path)), {},
           "bulkhead mounts");
  return *found;
}

kj::Promise<mount_snapshot> broker_core::query(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> { return query(require(path)); });
}

kj::Promise<mount_snapshot> broker_core::query(const mount_route& route, bool limited) {
  const auto entry = route.entry;
  if (!route.unusable.empty() && !entry->removing)
    return snapshot_without_actor(*entry, {mount_state::quarantined, route.unusable, {}});
  if (!route.actor && entry->removing) {
    auto reason = route.removal_problem.empty()
                      ? std::string(being_removed)
                      : fmt::format("{}, and stands still: {}; `bulkhead unmount {}` goes on",
                                    being_removed, route.removal_problem, entry->spec.path);
    return snapshot_without_actor(*entry, {mount_state::draining, std::move(reason), {}});
  }
  if (const auto why = parent_.absence(entry->spec.path))
    return snapshot_without_actor(*entry, *why);
  return ask_.ask<mount_snapshot>(route.actor, mount_query{limited})
      .then([this, entry](mount_snapshot&& now) {
        now.status.path = entry->spec.path;  // it may have been moved since
        now.status.restarts += parent_.restarts(entry->spec.path);
        if (entry->removing) now.status.reason = being_removed;
        return kj::mv(now);
      });
}

mount_snapshot broker_core::snapshot_without_actor(mount_entry& entry,
                                                   const mount_absence& why) const {
  mount_snapshot result;
  auto& status = result.status;
  status.path = entry.spec.path;
  status.uuid = entry.uuid;
  status.plugin = entry.spec.plugin;
  if (entry.face != nullptr) status.plugin_version = entry.face->version;
  status.state = why.state;
  status.reason = why.reason;
  status.generation = entry.generations_used;
  status.restarts = parent_.restarts(entry.spec.path);
  const auto counters = entry.slot->counters();
  status.calls_in_flight = counters.in_flight;
  status.calls_waiting = counters.waiting;
  status.calls_total = counters.total;
  status.calls_failed = counters.failed;
  show_release(services_, entry, false, nullptr, status);
  result.backoff_left = why.backoff_left;
  if (!entry.crashes.empty()) result.last_crash = entry.crashes.back();
  return result;
}

/// Starts a mount whose actor is gone; answers as mount_await_start.
kj::Promise<mount_snapshot> broker_core::revive(const entry_ptr& entry, bool reset, bool anew) {
  const auto* route = route_of(*entry);
  if (entry->closed || (route != nullptr && route->work == mount_work::removing))
    refuse(error_kind::failed_precondition, fmt::format("'{}' is being removed", entry->spec.path),
           "what is removed is not started again");
  entry->take_wanted = anew;
  return parent_.revive(entry->spec.path, reset)
      .then([this, entry]() -> kj::Promise<mount_snapshot> {
        auto& route = require(entry->spec.path);
        if (parent_.absence(entry->spec.path)) return query(route);
        return ask_.ask<mount_snapshot>(route.actor, mount_await_start{});
      });
}

kj::Promise<mount_snapshot> broker_core::await_start(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return query(route);
    return ask_.ask<mount_snapshot>(route.actor, mount_await_start{});
  });
}

void broker_core::each_mount(const std::function<void(const mount_route&)>& tell) {
  for (const auto& [path, route] : routes_) tell(route);
}

/// Not all at once: what an actor has asked and not heard of yet, CAF searches one by one.
kj::Promise<std::vector<mount_snapshot>> broker_core::query_all() {
  auto work = std::make_shared<query_work>();
  for (auto& [path, route] : routes_) work->entries.push_back(route.entry);
  work->answers.resize(work->entries.size());
  auto lanes = kj::Vector<kj::Promise<void>>();
  for (std::size_t i = 0; i < std::min(queries_at_once, work->entries.size()); ++i)
    lanes.add(query_next(work));
  return kj::joinPromises(lanes.releaseAsArray()).then([work] {
    std::vector<mount_snapshot> result;
    for (auto& each : work->answers)
      if (each) result.push_back(std::move(*each));
    return result;
  });
}

kj::Promise<void> broker_core::query_next(std::shared_ptr<query_work> work) {
  if (work->next == work->entries.size()) return kj::READY_NOW;
  const auto index = work->next++;
  const auto* route = route_of(*work->entries[index]);
  if (route == nullptr) return query_next(std::move(work));  // it has gone meanwhile
  return query(*route)
      .then([work, index](mount_snapshot&& now) { work->answers[index] = std::move(now); },
            [](kj::Exception&&) { /* it goes */ })
      .then([this, work] { return query_next(work); });
}

kj::Promise<mount_snapshot> broker_core::restart(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry, false);
    return ask_.ask<mount_snapshot>(route.actor, mount_restart{}).then([](mount_snapshot&& now) {
      return not_in_quarantine(kj::mv(now));
    });
  });
}

kj::Promise<mount_snapshot> broker_core::reset(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry, true);
    return ask_.ask<mount_snapshot>(route.actor, mount_reset{});
  });
}

kj::Promise<mount_snapshot> broker_core::hold_breaker(const std::string& path, bool open) {
  return kj::evalNow([&] {
    return ask_.ask<mount_snapshot>(require_usable(path).actor, mount_hold_breaker{open});
  });
}

kj::Promise<mount_snapshot> broker_core::stop(const std::string& path) {
  return kj::evalNow(
      [&] { return ask_.ask<mount_snapshot>(require_usable(path).actor, mount_halt{}); });
}

kj::Promise<mount_snapshot> broker_core::start(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry, false);
    return ask_.ask<mount_snapshot>(route.actor, mount_start{}).then([](mount_snapshot&& now) {
      return not_in_quarantine(kj::mv(now));
    });
  });
}

kj::Promise<std::vector<reload_result>> broker_core::reload(const std::string& path,
                                                            reload_request how) {
  return kj::evalNow([&] {
    check_reload(how);
    auto work = std::make_shared<reload_work>();
    work->paths.push_back(require_usable(path).entry->spec.path);
    work->how = std::move(how);
    return reload_all(kj::mv(work));
  });
}

kj::Promise<std::vector<reload_result>> broker_core::reload_plugin(const std::string& plugin,
                                                                   reload_request how) {
  return kj::evalNow([&] {
    check_reload(how);
    auto work = std::make_shared<reload_work>();
    for (auto& [path, route] : routes_)
      if (route.entry->spec.plugin == plugin) work->paths.push_back(path);
    if (work->paths.empty())
      refuse(error_kind::not_found,
             fmt::format("no mount has the plugin '{}'", wire::escape_line(plugin)), {},
             "bulkhead mounts");
    work->how = std::move(how);
    return reload_all(kj::mv(work));
  });
}

/// A few at a time, so that the machine does not start a process for every mount at once.
kj::Promise<std::vector<reload_result>> broker_core::reload_all(std::shared_ptr<reload_work> work) {
  work->results.resize(work->paths.size());
  auto lanes = kj::Vector<kj::Promise<void>>();
  for (std::size_t i = 0; i < std::min(reloads_at_once_max, work->paths.size()); ++i)
    lanes.add(reload_next(work));
  return kj::joinPromises(lanes.releaseAsArray()).then([work] { return std::move(work->results); });
}

kj::Promise<void> broker_core::reload_next(std::shared_ptr<reload_work> work) {
  if (work->next == work->paths.size()) return kj::READY_NOW;
  const auto index = work->next++;
  const auto& path = work->paths[index];
  return kj::evalNow([&] {
           return ask_.ask<reload_result>(require_settled(path).actor, mount_reload{work->how});
         })
      .then([work, index](reload_result&& result) { work->results[index] = std::move(result); },
            [work, index](kj::Exception&& problem) {
              work->results[index] = failed_reload(work->paths[index], problem);
            })
      .then([this, work] { return reload_next(work); });
}

std::vector<crash_report> broker_core::crashes(const std::string& path, std::size_t limit) {
  const auto& kept = require(path).entry->crashes;
  const auto count = limit == 0 ? kept.size() : std::min(limit, kept.size());
  return {kept.rbegin(), kept.rbegin() + static_cast<std::ptrdiff_t>(count)};
}

kj::Promise<mount_signalled> broker_core::signal(const std::string& path, int number) {
  return kj::evalNow([&]() -> kj::Promise<mount_signalled> {
    if (number < 1 || number > 64)
      refuse(error_kind::invalid_argument, fmt::format("{} is no signal", number),
             "signals are 1 to 64");
    auto& route = require_usable(path);
    return ask_.ask<mount_signalled>(route.actor, mount_signal{number})
        .then([path = route.entry->spec.path](mount_signalled&& sent) {
          if (sent.pid == 0)
            refuse(error_kind::failed_precondition, fmt::format("no process runs at '{}'", path),
                   "the mount is not ready", fmt::format("bulkhead status {}", path));
          return sent;
        });
  });
}

}  // namespace bulkhead
