// SPDX-License-Identifier: Apache-2.0
#pragma once

// The embedding API: a broker inside a service's own process.
//
//     bulkhead::broker broker({.state_directory = "/var/lib/service", .plugin_directory =
//     "/usr/lib/service/plugins"}); broker.mount({.path = "kv/", .plugin = "kv"}); auto client =
//     broker.connect(); client.write("kv/app", {{"user", "ada"}}).get();
//
// Guarantees
//   * The object owns everything: threads, processes, sockets, store. Its destructor stops them in
//   good order; a process may make
//     another one afterwards, or several at once in different state directories.
//   * Every function may be called from any thread but the callbacks' own, and none needs an event
//   loop. Functions that return a
//     future never block; the others block until the broker has answered.
//   * What mount() acknowledged is durable: a later broker on the same state directory mounts it
//   again.
// Limits
//   * SIGPIPE is ignored in the whole process from the first broker on; no other signal is touched.
//   * Typed calls carry Cap'n Proto types and are offered apart, in broker/typed.hpp.

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/confinement_words.hpp"
#include "broker/error.hpp"
#include "broker/limits.hpp"
#include "broker/releases.hpp"
#include "broker/value.hpp"

namespace bulkhead {

enum class restart_rule : std::uint8_t {
  permanent,  // always started again
  transient,  // only after an abnormal end
  temporary,  // never
};

enum class mount_state : std::uint8_t { starting, ready, draining, stopped, backoff, quarantined };

std::string to_string(mount_state state);

struct option {
  std::string name;
  std::string value;

  bool operator==(const option&) const = default;
};

/// How a mount is supervised; the defaults are the broker's.
struct restart_limits {
  std::uint32_t intensity = 3;               // restarts allowed ...
  std::chrono::milliseconds period{30'000};  // ... within this; one more quarantines the mount
  std::chrono::milliseconds backoff_first{
      100};  // the first restart is immediate, the second waits this long
  std::chrono::milliseconds backoff_max{
      30'000};  // each further one twice as long, up to this, plus jitter
  std::chrono::milliseconds backoff_stable{60'000};  // a run this long starts the sequence anew

  bool operator==(const restart_limits&) const = default;
};

enum class start_mode : std::uint8_t {
  eager,  // with the mount, and with the broker
  lazy,   // with the first call
};

enum class handover : std::uint8_t {
  overlap,     // a reload starts the new instance while the old one serves, unless the plugin says
               // that it must be alone
  stop_first,  // it stops the old one before it starts the new one
};

/// When an instance is started, watched, stopped and replaced, apart from crashes. A zero turns a
/// rule off.
struct life_rules {
  start_mode start = start_mode::eager;
  std::chrono::milliseconds idle_stop{0};  // stopped after so long without a call; the next call
                                           // starts it again
  std::chrono::milliseconds ping_every{10'000};  // asked whether its event loop turns ...
  std::chrono::milliseconds ping_wait{20'000};   // ... and killed when it has not answered by then
  std::chrono::milliseconds call_age_max{0};     // killed when a call in flight is older
  std::chrono::milliseconds lifetime_max{0};     // replaced, as by reload, after so long ready
  std::uint64_t calls_max = 0;                   // ... after so many calls
  bulkhead::handover handover = bulkhead::handover::overlap;
  std::chrono::milliseconds start_max{0};  // from start to ready; 0: start_ms_max

  bool operator==(const life_rules&) const = default;
};

/// What callers may ask of a mount. Zeros of the first four mean the broker's limit.
struct call_rules {
  std::uint32_t in_flight_max = 0;
  std::uint32_t waiting_max = 0;
  std::chrono::milliseconds wait_max{0};
  std::chrono::milliseconds call_max{0};
  std::uint32_t breaker_failures = 10;  // so many calls in a row without an answer in time open the
                                        // breaker; 0: none
  std::chrono::milliseconds breaker_open{15'000};       // it refuses calls for this long, then lets
                                                        // one through
  std::chrono::milliseconds breaker_open_max{300'000};  // what a failing probe doubles it up to

  bool operator==(const call_rules&) const = default;
};

struct mount_spec {
  std::string path;    // as in "kv/"; a missing trailing slash is added
  std::string plugin;  // a plugin of the catalog; in development mode also a file in the plugin
                       // directory
  std::vector<option> options{};
  std::string description{};
  restart_rule restart = restart_rule::permanent;
  restart_limits supervision{};
  life_rules life{};
  call_rules calls{};
  std::string group{};    // the group supervisor that it joins; empty: none
  std::string version{};  // of the release to run; empty: the pinned one, else the highest
  std::string kind{};     // "secrets", "auth", "database", "generic"; empty: the only one that has
                          // the plugin
  confinement_rules confinement{};         // on top of what the release and the broker say
  std::vector<named_number> thresholds{};  // "rss-restart", ...; see schema/admin.capnp
};

/// A change of a mount's rules: what is not set stays. Options are set one by one.
struct tune_request {
  std::string path;
  std::vector<option> options{};
  std::vector<std::string> unset_options{};  // these are set no more
  std::optional<std::string> description{};
  std::optional<restart_rule> restart{};
  std::optional<restart_limits> supervision{};
  std::optional<life_rules> life{};
  std::optional<call_rules> calls{};
  std::optional<std::string> version{};  // of the release; an empty one: the highest
  // Each replaces what the mount said. Limits and thresholds count at once, the others from the
  // next instance on.
  std::optional<std::string> profile{};
  std::optional<std::vector<std::string>> waive{};
  std::optional<std::vector<named_number>> limits{};
  std::optional<std::vector<std::string>> grants{};
  std::optional<std::vector<named_number>> thresholds{};
  bool reload = false;  // an instance that runs is replaced, so that it has the options too
};

struct mount_status {
  std::string path;
  std::string uuid;
  std::string plugin;
  std::string plugin_version;
  mount_state state = mount_state::stopped;
  std::string reason;
  std::uint64_t generation = 0;
  std::uint32_t pid = 0;  // 0 when no process runs
  std::uint64_t restarts = 0;
  std::uint32_t calls_in_flight = 0;
  std::uint32_t calls_waiting = 0;
  std::uint64_t calls_total = 0;
  std::uint64_t calls_failed = 0;
  std::string kind{};            // of the catalog; empty for an unregistered file
  std::string version{};         // as in mount_spec
  std::string version_wanted{};  // what the next reload takes; plugin_version is what runs
  std::string sha256{};          // of the bytes that run; empty when none do, or unregistered
  std::vector<std::string> signed_by{};
  bool unregistered = false;          // nobody has vouched for what runs here
  std::uint32_t storage_version = 0;  // the layout of what its plugin stored, as that counts
  std::string snapshot{};             // what rollback returns to, for people; empty: nothing
};

/// Which calls a mount lets through; see call_rules.
enum class breaker_state : std::uint8_t { closed, open, half_open };

struct reload_request {
  std::string version{};        // when not empty: what the new instance must call itself
  unsigned canary_percent = 0;  // so many of a hundred calls go to it first ...
  std::chrono::milliseconds canary{10'000};  // ... for this long; 0 %: no trial
};

enum class reload_outcome : std::uint8_t {
  replaced,   // the new instance was started beside the old one and took over
  restarted,  // the old one was stopped first, or there was none
  failed,     // the old one serves on; where it was stopped first, see the mount's state
  nothing,    // no instance runs: stopped, asleep or quarantined
};

struct reload_result {
  std::string path;
  reload_outcome outcome = reload_outcome::failed;
  std::string reason;  // with `failed`
  std::uint64_t generation_before = 0;
  std::uint64_t generation_after = 0;
  std::string version_before;
  std::string version_after;
  std::chrono::milliseconds took{0};  // until the new instance served
};

/// A transition: of a mount, or of the broker itself (then `mount` is empty).
struct broker_event {
  std::uint64_t number = 0;  // ascending, from 1
  std::int64_t unix_ms = 0;
  std::string mount;
  std::uint64_t generation = 0;
  std::string name;  // "starting", "ready", "crashed", "backoff", "quarantined", "stopped",
                     // "mounted", "unmounted", ...
  std::string reason;
};

struct state_backup {
  std::uint64_t bytes = 0;
  std::uint64_t revision = 0;  // of the store: everything up to it is in the backup
};

enum class operation : std::uint8_t { read, write, list, remove, help };

struct request {
  bulkhead::operation operation = operation::read;
  std::string path;  // absolute, as in "kv/app"
  bulkhead::fields fields{};
};

struct response {
  bulkhead::fields fields{};
  std::vector<std::string> keys;  // the answer to a list
  std::vector<std::string> warnings;
  std::string help;
};

/// Whom the end of a mount's instance concerns, within a group.
enum class group_strategy : std::uint8_t {
  one_for_one,   // that mount alone; each keeps rules of its own (mount_spec::supervision)
  one_for_all,   // all mounts of the group
  rest_for_one,  // it, and the mounts that joined the group after it
};

/// A group of mounts under a supervisor of their own.
///
/// With one_for_all and rest_for_one the mounts share their fate: when the instance of one ends and
/// its restart rule says that it is to be started again, those concerned are stopped in good order,
/// the newest first, and then started one after another in the order in which they were mounted.
/// That counts as one restart in the group's window, waits by the group's backoff, and is not
/// counted in the mounts' own, which have no say then. A group whose window is spent gives up: one
/// without a parent quarantines those concerned; one with a parent ends and leaves the decision to
/// the parent's strategy. With one_for_one the group's numbers are for defects of the broker's own
/// actors.
struct group_spec {
  std::string name;  // [a-z0-9][a-z0-9_-]*, at most 64 bytes
  group_strategy strategy = group_strategy::one_for_one;
  restart_limits supervision{};
  std::string parent{};              // the group that it is part of; empty: none
  std::vector<std::string> after{};  // groups of the same parent that start before it and stop
                                     // after it
};

struct declared_pin {
  std::string kind;
  std::string name;
  std::string version;
};

/// What a broker is to hold besides what operators make: its releases, pins and mounts are brought
/// to this (config_apply), and nothing else of the broker's is touched.
struct declared_state {
  std::vector<release_spec> releases{};  // each with kind, name and version
  std::vector<declared_pin> pins{};
  std::vector<mount_spec> mounts{};
  /// What waits for the next start of the broker, by name, as in "1 -> 2": told, and not done.
  std::map<std::string, std::string> fixed{};
};

/// What config_apply() would do, or what became of it.
struct config_change {
  std::string action;     // "register", "pin", "mount", "tune", "unmount", "unpin", "deregister",
                          // and, only told: "keep", "configure"
  std::string target;     // "secrets/kv@1.2.0", "kv/", "limits.call_ms_max"
  std::string detail;     // one line, as in "version 1.2.0 -> 1.3.0"
  std::string problem{};  // when not empty: why it cannot be, or was not, done

  bool operator==(const config_change&) const = default;
};

struct broker_config {
  std::string state_directory;  // made if missing, mode 0700; one broker at a time
  std::string
      plugin_directory;       // holds the files that releases, and in development mode mounts, name
  std::string socket_path{};  // empty: no socket, callers are in this process only
  broker_limits limits{};
  std::vector<group_spec> groups{};  // checked as check_groups() in broker/group_rules.hpp says
  std::string state_key_file{};      // keys that encrypt what plugins store (`bulkheadd
                                     // --new-state-key` makes one); empty: it is stored as it is
  /// Development mode: a name that the catalog does not hold is a file of the plugin directory, and
  /// runs unchecked.
  bool allow_unregistered = false;
  /// What the broker is to hold: read at its start and for every config_apply() on a thread for
  /// which no stop waits, so it owns what it uses. May throw `error`. Empty: operators alone say.
  std::function<declared_state()> declared{};
  confinement_config confinement{};
};

class broker_thread;

/// A caller inside the process. Copyable; all copies speak through one session. Works until the
/// broker stops. Calls that are under way then, and later ones, end as broker_stopping at the
/// latest when stop() returns: no future is left broken. Any thread.
class client {
 public:
  /// Sends a request-style call. The future holds the response or an `error`.
  std::future<response> handle(request call) const;
  /// The same with a callback, which runs on the broker's thread: it must not block and not wait
  /// for the broker.
  void handle(request call, std::function<void(std::future<response>)> done) const;

  std::future<response> read(std::string path, fields with = {}) const;
  std::future<response> write(std::string path, fields with) const;
  std::future<response> list(std::string path) const;
  std::future<response> remove(std::string path) const;

 private:
  friend class broker;
  friend class typed_access;
  explicit client(std::shared_ptr<broker_thread> broker) : broker_(std::move(broker)) {}
  std::shared_ptr<broker_thread> broker_;
};

class observer_gate;

/// Which events an observer gets. `start`: all that are kept (`events_kept`), from the broker's
/// start.
enum class observe_from : std::uint8_t { now, start };

/// Ends the delivery of events when destroyed. The destructor waits for a callback that is under
/// way; destroyed by that callback itself it does not, and the callback is the last. After it the
/// callback may lose what it refers to.
class subscription {
 public:
  subscription(subscription&&) noexcept = default;
  subscription& operator=(subscription&&) noexcept;
  subscription(const subscription&) = delete;
  subscription& operator=(const subscription&) = delete;
  ~subscription();

 private:
  friend class broker;
  subscription(std::weak_ptr<broker_thread> broker, std::uint64_t id,
               std::shared_ptr<observer_gate> gate)
      : broker_(std::move(broker)), id_(id), gate_(std::move(gate)) {}
  std::weak_ptr<broker_thread> broker_;
  std::uint64_t id_ = 0;
  std::shared_ptr<observer_gate> gate_;
};

class broker {
 public:
  /// Opens the state, starts the mounts that it holds, listens. Returns once mounts are being
  /// started, not when all are ready. Throws `error`: storage (state unusable, or in use by another
  /// broker), invalid_argument (a directory or socket path).
  explicit broker(broker_config config);
  /// stop()
  ~broker();
  broker(const broker&) = delete;
  broker& operator=(const broker&) = delete;

  /// Refuses new calls, lets those in flight finish for a while, stops the plugins in good order,
  /// closes the store. Idempotent.
  void stop();

  /// Enables a mount and waits for its first start. Throws `error`; a mount whose first start fails
  /// is not kept.
  mount_status mount(mount_spec spec);
  /// Removes a mount and its data. After it no call succeeds on anything that came from the mount.
  void unmount(const std::string& path);
  /// Changes the rules of a mount, all or nothing. What concerns calls, supervision and life counts
  /// at once, options from the next instance on. With `reload` that one is started now, and when it
  /// does not come up nothing has changed.
  mount_status tune(tune_request what);
  /// Gives a mount another path. Its data, its instance and the calls in flight stay; requests by
  /// the old path find nothing from then on.
  mount_status move(const std::string& from, const std::string& to);
  /// Takes back the last upgrade that migrated the mount's storage: the view as it was before it,
  /// and the version before. What was written since is lost. Throws `error` failed_precondition
  /// when there is no snapshot.
  mount_status rollback(const std::string& path);
  std::vector<mount_status> mounts() const;
  mount_status status(const std::string& path) const;
  /// Stops the instance in good order and starts another; cuts a backoff short. Throws `error`
  /// failed_precondition for a mount in quarantine.
  mount_status restart(const std::string& path);
  /// Leaves quarantine: clears what was counted, and starts. Elsewhere it changes nothing.
  mount_status reset(const std::string& path);
  /// Opens the mount's circuit breaker by hand: new calls fail at once, those in flight go on, the
  /// instance stays. Closed by hand too, or by a new start of the broker.
  mount_status hold_breaker(const std::string& path, bool open);
  /// Replaces the mount's instance without a failed call; when the new one does not come up the old
  /// one serves on, and the result says why. Throws `error` only when there is nothing to reload.
  reload_result reload(const std::string& path, reload_request how = {});
  /// Stops the instance and leaves the mount stopped until start_mount, restart, or another broker.
  mount_status stop_mount(const std::string& path);
  mount_status start_mount(const std::string& path);
  /// Sends a signal to the mount's process.
  void kill(const std::string& path, int signal);

  /// Writes a consistent copy of the state into a new file, whose path is absolute, while
  /// everything goes on. `bulkheadd --restore` puts it back. Throws `error`: already_exists,
  /// invalid_argument, storage.
  state_backup backup(const std::string& file) const;
  /// Reads the key file anew and encrypts with its newest key all that older ones encrypted.
  /// Returns the number of values. Throws `error` invalid_argument when the state is not encrypted.
  std::uint64_t rotate_state_key() const;

  /// The catalog: what may run. Errors as in schema/admin.capnp, registerRelease and those after
  /// it.
  release_info register_release(release_spec spec);
  /// By kind, name and falling version; empty means all.
  std::vector<release_info> releases(const std::string& kind = {},
                                     const std::string& name = {}) const;
  /// One release; empty words: as a mount that leaves them out would take them.
  release_info release(const std::string& kind, const std::string& name,
                       const std::string& version) const;
  void deregister(const std::string& kind, const std::string& name, const std::string& version);
  void pin(const std::string& kind, const std::string& name, const std::string& version);
  void unpin(const std::string& kind, const std::string& name);

  /// Trust: whose signature counts. Errors as in schema/admin.capnp, trustKey and those after it.
  trusted_key_info trust_key(trusted_key_info key);
  /// Answers the mounts whose running release has no good signature left; with `revoke` they have
  /// been stopped.
  std::vector<std::string> untrust(const std::string& id, bool revoke, const std::string& reason);
  trust_report trust() const;
  void set_trust_policy(const std::string& kind, signature_rule policy);

  /// What config_apply() would do now. Throws `error`: that of broker_config::declared,
  /// failed_precondition without one.
  std::vector<config_change> config_diff(bool prune = false) const;
  /// Makes releases, pins and mounts what is declared, touching only what came that way. Each
  /// change has its own outcome. A mount that is declared no more is unmounted, and its data
  /// deleted, only with `prune`. Errors as above.
  std::vector<config_change> config_apply(bool prune = false);
  /// The same without `prune`, and without waiting; what becomes of it is events ("configured",
  /// "config_note", "config_problem", "config_refused"). So begins every broker.
  void config_apply_soon();

  client connect() const;

  /// Calls `observer` on the broker's thread for each event from now on, or first for those that
  /// the broker still keeps; it must not block and not call the broker.
  [[nodiscard]] subscription observe(std::function<void(const broker_event&)> observer,
                                     observe_from from = observe_from::now) const;

 private:
  std::shared_ptr<broker_thread> thread_;
};

}  // namespace bulkhead
