// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker on its reactor: mounts, routes, operations. Everything that a session, the admin
// interface or the embedding API asks for comes down to a function here. Threads: the reactor's
// only; nothing blocks.
//
// What an operator was told is durable, and what is durable is whole: after a crash of the broker
// at any point an operation has happened or it has not.
//
//   mount    reserve the path, start the actor, wait for the first start, WRITE THE RECORD, answer.
//            Before the record nothing was acknowledged; what the plugin may have stored by then is
//            swept at the next start.
//   tune     check all of it, WRITE THE RECORD, apply it, answer.
//   move     reserve the new path, WRITE THE RECORD under it and erase the old one in one
//            transaction, switch the routes, answer.
//   rollback MARK THE RECORD with the version before, stop the instance, put the view back in
//            bounded steps, DROP THE SNAPSHOT, start, answer. A broker that finds a marked record
//            goes on with it before it starts the mount. Upgrades: broker/storage_upgrade.hpp.
//   unmount  MARK THE RECORD, refuse calls, drain, tell the plugin and stop it, delete the view and
//            the snapshot in bounded steps, ERASE THE RECORD, answer. From the mark on there is no
//            way back: a broker that finds a marked record does not start the mount, keeps its path
//            taken, and goes on with the removal. So does a second unmount after a disk error; one
//            that comes while a removal runs waits for the same end.
//
// Changes of one mount's record happen one after another (mount_entry::writes), those of the
// generations too, so none undoes another; and memory follows the store, never the other way.
//
// A record that cannot be used (damaged, or against a limit that was lowered) keeps nobody else
// down and is not thrown away: the path stays taken, shown as quarantined with the reason, and its
// view is kept, until an operator unmounts it. One that only breaks a rule is kept as a whole, and
// a tune that puts it right starts the mount.
//
// Where what is: broker_core.cpp mounting, questions and orders; mount_changes.cpp tune and move;
// mount_upgrade.cpp rollback; mount_removal.cpp unmount; mount_restore.cpp the start of the broker.
//
// Limit: a write that fails counts as not done. An engine that fails a write which it has done
// after all leaves memory behind the store until the next start of the broker.

#include <kj/async.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/asker.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/mount_messages.hpp"
#include "broker/mounts_parent.hpp"
#include "broker/router.hpp"
#include "broker/services.hpp"

namespace bulkhead {

/// What is done to a mount that excludes everything else of that kind.
enum class mount_work : std::uint8_t { none, mounting, tuning, moving, rolling_back, removing };

struct mount_route {
  std::shared_ptr<mount_entry> entry;
  mount_actor actor;  // null: there is none, and none is to come
  mount_work work = mount_work::none;
  std::string unusable{};  // when not empty: why its record cannot be used; there is no actor then
  bool tunable = false;    // with `unusable`: the record is whole, and other rules put it right
  std::string removal_problem{};  // when not empty: why the removal stands still
};

/// What to try with a mount whose record cannot be used.
std::string remedy_of(const mount_route& route);

/// How many mounts one order reloads at the same time.
inline constexpr std::size_t reloads_at_once_max = 4;

class registrar;

class broker_core {
 public:
  /// `services` outlives the core. `ask` is an asker of the reactor.
  broker_core(broker_services& services, asker& ask, mounts_parent& parent);
  ~broker_core() noexcept(false);

  /// Starts every mount that the store holds, without waiting for them, and sweeps what unfinished
  /// operations left.
  kj::Promise<void> load();
  /// Refuses calls and mounts from now on. Who stops the mounts then, in their order, is their
  /// supervisors; they stay in the store.
  void refuse_all();

  /// `declared`: the declared state asks for it, at this path (broker/config_desk.hpp).
  kj::Promise<mount_snapshot> mount(mount_spec spec, bool declared = false);
  kj::Promise<void> unmount(const std::string& path);
  kj::Promise<mount_snapshot> tune(tune_request what);
  kj::Promise<mount_snapshot> move(const std::string& from, const std::string& to);
  kj::Promise<mount_snapshot> rollback(const std::string& path);
  /// From now on the declared state asks for the mount at the path that it has. Fails with
  /// not_found.
  kj::Promise<void> adopt(const std::string& path);
  kj::Promise<mount_snapshot> query(const std::string& path);
  kj::Promise<std::vector<mount_snapshot>> query_all();
  /// As query(), once no first start of the mount is under way.
  kj::Promise<mount_snapshot> await_start(const std::string& path);
  kj::Promise<mount_snapshot> restart(const std::string& path);
  kj::Promise<mount_snapshot> reset(const std::string& path);
  kj::Promise<mount_snapshot> hold_breaker(const std::string& path, bool open);
  kj::Promise<mount_snapshot> stop(const std::string& path);
  kj::Promise<mount_snapshot> start(const std::string& path);
  /// One result each; a mount that cannot be reloaded is a result too. Fails with not_found when no
  /// mount is meant, with failed_precondition when the one mount named has an unusable record, and
  /// with invalid_argument.
  kj::Promise<std::vector<reload_result>> reload(const std::string& path, reload_request how);
  kj::Promise<std::vector<reload_result>> reload_plugin(const std::string& plugin,
                                                        reload_request how);
  /// The newest `limit` reports (0: all that are kept), newest first. Fails with not_found.
  std::vector<crash_report> crashes(const std::string& path, std::size_t limit);
  kj::Promise<mount_signalled> signal(const std::string& path, int number);

  // What the catalog and trust cannot say without the mounts; the rest is in broker_services.
  kj::Promise<release_info> register_release(release_spec spec, bool declared = false);
  /// Answers the mounts whose running release has no good signature left; with `revoke` they have
  /// been stopped and are quarantined.
  kj::Promise<std::vector<std::string>> untrust(std::string id, bool revoke, std::string reason);
  trust_report trust() const;

  /// The mount that serves an absolute path. Fails with not_found.
  route_table<mount_route>::match find(std::string_view path);
  /// The mount of exactly this path (with or without the slash). Fails with not_found.
  mount_route& require(const std::string& path);

  broker_services& services() { return services_; }
  std::size_t mount_count() const { return routes_.size(); }
  bool knows(const std::string& path) { return routes_.exact(path) != nullptr; }
  void each_mount(const std::function<void(const mount_route&)>& tell);

 private:
  struct reload_work {
    std::vector<std::string> paths;
    reload_request how;
    std::vector<reload_result> results;
    std::size_t next = 0;
  };

  using record_change = std::function<void(mount_record&)>;
  using entry_ptr = std::shared_ptr<mount_entry>;

  struct query_work {
    std::vector<entry_ptr> entries;
    std::vector<std::optional<mount_snapshot>> answers;
    std::size_t next = 0;
  };
  using paths = std::vector<std::string>;

  // broker_catalog.cpp
  release_catalog::usage release_usage();
  kj::Promise<void> find_untrusted(std::shared_ptr<paths> all, std::size_t next,
                                   std::shared_ptr<paths> found);
  bool runs_untrusted(const mount_entry& entry) const;
  kj::Promise<void> condemn(const std::string& path);

  // broker_core.cpp
  kj::Promise<void> query_next(std::shared_ptr<query_work> work);
  kj::Promise<std::vector<reload_result>> reload_all(std::shared_ptr<reload_work> work);
  kj::Promise<void> reload_next(std::shared_ptr<reload_work> work);
  entry_ptr make_entry(mount_record record);
  void check(mount_spec& spec);
  void check_free(const std::string& path, const std::string& but_for = {}) const;
  kj::Promise<void> start(const entry_ptr& entry);
  kj::Promise<void> discard(entry_ptr entry, std::string reason);
  kj::Promise<mount_snapshot> keep(entry_ptr entry, mount_snapshot status);
  kj::Promise<void> save_new(const entry_ptr& entry);
  kj::Promise<void> change_record(entry_ptr entry, record_change change);
  kj::Promise<mount_snapshot> query(const mount_route& route, bool limited = false);
  mount_snapshot snapshot_without_actor(mount_entry& entry, const mount_absence& why) const;
  kj::Promise<mount_snapshot> revive(const entry_ptr& entry, bool reset, bool anew = true);
  void absent(const std::string& path, const mount_absence& why);
  void tell_slot_of_absence(mount_entry& entry, const mount_absence& why);
  std::string group_problem_of(const mount_spec& spec) const;
  mount_route& add_route(const std::string& path, mount_route route);
  void erase_route(const std::string& path);
  mount_route* route_of(const mount_entry& entry);
  mount_route& require_usable(const std::string& path);
  mount_route& require_settled(const std::string& path);
  mount_route& require_tunable(const std::string& path);
  kj::Promise<void> stop_actor(const entry_ptr& entry, mount_stop order);

  // mount_changes.cpp
  kj::Promise<mount_snapshot> apply_tuning(entry_ptr entry, mount_spec before, bool reload);
  kj::Promise<mount_snapshot> query_limited(entry_ptr entry);
  kj::Promise<mount_snapshot> reload_tuned(entry_ptr entry, mount_spec before);
  kj::Promise<mount_snapshot> undo_tune(entry_ptr entry, mount_spec before, std::string why);
  kj::Promise<mount_snapshot> start_mended(entry_ptr entry);
  void use_spec(mount_entry& entry);
  void switch_routes(const std::string& from, const std::string& to);
  template <class T>
  kj::Promise<T> working(mount_route& route, mount_work what, kj::Promise<T> work);

  // mount_upgrade.cpp
  std::shared_ptr<const release> check_rollback(const mount_entry& entry) const;
  kj::Promise<void> return_to_snapshot(entry_ptr entry);
  kj::Promise<void> halt(const entry_ptr& entry);
  kj::Promise<mount_snapshot> start_as_before(const entry_ptr& entry);

  // mount_removal.cpp
  kj::Promise<void> await_removal(const std::string& path);
  void begin_removal(mount_route& route);
  kj::Promise<void> taint(const mount_route& route);
  void revoke(mount_entry& entry) const;
  kj::Promise<void> delete_storage(const entry_ptr& entry);
  kj::Promise<void> erase_record(const entry_ptr& entry);
  void removed(mount_entry& entry);
  void removal_failed(mount_entry& entry, const kj::Exception& problem);

  // mount_restore.cpp
  kj::Promise<void> load_restored();
  kj::Promise<void> load_page(std::string after);
  kj::Promise<void> sweep(std::string root, std::string after);
  void restore(const std::string& key, const std::string& bytes);
  struct record_problem {
    std::string reason{};       // empty: there is none
    bool of_its_rules = false;  // the record is whole, and other rules would do
  };
  record_problem problem_of(mount_record& stored, const std::string& path) const;
  void shelve(const std::string& path, mount_record stored, const record_problem& why);

  broker_services& services_;
  asker& ask_;
  mounts_parent& parent_;
  std::unique_ptr<registrar> registrar_;
  route_table<mount_route> routes_;
  std::set<std::string> promised_;  // paths that a move is about to take
  std::set<std::string> uuids_;     // of the mounts in routes_, and of records without a route
  std::map<std::string, std::vector<kj::Own<kj::PromiseFulfiller<void>>>> removals_;  // by path
  std::vector<entry_ptr> restored_;      // while load() reads
  std::uint64_t generations_floor_ = 0;  // after a restore; see state_restore.hpp
  bool views_are_known_ = true;          // false: of some view nobody can say whose it is
  bool stopping_ = false;
};

}  // namespace bulkhead
