// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "actors/hosted.hpp"
#include "actors/supervisor.hpp"
#include "broker/convert.hpp"
#include "broker/group_rules.hpp"

namespace bulkhead {
namespace {

restart_strategy strategy_of(group_strategy from) {
  switch (from) {
    case group_strategy::one_for_all:
      return restart_strategy::one_for_all;
    case group_strategy::rest_for_one:
      return restart_strategy::rest_for_one;
    case group_strategy::one_for_one:
      break;
  }
  return restart_strategy::one_for_one;
}

supervisor_policy policy_of(const group_spec& group) {
  supervisor_policy policy;
  policy.asked = asked_start::may_fail;
  if (group.name.empty()) {
    policy.intensity = actor_restarts;
    policy.period = actor_period;
    policy.when_spent = give_up::quarantine;
    policy.order = stop_order::levels;
    return policy;
  }
  const auto& rules = group.supervision;
  policy.strategy = strategy_of(group.strategy);
  policy.intensity = rules.intensity;
  policy.period = rules.period;
  policy.backoff.first = rules.backoff_first;
  policy.backoff.max = rules.backoff_max;
  policy.backoff.stable = rules.backoff_stable;
  policy.when_spent = group.parent.empty() ? give_up::quarantine : give_up::escalate;
  policy.order =
      group.strategy == group_strategy::one_for_one ? stop_order::levels : stop_order::reverse;
  return policy;
}

/// The absence that a state of a child means, if any: a child that starts or runs is there.
std::optional<mount_absence> absence_of(const action::report& news) {
  switch (news.to) {
    case child_state::backoff:
      return mount_absence{mount_state::backoff, news.reason, news.delay};
    case child_state::quarantined:
      return mount_absence{mount_state::quarantined, news.reason, {}};
    case child_state::stopped:
      return mount_absence{mount_state::stopped, news.reason, {}};
    case child_state::starting:
    case child_state::ready:
    case child_state::stopping:
      break;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_group_down(const std::string& name, const mount_absence& why) {
  kj::throwFatalException(exception(error_kind::failed_precondition,
                                    fmt::format("group '{}' is down", name), why.reason,
                                    "bulkhead tree"));
}

}  // namespace

mount_tree::mount_tree(asker& ask, reactor& loop, std::shared_ptr<random_source> random,
                       std::vector<group_spec> groups)
    : ask_(ask), loop_(loop), random_(std::move(random)) {
  groups_[""];
  for (auto& each : groups) {
    group_order_.push_back(each.name);
    groups_[each.name].spec = std::move(each);
  }
}

// -- children
// --------------------------------------------------------------------------------------

/// The groups of a parent, each behind those that it is after, otherwise in the configured order.
std::vector<std::string> mount_tree::groups_below(const std::string& parent) const {
  std::vector<std::string> ordered;
  std::set<std::string> taken;
  const auto is_next = [&](const std::string& name) {
    const auto& spec = groups_.at(name).spec;
    return spec.parent == parent && !taken.contains(name) &&
           std::all_of(spec.after.begin(), spec.after.end(),
                       [&](const std::string& other) { return taken.contains(other); });
  };
  while (true) {
    const auto next = std::find_if(group_order_.begin(), group_order_.end(), is_next);
    if (next == group_order_.end()) return ordered;
    taken.insert(*next);
    ordered.push_back(*next);
  }
}

actor_child_spec mount_tree::child_of(const mount& which) {
  actor_child_spec child;
  child.rules.id = which.child;
  // Transient: an actor that was asked to end is not started again.
  child.rules.restart = restart_type::transient;
  child.rules.shutdown = shutdown_rule::infinity();  // its instance has limits of its own
  child.kind = "mount";
  child.ready_when_made = which.group.empty();
  child.make = [this, name = which.child](const child_ticket& ticket) {
    const auto actor = make_mount(name, ticket);
    if (!actor) return child_made{nullptr, "it is not wanted any more", true};
    return child_made{caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
  };
  return child;
}

actor_child_spec mount_tree::child_of(const group& which) {
  actor_child_spec child;
  child.rules = supervisor_spec(which.spec.name);
  const auto& parent = groups_.at(which.spec.parent).spec;
  if (policy_of(parent).order == stop_order::levels) child.rules.after = which.spec.after;
  child.kind = "group";
  child.ready_when_made = false;
  child.make = [this, name = which.spec.name](const child_ticket& ticket) {
    const auto actor = make_supervisor(groups_.at(name), ticket);
    return child_made{caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
  };
  return child;
}

/// Null when there is none of that name.
mount_tree::mount* mount_tree::mount_of(const std::string& child) {
  const auto found = ids_.find(child);
  return found == ids_.end() ? nullptr : &mounts_.at(found->second);
}

caf::actor mount_tree::make_mount(const std::string& child, const child_ticket& ticket) {
  auto* known = mount_of(child);
  if (known == nullptr) return {};
  auto& mount = *known;
  ++mount.starts;
  mount.down.reset();
  auto made = mount.make(ticket);
  if (std::exchange(mount.asked_for, false)) report_ready(ticket);
  auto waiting = std::move(mount.await_made);
  mount.await_made.clear();
  for (auto& each : waiting) each->fulfill();
  return made;
}

caf::actor mount_tree::make_supervisor(group& which, const child_ticket& ticket) {
  which.down.reset();
  which.actor = loop_.system().spawn<hosted<supervisor>>(loop_, options_of(which, ticket));
  return caf::actor_cast<caf::actor>(which.actor);
}

supervisor_options mount_tree::options_of(const group& which, const child_ticket& ticket) {
  supervisor_options options;
  const auto& name = which.spec.name;
  options.name = name.empty() ? "mounts" : name;
  options.policy = policy_of(which.spec);
  options.random = random_;
  options.ticket = ticket;
  options.observer = [this, name](const action::report& news) { note(name, news); };
  for (const auto& each : groups_below(name))
    options.children.push_back(child_of(groups_.at(each)));
  std::map<std::uint64_t, const mount*> ordered;
  for (const auto& [id, each] : mounts_)
    if (each.group == name) ordered[each.order] = &each;
  for (const auto& [order, each] : ordered) options.children.push_back(child_of(*each));
  return options;
}

caf::actor mount_tree::make() {
  return make_supervisor(groups_.at(""), {});
}

void mount_tree::lost() {
  for (auto& [name, each] : groups_) each.actor = supervisor_actor();
}

// -- requests
// --------------------------------------------------------------------------------------

void mount_tree::open() {
  if (open_) return;
  open_ = true;
  start_();
}

kj::Promise<void> mount_tree::add(std::string id, std::string group_name, mount_factory make) {
  auto& group = groups_.at(group_name);
  if (group.down) refuse_group_down(group_name, *group.down);
  auto& mount = mounts_[id];
  const auto order = next_order_++;
  // Another mount may have had this id when it was added, and been given another one since.
  const auto child = ids_.contains(id) ? fmt::format("{}#{}", id, order) : id;
  mount = {id, child, order, group_name, std::move(make), 0, false, {}, {}};
  ids_[child] = id;
  if (child != id) other_names_[child] = id;
  if (!open_) return kj::READY_NOW;
  auto made = kj::newPromiseAndFulfiller<void>();
  mount.await_made.push_back(kj::mv(made.fulfiller));
  mount.asked_for = true;
  if (!group.actor) return kj::mv(made.promise);  // a child from its supervisor's beginning
  auto refused = ask_.ask<supervisor_reply>(group.actor, supervisor_add{child_of(mount)})
                     .then([](supervisor_reply&& reply) {
                       if (reply.answer == verdict::ok) return;
                       kj::throwFatalException(exception(error_kind::internal,
                                                         "the mount could not be supervised",
                                                         std::string(to_string(reply.answer))));
                     });
  return made.promise.exclusiveJoin(kj::mv(refused));
}

void mount_tree::rename(const std::string& from, const std::string& to) {
  auto node = mounts_.extract(from);
  if (node.empty()) return;
  node.key() = to;
  auto& mount = mounts_.insert(std::move(node)).position->second;
  mount.id = to;
  ids_[mount.child] = to;
  if (mount.child == to)
    other_names_.erase(to);
  else
    other_names_[mount.child] = to;
}

kj::Promise<void> mount_tree::remove(std::string id) {
  const auto found = mounts_.find(id);
  if (found == mounts_.end()) return kj::READY_NOW;
  const auto supervisor = groups_.at(found->second.group).actor;
  const auto child = found->second.child;
  mounts_.erase(found);
  ids_.erase(child);
  other_names_.erase(child);
  if (!supervisor) return kj::READY_NOW;
  return ask_.ask<supervisor_reply>(supervisor, supervisor_order{child_order::terminate, child})
      .then([this, supervisor, child](supervisor_reply&&) {
        return ask_.ask<supervisor_reply>(supervisor, supervisor_order{child_order::erase, child});
      })
      .ignoreResult()
      // Its supervisor is gone, and the child with it.
      .catch_([](kj::Exception&&) {});
}

kj::Promise<void> mount_tree::revive(std::string id, bool reset) {
  const auto found = mounts_.find(id);
  if (found == mounts_.end()) return kj::READY_NOW;
  // The highest that is down: what is below it starts with it.
  std::string child = found->second.child;
  std::string parent = found->second.group;
  for (auto name = found->second.group; !name.empty(); name = groups_.at(name).spec.parent) {
    if (!groups_.at(name).down) continue;
    child = name;
    parent = groups_.at(name).spec.parent;
  }
  if (!groups_.at(parent).actor)
    refuse_group_down(parent, {mount_state::starting, "its supervisor is being started", {}});
  const auto order = reset ? child_order::reset : child_order::restart;
  return ask_.ask<supervisor_reply>(groups_.at(parent).actor, supervisor_order{order, child})
      .ignoreResult();
}

// -- what is known
// ---------------------------------------------------------------------------------

void mount_tree::note(const std::string& parent, const action::report& news) {
  auto down = absence_of(news);
  if (down) down->reason = in_todays_words(std::move(down->reason));
  auto* known = mount_of(news.id);
  if (known != nullptr && known->group == parent) {
    known->down = down;
    if (down && told_) told_(known->id, *down);
    return;
  }
  const auto child = groups_.find(news.id);
  if (child == groups_.end()) return;
  child->second.down = down;
  if (!down) return;
  child->second.actor = supervisor_actor();
  tell_all_below(news.id, *down);
}

/// A supervisor names a child as "child NAME"; some have been given another id since.
std::string mount_tree::in_todays_words(std::string reason) const {
  for (const auto& [child, id] : other_names_) {
    const auto before = "child " + child;
    const auto at = reason.find(before);
    if (at == std::string::npos) continue;
    const auto end = at + before.size();
    const bool whole = end == reason.size() || reason[end] == ' ' || reason[end] == ':';
    if (whole) return reason.replace(at, before.size(), "child " + id);
  }
  return reason;
}

void mount_tree::tell_all_below(const std::string& name, const mount_absence& why) {
  if (!told_) return;
  for (const auto& [id, each] : mounts_)
    if (is_below(each.group, name)) told_(id, why);
}

bool mount_tree::is_below(const std::string& name, const std::string& ancestor) const {
  for (auto at = name; !at.empty(); at = groups_.at(at).spec.parent)
    if (at == ancestor) return true;
  return false;
}

std::optional<mount_absence> mount_tree::absence(const std::string& id) const {
  const auto found = mounts_.find(id);
  if (found == mounts_.end()) return std::nullopt;
  auto why = found->second.down;
  if (found->second.starts == 0)
    why = mount_absence{mount_state::starting, "its group has not come to it yet", {}};
  for (auto name = found->second.group; !name.empty(); name = groups_.at(name).spec.parent)
    if (groups_.at(name).down) why = groups_.at(name).down;
  return why;
}

std::uint64_t mount_tree::restarts(const std::string& id) const {
  const auto found = mounts_.find(id);
  return found == mounts_.end() || found->second.starts == 0 ? 0 : found->second.starts - 1;
}

void mount_tree::watch(std::function<void(const std::string&, const mount_absence&)> told) {
  told_ = std::move(told);
}

// -- for people
// ------------------------------------------------------------------------------------

kj::Promise<tree_node> mount_tree::describe(std::vector<mount_line> mounts) {
  using named = std::pair<std::string, kj::Maybe<supervisor_snapshot>>;
  auto questions = kj::Vector<kj::Promise<named>>();
  for (const auto& [name, which] : groups_)
    questions.add(ask_.ask<supervisor_snapshot>(which.actor, supervisor_query{})
                      .then(
                          [name = name](supervisor_snapshot&& now) {
                            return named{name, kj::mv(now)};
                          },
                          [name = name](kj::Exception&&) {
                            return named{name, nullptr};
                          }));
  return kj::joinPromises(questions.releaseAsArray())
      .then([this, mounts = std::move(mounts)](kj::Array<named>&& answers) {
        snapshots supervisors;
        for (auto& [name, now] : answers)
          KJ_IF_MAYBE (known, now) supervisors.emplace(name, kj::mv(*known));
        std::map<std::string, const mount_line*> by_path;
        for (const auto& each : mounts) by_path[each.now.status.path] = &each;
        return describe_group(groups_.at(""), supervisors, by_path);
      });
}

tree_node mount_tree::describe_group(const group& which, const snapshots& supervisors,
                                     const std::map<std::string, const mount_line*>& mounts) const {
  const auto& name = which.spec.name;
  tree_node node{name.empty() ? "mounts" : name, name.empty() ? "supervisor" : "group", {}, {}, {}};
  for (const auto& each : groups_below(name))
    node.children.push_back(describe_group(groups_.at(each), supervisors, mounts));
  std::size_t count = 0;
  for (const auto& [path, line] : mounts) {
    const auto found = mounts_.find(path);
    if (name != (found == mounts_.end() ? std::string() : found->second.group)) continue;
    node.children.push_back(mount_node(*line));
    ++count;
  }
  if (which.down) {
    node.state = to_string(which.down->state);
    node.detail = fmt::format("{}, {}", to_string(which.spec.strategy), which.down->reason);
  } else if (const auto now = supervisors.find(name); now != supervisors.end()) {
    node.state = to_string(now->second.status.phase);
    node.detail = supervisor_text(now->second.status);
  }
  if (name.empty()) count = mounts.size();  // those of the groups too
  if (count > 0) node.detail += ", " + count_text(count, "mount");
  return node;
}

}  // namespace bulkhead
