// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's supervision tree.
//
//     root (one_for_one) ── store · spawner
//          └─ mounts ── groups ── one supervisor per mount ── its instance
//
// Root is here, what is below "mounts" in broker/mount_tree.hpp.
//
// A store or spawner that fails is started again, and who uses it gets the new one. A mount's actor
// that fails (a defect: plugins cannot make it) is started again and keeps its slot; one that fails
// over and over is quarantined and costs the other mounts nothing. When root gives up, the broker
// ends, with the reason: its own supervisor is the system's service manager.
//
// Threads: the reactor's.

#include <functional>
#include <string>

#include "actors/asker.hpp"
#include "actors/supervisor_messages.hpp"
#include "broker/broker_core.hpp"
#include "broker/mount_tree.hpp"

namespace bulkhead {

/// A worker of root: `make` is called for each start and answers with the actor.
struct tree_worker {
  std::string name;
  std::function<caf::actor()> make;
};

class supervision_tree {
 public:
  /// Starts root with its workers, in order; "mounts" follows when it is opened. `ask` outlives the
  /// tree; `groups` have passed check_groups().
  supervision_tree(asker& ask, reactor& loop, std::uint64_t seed, std::vector<tree_worker> workers,
                   std::vector<group_spec> groups = {});

  /// Resolves when every worker has been started for the first time.
  kj::Promise<void> started();
  /// Resolves when root has ended, asked or not. Call it once.
  kj::Promise<void> ended();
  /// Ends all of it, in reverse order; `ended` resolves then.
  void stop();

  mount_tree& mounts() { return mounts_; }

  kj::Promise<tree_node> describe(broker_core& core);

 private:
  void root_observed(const action::report& news);

  asker& ask_;
  mount_tree mounts_;
  supervisor_actor root_;
};

}  // namespace bulkhead
