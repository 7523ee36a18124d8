// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker on its reactor: mounts, routes, operations. Everything that a session, the admin
// interface or the embedding API asks for comes down to a function here. Threads: the reactor's
// only; nothing blocks.
//
// Order of a mount: reserve the path, start the actor, wait for the first start, write the record,
// answer. A broker that dies before the record is written never acknowledged the mount; what the
// plugin may have stored by then is swept at the next start. Order of an unmount: refuse, drain,
// stop, erase the record, delete the view, answer; a broker that dies behind the erased record
// sweeps the view at its next start. So after a crash at any point the mount is there or gone, with
// its data.
//
// A record that cannot be used (damaged, or against a limit that was lowered) keeps nobody else
// down and is not thrown away: the path stays taken, shown as quarantined with the reason, and its
// view is kept, until an operator unmounts it.

#include <kj/async.h>

#include <memory>
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

struct mount_route {
  std::shared_ptr<mount_entry> entry;
  mount_actor actor;
  bool mounting = false;
  bool leaving = false;
  std::string unusable{};  // when not empty: why its record cannot be used; there is no actor then
};

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

  kj::Promise<mount_snapshot> mount(mount_spec spec);
  kj::Promise<void> unmount(std::string path);
  kj::Promise<mount_snapshot> query(const std::string& path);
  kj::Promise<std::vector<mount_snapshot>> query_all();
  kj::Promise<mount_snapshot> restart(const std::string& path);
  kj::Promise<mount_snapshot> reset(const std::string& path);
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
  kj::Promise<release_info> register_release(release_spec spec);
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

 private:
  struct reload_work {
    std::vector<std::string> paths;
    reload_request how;
    std::vector<reload_result> results;
    std::size_t next = 0;
  };

  using paths = std::vector<std::string>;

  release_catalog::usage release_usage();
  bool runs_untrusted(const std::string& path);
  kj::Promise<void> condemn(const std::string& path);
  kj::Promise<std::vector<reload_result>> reload_all(std::shared_ptr<reload_work> work);
  kj::Promise<void> reload_next(std::shared_ptr<reload_work> work);
  std::shared_ptr<mount_entry> make_entry(mount_spec spec);
  void check(mount_spec& spec);
  kj::Promise<void> start(const std::shared_ptr<mount_entry>& entry, bool mounting);
  kj::Promise<void> discard(std::string path, std::string reason);
  kj::Promise<mount_snapshot> keep(std::string path, mount_snapshot status);
  kj::Promise<void> save_new(mount_entry& entry);
  kj::Promise<void> save(mount_entry& entry, std::uint64_t generations_reserved);
  kj::Promise<void> forget(const std::string& path);
  kj::Promise<mount_snapshot> query(const mount_route& route);
  mount_snapshot snapshot_without_actor(mount_entry& entry, const mount_absence& why) const;
  kj::Promise<mount_snapshot> revive(const std::string& path, bool reset);
  void absent(const std::string& path, const mount_absence& why);
  std::string group_problem_of(const mount_spec& spec) const;
  mount_route& require_usable(const std::string& path);
  mount_route& require_settled(const std::string& path);
  kj::Promise<void> load_page(std::string after);
  kj::Promise<void> sweep_views(std::string after);
  void restore(const std::string& key, const std::string& record);
  std::string read_record(const std::string& path, const std::string& record, mount_entry& stored);
  void shelve(const std::string& path, const std::string& uuid, const std::string& reason);
  kj::Promise<void> stop_actor(const std::string& path, mount_stop order);

  broker_services& services_;
  asker& ask_;
  mounts_parent& parent_;
  std::unique_ptr<registrar> registrar_;
  route_table<mount_route> routes_;
  std::vector<std::shared_ptr<mount_entry>> restored_;  // while load() reads
  std::set<std::string> shelved_views_;                 // uuids
  bool views_are_known_ = true;  // false: of some view nobody can say whose it is
  bool stopping_ = false;
};

}  // namespace bulkhead
