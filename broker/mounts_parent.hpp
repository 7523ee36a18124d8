// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who keeps the mounts' actors alive, as the broker's core sees it: the supervisor "mounts" and the
// group supervisors below it.

#include <kj/async.h>

#include <functional>
#include <optional>
#include <string>

#include "actors/protocols.hpp"
#include "broker/broker.hpp"

namespace bulkhead {

/// Makes the actor of a mount; called for each start, on the reactor. The ticket is for telling the
/// supervisor that the mount is ready. A null actor: it is not wanted any more.
using mount_factory = std::function<caf::actor(const child_ticket&)>;

/// Why a mount has no actor at the moment.
struct mount_absence {
  mount_state state = mount_state::stopped;  // or backoff, quarantined
  std::string reason;
  std::chrono::nanoseconds backoff_left{0};
};

class mounts_parent {
 public:
  mounts_parent() = default;
  mounts_parent(const mounts_parent&) = delete;
  mounts_parent& operator=(const mounts_parent&) = delete;
  virtual ~mounts_parent() noexcept(false) = default;

  /// Adds a child to a group, or to none. Before open() it is only noted, and starts with its
  /// group. Resolves when it has been noted, or its factory has been called for the first time.
  virtual kj::Promise<void> add(std::string id, std::string group, mount_factory make) = 0;

  /// Starts what was added, groups after those that they depend on, and does not wait for it.
  /// Idempotent.
  virtual void open() = 0;

  /// Gives a child another id; its actor, group and place in it stay. `to` is free.
  virtual void rename(const std::string& from, const std::string& to) = 0;

  /// Ends a child's actor, if it lives, and forgets the child.
  virtual kj::Promise<void> remove(std::string id) = 0;

  /// Starts a child that has no actor, with what is down for the same reason. `reset` clears the
  /// window too.
  virtual kj::Promise<void> revive(std::string id, bool reset) = 0;

  /// Empty when the child's actor lives or is being started.
  virtual std::optional<mount_absence> absence(const std::string& id) const = 0;

  /// How often the child's actor was started again.
  virtual std::uint64_t restarts(const std::string& id) const = 0;

  /// `told` hears of every child that has lost its actor for a while or for good.
  virtual void watch(std::function<void(const std::string& id, const mount_absence&)> told) = 0;
};

}  // namespace bulkhead
