// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_core.hpp"

#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "broker/catalog/registration.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/convert.hpp"
#include "broker/fair_store.hpp"
#include "broker/mount_record.hpp"
#include "broker/mount_rules.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/redact.hpp"
#include "broker/view.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

// What every view's keys begin with; see view_prefix().
constexpr std::string_view views_root = "view/";

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

[[noreturn]] void refuse(error_kind kind, std::string what, std::string why,
                         std::string remedy = {}) {
  kj::throwFatalException(exception(kind, std::move(what), std::move(why), std::move(remedy)));
}

kj::Duration duration(std::chrono::milliseconds span) {
  return span.count() * kj::MILLISECONDS;
}

/// What the mount says, and the broker's limits where it says nothing.
slot_limits slot_rules(const call_rules& calls, const broker_limits& limits) {
  const auto either = [](auto own, auto otherwise) {
    return own == decltype(own){} ? otherwise : own;
  };
  slot_limits rules;
  rules.calls_in_flight_max = either(calls.in_flight_max, limits.calls_in_flight_max);
  rules.calls_waiting_max = either(calls.waiting_max, limits.calls_waiting_max);
  rules.wait_max = duration(either(calls.wait_max, limits.slot_wait_ms_max));
  rules.call_max = duration(either(calls.call_max, limits.call_ms_max));
  rules.breaker.failures_max = calls.breaker_failures;
  rules.breaker.open = calls.breaker_open;
  rules.breaker.open_max = calls.breaker_open_max;
  return rules;
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

reload_result failed_reload(const std::string& path, const kj::Exception& problem) {
  reload_result result;
  result.path = path;
  result.reason = to_error(problem).what();
  return result;
}

}  // namespace

broker_core::broker_core(broker_services& services, asker& ask, mounts_parent& parent)
    : services_(services),
      ask_(ask),
      parent_(parent),
      registrar_(std::make_unique<registrar>(services, ask)) {
  services_.ask = &ask;
  services_.catalog->set_usage([this] { return release_usage(); });
  services_.save_entry = [this](mount_entry& entry, std::uint64_t generations_reserved) {
    return save(entry, generations_reserved);
  };
  parent_.watch([this](const std::string& path, const mount_absence& why) { absent(path, why); });
}

broker_core::~broker_core() noexcept(false) = default;

/// A mount's actor is gone, for a while or for good, and its slot with nobody to switch it.
void broker_core::absent(const std::string& path, const mount_absence& why) {
  auto* route = routes_.exact(path);
  if (route == nullptr || route->entry->closed) return;
  auto& slot = *route->entry->slot;
  if (why.state != mount_state::stopped)
    services_.events.record(path, route->entry->generations_used, to_string(why.state), why.reason);
  if (why.state == mount_state::backoff) {
    slot.hold(fmt::format("it restarts in {}: {}", duration_text(why.backoff_left), why.reason));
  } else if (why.state == mount_state::quarantined) {
    slot.refuse(exception(error_kind::quarantined, fmt::format("mount '{}' is quarantined", path),
                          why.reason, fmt::format("bulkhead reset {}", path)));
  } else {
    slot.hold(why.reason);  // its turn in the restart of its group comes
  }
}

// -- mount ---------------------------------------------------------------------------------------

void broker_core::check(mount_spec& spec) {
  const auto& limits = services_.limits;
  check_mount_spec(spec, limits);
  if (stopping_) refuse(error_kind::broker_stopping, "the broker is stopping", {});
  if (routes_.size() >= limits.mounts_max)
    refuse(error_kind::overloaded, "no further mount is possible",
           fmt::format("there are {}, the limit mounts_max", limits.mounts_max));
  if (auto taken = routes_.overlap(spec.path))
    refuse(error_kind::already_exists, fmt::format("'{}' is not free", spec.path),
           *taken == spec.path ? "there is a mount at this path"
                               : fmt::format("the mount '{}' overlaps with it", *taken),
           fmt::format("bulkhead unmount {}   |   choose another path", *taken));
  if (auto problem = group_problem_of(spec); !problem.empty())
    refuse(error_kind::invalid_argument, std::move(problem), "groups come from the configuration",
           "bulkhead tree");
  check_plugin(services_, spec);
}

/// Empty, or that the group is not there.
std::string broker_core::group_problem_of(const mount_spec& spec) const {
  const auto& groups = services_.config.groups;
  const auto is_it = [&spec](const group_spec& each) { return each.name == spec.group; };
  if (spec.group.empty() || std::any_of(groups.begin(), groups.end(), is_it)) return {};
  return fmt::format("there is no group '{}'", wire::escape_line(spec.group));
}

std::shared_ptr<mount_entry> broker_core::make_entry(mount_spec spec) {
  const auto& limits = services_.limits;
  auto entry = std::make_shared<mount_entry>();
  entry->slot = kj::refcounted<bulkhead::slot>(services_.reactor.timer(), spec.path,
                                               slot_rules(spec.calls, limits));
  entry->log = std::make_shared<mount_log>(limits.log_lines_kept, limits.log_line_bytes_max,
                                           services_.clock);
  entry->storage = std::make_shared<fair_store>(services_.store, limits.view_calls_in_store_max);
  entry->spec = std::move(spec);
  return entry;
}

kj::Promise<void> broker_core::start(const std::shared_ptr<mount_entry>& entry, bool mounting) {
  const auto path = entry->spec.path;
  if (!knows(path)) routes_.insert(path, mount_route{entry, {}, mounting, false});
  auto make = [this, path](const child_ticket& ticket) -> caf::actor {
    auto* route = routes_.exact(path);
    if (route == nullptr) return {};
    route->actor = services_.reactor.system().spawn<mount_supervisor>(
        services_.reactor, route->entry, services_, ticket);
    return caf::actor_cast<caf::actor>(route->actor);
  };
  return parent_.add(path, entry->spec.group, std::move(make));
}

kj::Promise<mount_snapshot> broker_core::mount(mount_spec spec) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    check(spec);
    auto entry = make_entry(std::move(spec));
    entry->uuid = make_uuid();
    entry->accessor = fmt::format("{}_{}", entry->spec.plugin, random_hex(4));
    entry->created_unix_ms = unix_ms_now();
    entry->generations_reserved = generation_block;
    entry->acknowledged = false;
    const auto path = entry->spec.path;
    return start(entry, true)
        .then([this, path] {
          return ask_.ask<mount_snapshot>(require(path).actor, mount_await_start{});
        })
        .then([this, path](mount_snapshot&& status) { return keep(path, kj::mv(status)); },
              [this, path](kj::Exception&& problem) {
                return discard(path, "its actor has failed")
                    .then([problem = kj::mv(problem)]() mutable -> kj::Promise<mount_snapshot> {
                      kj::throwFatalException(kj::mv(problem));
                    });
              });
  });
}

kj::Promise<mount_snapshot> broker_core::keep(std::string path, mount_snapshot status) {
  if (!status.start_failure.empty() ||
      (status.status.state != mount_state::ready && !status.asleep)) {
    const auto why = status.start_failure.empty() ? status.status.reason : status.start_failure;
    const auto& log = *require(path).entry->log;
    const auto lines = redact_last(log.last_lines(status.status.generation, 1 + pem_lines_max), 1);
    return discard(path, "its first start failed").then([path, why, lines]() -> mount_snapshot {
      refuse(error_kind::start_failed, fmt::format("'{}' is not mounted: {}", path, why),
             lines.empty() ? "" : fmt::format("its last log line: {}", lines.back()),
             "correct the plugin, its file or its options, and mount it again");
    });
  }
  auto entry = require(path).entry;
  return save_new(*entry).then(
      [this, path, status = kj::mv(status)]() mutable -> kj::Promise<mount_snapshot> {
        auto& route = require(path);
        route.mounting = false;
        route.entry->acknowledged = true;
        services_.events.record(path, status.status.generation, "mounted",
                                fmt::format("plugin {}{}", route.entry->spec.plugin,
                                            status.status.unregistered ? ", unregistered" : ""));
        return kj::mv(status);
      },
      [this, path](kj::Exception&& problem) {
        return discard(path, "it could not be stored")
            .then([problem = kj::mv(problem)]() mutable -> mount_snapshot {
              kj::throwFatalException(kj::mv(problem));
            });
      });
}

/// Takes a mount that was never acknowledged back.
kj::Promise<void> broker_core::discard(std::string path, std::string reason) {
  auto& route = require(path);
  route.leaving = true;
  route.entry->closed = true;
  route.entry->slot->refuse(
      exception(error_kind::unmounted, fmt::format("'{}' is not mounted", path), reason));
  return stop_actor(path, mount_stop{std::chrono::milliseconds{0}, reason})
      .then([this, path] {
        return delete_view(services_.store, require(path).entry->uuid).ignoreResult();
      })
      .catch_([path](kj::Exception&& problem) {
        KJ_LOG(ERROR, "a mount was not taken back cleanly", path, problem.getDescription());
      })
      .then([this, path] { routes_.erase(path); });
}

kj::Promise<void> broker_core::save_new(mount_entry& entry) {
  txn_request request;
  request.compares.push_back(txn_compare::absent(mount_key(entry.spec.path)));
  request.then.push_back(
      txn_op::put(mount_key(entry.spec.path), encode_record(entry, entry.generations_reserved)));
  return services_.store.txn(std::move(request))
      .then([path = entry.spec.path](txn_result&& result) {
        if (!result.succeeded)
          refuse(error_kind::already_exists, fmt::format("'{}' is not free", path),
                 "another broker on this state has mounted it");
      });
}

kj::Promise<void> broker_core::save(mount_entry& entry, std::uint64_t generations_reserved) {
  auto* route = routes_.exact(entry.spec.path);
  if (route != nullptr && route->mounting) return kj::READY_NOW;  // written when it is acknowledged
  txn_request request;
  // Records are written for more than one reason, and a number that was written is never taken
  // back.
  entry.generations_written = std::max(entry.generations_written, generations_reserved);
  request.compares.push_back(txn_compare::present(mount_key(entry.spec.path)));
  request.then.push_back(
      txn_op::put(mount_key(entry.spec.path), encode_record(entry, entry.generations_written)));
  return services_.store.txn(std::move(request))
      .then([path = entry.spec.path](txn_result&& result) {
        if (!result.succeeded)
          refuse(error_kind::not_found, fmt::format("the record of '{}' is gone", path), {});
      });
}

// -- unmount -------------------------------------------------------------------------------------

kj::Promise<void> broker_core::unmount(std::string path) {
  return kj::evalNow([&]() -> kj::Promise<void> {
    auto& route = require(path);
    path = route.entry->spec.path;
    if (route.mounting || route.leaving)
      refuse(error_kind::failed_precondition, fmt::format("'{}' cannot be unmounted now", path),
             route.mounting ? "it is being mounted" : "it is being unmounted");
    route.leaving = true;
    auto entry = route.entry;
    entry->closed = true;
    entry->slot->refuse(exception(error_kind::unmounted, fmt::format("'{}' was unmounted", path),
                                  "an operator removed the mount"));
    return stop_actor(path, mount_stop{services_.limits.drain_ms_max, "unmounted", true})
        .then([this, path] { return forget(path); })
        .then([this, path, entry] {
          routes_.erase(path);
          services_.events.record(path, entry->generations_used, "unmounted",
                                  "an operator removed the mount");
        })
        .catch_([this, path](kj::Exception&& problem) {
          // The mount stays closed; the operator can repeat the unmount.
          if (auto* again = routes_.exact(path)) again->leaving = false;
          kj::throwFatalException(kj::mv(problem));
        });
  });
}

/// Ends the mount's actor, if it has one, and its place with the supervisor.
kj::Promise<void> broker_core::stop_actor(const std::string& path, mount_stop order) {
  auto& route = require(path);
  if (!route.unusable.empty()) return kj::READY_NOW;
  return ask_.ask<mount_snapshot>(route.actor, std::move(order))
      .ignoreResult()
      .catch_([](kj::Exception&&) {})  // it has ended already
      .then([this, path] { return parent_.remove(path); });
}

/// Erases the record, then the view. A view that stays is swept at the next start.
kj::Promise<void> broker_core::forget(const std::string& path) {
  const auto uuid = require(path).entry->uuid;
  txn_request request;
  request.then.push_back(txn_op::erase(mount_key(path)));
  return services_.store.txn(std::move(request))
      .then([this, uuid](txn_result&&) -> kj::Promise<void> {
        if (uuid.empty()) return kj::READY_NOW;  // nobody knows which view was its
        return delete_view(services_.store, uuid)
            .ignoreResult()
            .catch_([](kj::Exception&& problem) {
              KJ_LOG(WARNING, "a view is left to be swept", problem.getDescription());
            });
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
  if (!route.unusable.empty())
    refuse(error_kind::failed_precondition,
           fmt::format("'{}' cannot be started", route.entry->spec.path), route.unusable,
           fmt::format("bulkhead unmount {}, and mount it anew", route.entry->spec.path));
  return route;
}

mount_route& broker_core::require_settled(const std::string& path) {
  auto& route = require_usable(path);
  if (route.mounting || route.leaving)
    refuse(error_kind::failed_precondition,
           fmt::format("'{}' is being {}", route.entry->spec.path,
                       route.mounting ? "mounted" : "unmounted"),
           "wait until that has ended");
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

kj::Promise<mount_snapshot> broker_core::query(const mount_route& route) {
  const auto& path = route.entry->spec.path;
  if (!route.unusable.empty())
    return snapshot_without_actor(*route.entry, {mount_state::quarantined, route.unusable, {}});
  if (const auto why = parent_.absence(path)) return snapshot_without_actor(*route.entry, *why);
  return ask_.ask<mount_snapshot>(route.actor, mount_query{}).then([this, path](auto&& now) {
    now.status.restarts += parent_.restarts(path);
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
kj::Promise<mount_snapshot> broker_core::revive(const std::string& path, bool reset) {
  require(path).entry->take_wanted = true;
  return parent_.revive(path, reset).then([this, path]() -> kj::Promise<mount_snapshot> {
    auto& route = require(path);
    if (parent_.absence(path)) return query(route);
    return ask_.ask<mount_snapshot>(route.actor, mount_await_start{});
  });
}

kj::Promise<std::vector<mount_snapshot>> broker_core::query_all() {
  auto answers = kj::Vector<kj::Promise<kj::Maybe<mount_snapshot>>>();
  for (auto& [path, route] : routes_)
    answers.add(query(route).then(
        [](mount_snapshot&& each) -> kj::Maybe<mount_snapshot> { return kj::mv(each); },
        [](kj::Exception&&) -> kj::Maybe<mount_snapshot> { return nullptr; }));
  return kj::joinPromises(answers.releaseAsArray())
      .then([](kj::Array<kj::Maybe<mount_snapshot>>&& all) {
        std::vector<mount_snapshot> result;
        for (auto& each : all)
          KJ_IF_MAYBE (status, each) result.push_back(kj::mv(*status));
        return result;
      });
}

kj::Promise<mount_snapshot> broker_core::restart(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry->spec.path, false);
    return ask_.ask<mount_snapshot>(route.actor, mount_restart{}).then([](mount_snapshot&& now) {
      return not_in_quarantine(kj::mv(now));
    });
  });
}

kj::Promise<mount_snapshot> broker_core::reset(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry->spec.path, true);
    return ask_.ask<mount_snapshot>(route.actor, mount_reset{});
  });
}

kj::Promise<mount_snapshot> broker_core::stop(const std::string& path) {
  return kj::evalNow(
      [&] { return ask_.ask<mount_snapshot>(require_usable(path).actor, mount_halt{}); });
}

kj::Promise<mount_snapshot> broker_core::start(const std::string& path) {
  return kj::evalNow([&]() -> kj::Promise<mount_snapshot> {
    auto& route = require_usable(path);
    if (parent_.absence(route.entry->spec.path)) return revive(route.entry->spec.path, false);
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

// -- start ---------------------------------------------------------------------------------------

kj::Promise<void> broker_core::load() {
  // What may run is known before anything does.
  return services_.trust->load()
      .then([this] { return services_.catalog->load(); })
      .then([this] { return load_page({}); })
      .then([this]() -> kj::Promise<void> {
        // In a group the order of mounting counts.
        std::stable_sort(restored_.begin(), restored_.end(), [](const auto& a, const auto& b) {
          return a->created_unix_ms < b->created_unix_ms;
        });
        for (const auto& entry : std::exchange(restored_, {}))
          services_.reactor.detach(start(entry, false));
        parent_.open();
        // What cannot be told from somebody's data is not deleted.
        if (!views_are_known_) return kj::READY_NOW;
        return sweep_views({});
      });
}

kj::Promise<void> broker_core::load_page(std::string after) {
  range_request request;
  request.keys = key_range::prefix(mounts_prefix);
  request.after = std::move(after);
  return services_.store.range(std::move(request))
      .then([this](range_result&& page) -> kj::Promise<void> {
        for (const auto& row : page.rows) restore(row.key, row.value);
        if (!page.more) return kj::READY_NOW;
        return load_page(page.rows.back().key);
      });
}

void broker_core::restore(const std::string& key, const std::string& record) {
  mount_entry stored;
  const auto path = key.substr(mounts_prefix.size());
  if (const auto problem = read_record(path, record, stored); !problem.empty()) {
    shelve(path, stored.uuid, problem);
    return;
  }
  auto entry = make_entry(std::move(stored.spec));
  entry->uuid = stored.uuid;
  entry->accessor = stored.accessor;
  entry->created_unix_ms = stored.created_unix_ms;
  entry->generations_reserved = stored.generations_reserved;
  entry->generations_used = stored.generations_used;
  entry->version_running = stored.version_running;
  restored_.push_back(entry);
  routes_.insert(path, mount_route{entry, {}, false, false});
}

/// Fills `stored` as far as the record can be read. Empty, or why it cannot be used.
std::string broker_core::read_record(const std::string& path, const std::string& record,
                                     mount_entry& stored) {
  if (!decode_record(record, stored)) return "its record in the store makes no sense";
  if (stored.spec.path != path) return "its record in the store is that of another mount";
  auto refused =
      kj::runCatchingExceptions([&] { check_mount_spec(stored.spec, services_.limits); });
  KJ_IF_MAYBE (problem, refused) {
    const auto said = to_error(*problem);
    return fmt::format("its record in the store is refused: {}: {}", said.what(), said.why());
  }
  if (auto taken = routes_.overlap(path))
    return fmt::format("the mount '{}' overlaps with it", *taken);
  return {};
}

/// Keeps what cannot be mounted, in sight where its path allows that.
void broker_core::shelve(const std::string& path, const std::string& uuid,
                         const std::string& reason) {
  const auto shown = wire::escape_line(path);
  services_.events.record(shown, 0, "unreadable", reason);
  KJ_LOG(ERROR, "a mount is kept, and not mounted", shown, reason);
  if (uuid.empty())
    views_are_known_ = false;
  else
    shelved_views_.insert(uuid);
  std::string problem;
  if (normalise_mount_path(path, problem) != path || routes_.overlap(path)) return;
  mount_spec spec;
  spec.path = path;
  auto entry = make_entry(std::move(spec));
  entry->uuid = uuid;
  entry->slot->refuse(exception(error_kind::quarantined,
                                fmt::format("mount '{}' is quarantined", path), reason,
                                fmt::format("bulkhead unmount {}, and mount it anew", path)));
  routes_.insert(path, mount_route{entry, {}, false, false, reason});
}

/// Deletes views that belong to no mount: an unmount, or a mount, that the broker did not live to
/// finish.
kj::Promise<void> broker_core::sweep_views(std::string after) {
  range_request request;
  request.keys = key_range::prefix(views_root);
  request.after = std::move(after);
  request.limit = 1;
  request.keys_only = true;
  return services_.store.range(std::move(request))
      .then([this](range_result&& page) -> kj::Promise<void> {
        if (page.rows.empty()) return kj::READY_NOW;
        const auto& key = page.rows.front().key;
        const auto uuid =
            key.substr(views_root.size(), key.find('/', views_root.size()) - views_root.size());
        const auto is_its = [&uuid](auto& each) { return each.second.entry->uuid == uuid; };
        const bool known =
            shelved_views_.contains(uuid) || std::any_of(routes_.begin(), routes_.end(), is_its);
        // '0' follows '/': the next key that can be another mount's.
        auto next = std::string(views_root) + uuid + "0";
        auto done = known ? kj::Promise<void>(kj::READY_NOW)
                          : delete_view(services_.store, uuid).ignoreResult();
        return done.then([this, next = std::move(next)] { return sweep_views(next); });
      });
}

}  // namespace bulkhead
