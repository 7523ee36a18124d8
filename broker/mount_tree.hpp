// SPDX-License-Identifier: Apache-2.0
#pragma once

// The supervisor "mounts", the group supervisors of the configuration below it, and the mounts'
// actors below those.
//
//     mounts ── mounts without a group
//          └─ group supervisors ── their mounts, and their groups
//
// How a group behaves is said at group_spec (broker/broker.hpp). How it comes about: in a group
// whose mounts share their fate, a mount's actor does not restart its instance. It ends, with the
// instance's end as the reason, and the group's supervisor does what its strategy says: it has the
// actors concerned stop, which stop their instances in good order, waits as its backoff says, and
// makes them anew. A mount's entry, and with it its slot, log and generations, outlives its actor;
// while there is none, callers wait or are refused as the slot was told (watch()).
//
// Nothing is known of a child only by the supervisor that holds it: every mount is noted here, in
// the order of being added, with the factory of its actor. A supervisor that is started again, the
// one of all mounts too, so begins with the children that it had.
//
// A mount can be given another id while its supervisor goes on. To the supervisor it stays the
// child that it was when it was added; what the supervisor says of that child is put into today's
// words here.
//
// Start order: groups after those that they depend on; in a group with rest_for_one or one_for_all
// one mount after another, its groups first; elsewhere together. A mount of a group counts as
// started when it is ready or its first start has ended badly; one that an operator mounts while
// the broker runs, at once: whoever asked for it hears how its start ends, and its group does not.
//
// Limits: a group that gave up below a parent takes no mounts until the parent has started it
// again. Threads: the reactor's.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/asker.hpp"
#include "actors/random.hpp"
#include "actors/supervisor_messages.hpp"
#include "broker/mounts_parent.hpp"
#include "broker/tree_text.hpp"

namespace bulkhead {

struct supervisor_options;

// An actor of the broker (a mount's too, unless its group shares its fate) fails by a defect or
// because a resource is gone: worth trying again, not for long.
inline constexpr std::size_t actor_restarts = 5;
inline constexpr std::chrono::milliseconds actor_period{60'000};

class mount_tree final : public mounts_parent {
 public:
  /// `groups` have passed check_groups(). `ask` and `loop` outlive the tree.
  mount_tree(asker& ask, reactor& loop, std::shared_ptr<random_source> random,
             std::vector<group_spec> groups);

  /// A new supervisor "mounts", for each start of it.
  caf::actor make();
  /// It has ended: what is added until the next one is made is only noted.
  void lost();
  /// The supervisor "mounts"; null while there is none.
  caf::actor actor() const { return caf::actor_cast<caf::actor>(groups_.at("").actor); }
  /// `start` makes root take "mounts" as a child.
  void on_open(std::function<void()> start) { start_ = std::move(start); }

  kj::Promise<void> add(std::string id, std::string group, mount_factory make) override;
  void open() override;
  void rename(const std::string& from, const std::string& to) override;
  kj::Promise<void> remove(std::string id) override;
  kj::Promise<void> revive(std::string id, bool reset) override;
  std::optional<mount_absence> absence(const std::string& id) const override;
  std::uint64_t restarts(const std::string& id) const override;
  void watch(std::function<void(const std::string&, const mount_absence&)> told) override;

  /// "mounts" and all below it, for people. `mounts`: what the mounts say of themselves.
  kj::Promise<tree_node> describe(std::vector<mount_line> mounts);

 private:
  struct group {
    group_spec spec;
    supervisor_actor actor;             // null before it was made, and while it is down
    std::optional<mount_absence> down;  // why it has no supervisor
  };
  struct mount {
    std::string id;
    std::string child;        // its name with its supervisor
    std::uint64_t order = 0;  // of being added
    std::string group;
    mount_factory make;
    std::uint64_t starts = 0;
    bool asked_for = false;  // its first start is an operator's, and concerns nobody else
    std::optional<mount_absence> down;
    std::vector<kj::Own<kj::PromiseFulfiller<void>>> await_made;
  };

  supervisor_options options_of(const group& which, const child_ticket& ticket);
  caf::actor make_supervisor(group& which, const child_ticket& ticket);
  actor_child_spec child_of(const mount& which);
  actor_child_spec child_of(const group& which);
  caf::actor make_mount(const std::string& child, const child_ticket& ticket);
  mount* mount_of(const std::string& child);
  std::string in_todays_words(std::string reason) const;
  std::vector<std::string> groups_below(const std::string& parent) const;
  void note(const std::string& parent, const action::report& news);
  void tell_all_below(const std::string& name, const mount_absence& why);
  bool is_below(const std::string& name, const std::string& ancestor) const;

  using snapshots = std::map<std::string, supervisor_snapshot>;
  tree_node describe_group(const group& which, const snapshots& supervisors,
                           const std::map<std::string, const mount_line*>& mounts) const;

  asker& ask_;
  reactor& loop_;
  std::shared_ptr<random_source> random_;
  std::map<std::string, group> groups_;  // by name; "": all mounts
  std::vector<std::string> group_order_;
  std::map<std::string, mount> mounts_;             // by id
  std::map<std::string, std::string> ids_;          // of the mounts, by child
  std::map<std::string, std::string> other_names_;  // those of them that differ
  std::uint64_t next_order_ = 1;
  std::function<void(const std::string&, const mount_absence&)> told_;
  std::function<void()> start_;
  bool open_ = false;
};

}  // namespace bulkhead
