// SPDX-License-Identifier: Apache-2.0
#pragma once

// The catalog: which releases there are, which are pinned, and what a name means. In memory, in
// front of the store. Threads: the reactor's.
//
// Guarantees
//   * A registered version is immutable: it is written only where no such key is, so that of two
//     brokers or two requests one wins and the other hears of it. The same bytes by the same words
//     again are a success that changes nothing. The one thing that may be replaced is its
//     vouching: the same bytes with another manifest or signatures, accepted by trust, take the
//     place of what vouched before (a second signature, so that a key can be changed).
//   * Acknowledged means durable. The memory follows the store, also after a write that failed and
//     may have been done (write_doubts.hpp).
//   * A record that cannot be read is kept, shown with its reason, and keeps nobody else from
//     starting.
//   * What is in use, or pinned, cannot be deregistered. From the moment at which it is leaving
//     nobody can choose it any more.
//
// A release says what to run. Whether it may run is asked of trust, each time.

#include <kj/async.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/catalog/resolution.hpp"
#include "broker/catalog/trust_desk.hpp"
#include "broker/catalog/write_doubts.hpp"
#include "broker/declared_state.hpp"
#include "broker/event_log.hpp"
#include "broker/store/async_store.hpp"

namespace bulkhead {

class release_catalog {
 public:
  /// Mounts by the releases that they run, ask for, or would take with their next start.
  using usage = std::map<release_id, std::vector<std::string>>;

  /// All outlive it.
  release_catalog(async_store& store, event_log& events, kj::Timer& timer, trust_desk& trust);

  kj::Promise<void> load();
  /// Who uses what; asked before anything is deregistered or shown.
  void set_usage(std::function<usage()> ask) { usage_ = std::move(ask); }

  resolution resolve(const release_wish& wish) const { return bulkhead::resolve(lines_, wish); }
  /// Exactly this one, whatever is pinned: found, damaged, or missing.
  resolution kept(const release_id& id) const { return resolve_kept(lines_, id); }
  /// Null when there is none.
  std::shared_ptr<const release> find(const release_id& id) const;

  /// Enters a release. Fails with already_exists, and overloaded (`releases_max`).
  kj::Promise<release_info> add(release what, std::size_t releases_max);
  /// Fails with not_found, and failed_precondition for one that is used or pinned.
  /// `declared`, here and below: the declared state asks for it. That touches only what came so,
  /// and fails with failed_precondition where an operator has his own.
  kj::Promise<void> remove(release_id id, bool declared = false);
  /// Fails with not_found. What an operator pins is his from then on, whoever pinned before.
  kj::Promise<void> pin(release_id id, bool declared = false);
  kj::Promise<void> unpin(std::string kind, std::string name);
  /// Of the declared state, which pinned this version.
  kj::Promise<void> unpin_declared(release_id id);

  /// By kind, name and falling version. Empty: all.
  std::vector<release_info> list(const std::string& kind, const std::string& name);
  /// As a mount without a kind or version means it, when those are empty. Fails with not_found,
  /// invalid_argument.
  release_info show(const release_wish& wish);
  /// The release itself, where `show` shows it; null for a damaged one.
  std::shared_ptr<const release> at(const release_info& shown) const;

  std::vector<actual_pin> pins() const;
  std::size_t size() const;

 private:
  kj::Promise<void> load_page(std::string prefix, std::string after);
  void take_release(const std::string& key, const std::string& value);
  void take_pin(const std::string& key, const std::string& value);
  void learn(const std::string& key, const std::optional<std::string>& value);
  void take_declared_pin(const std::string& key, const std::string& value);
  plugin_line* line_named(const std::string& name);
  void shelve(const release_id& id, const std::string& reason);
  void put(release what);
  void forget(const release_id& id);
  kj::Promise<void> erase(release_id id);
  kj::Promise<void> erase_pin(const std::string& kind, const std::string& name);
  kj::Promise<release_info> settle(release what, const store_row& there);
  release_info show_now(const std::shared_ptr<const release>& shown, const usage& users);
  release_info show_damaged(const release_id& id, const std::string& reason) const;
  plugin_line* line_of(const release_id& id);
  release_id require_id(release_id id) const;

  async_store& store_;
  event_log& events_;
  trust_desk& trust_;
  std::function<usage()> usage_;
  plugin_lines lines_;
  write_doubts doubts_;
};

/// A refusal of resolve() as it travels.
kj::Exception resolution_exception(const resolution& refused);

}  // namespace bulkhead
