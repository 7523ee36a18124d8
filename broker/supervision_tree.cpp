// SPDX-License-Identifier: Apache-2.0
#include "broker/supervision_tree.hpp"

#include "actors/hosted.hpp"
#include "actors/supervisor.hpp"

namespace bulkhead {
namespace {

constexpr const char* mounts_name = "mounts";

actor_child_spec child_of(child_spec rules, std::string kind, std::function<caf::actor()> make) {
  actor_child_spec child;
  child.rules = std::move(rules);
  child.kind = std::move(kind);
  child.make = [make = std::move(make)](const child_ticket&) {
    return child_made{caf::actor_cast<caf::strong_actor_ptr>(make()), {}, false};
  };
  return child;
}

child_spec worker_spec(std::string id) {
  child_spec rules;
  rules.id = std::move(id);
  return rules;
}

}  // namespace

supervision_tree::supervision_tree(asker& ask, reactor& loop, std::uint64_t seed,
                                   std::vector<tree_worker> workers, std::vector<group_spec> groups)
    : ask_(ask), mounts_(ask, loop, std::make_shared<seeded_random>(seed), std::move(groups)) {
  supervisor_options root;
  root.name = "root";
  root.policy.intensity = actor_restarts;
  root.policy.period = actor_period;
  root.random = std::make_shared<seeded_random>(seed);
  root.observer = [this](const action::report& news) { root_observed(news); };
  for (auto& each : workers)
    root.children.push_back(child_of(worker_spec(each.name), "worker", std::move(each.make)));
  root_ = loop.system().spawn<hosted<supervisor>>(loop, std::move(root));
  mounts_.on_open([this] {
    auto child =
        child_of(supervisor_spec(mounts_name), "supervisor", [this] { return mounts_.make(); });
    caf::anon_send(root_, supervisor_add{std::move(child)});
  });
}

void supervision_tree::root_observed(const action::report& news) {
  if (news.id == mounts_name && news.to != child_state::starting && news.to != child_state::ready)
    mounts_.lost();
}

kj::Promise<void> supervision_tree::started() {
  // Root's first message to itself starts its children, and this question comes behind it.
  return ask_.ask<supervisor_snapshot>(root_, supervisor_query{}).ignoreResult();
}

kj::Promise<void> supervision_tree::ended() {
  return ask_.ended(caf::actor_cast<caf::actor>(root_));
}

void supervision_tree::stop() {
  caf::anon_send_exit(root_, caf::exit_reason::user_shutdown);
}

kj::Promise<tree_node> supervision_tree::describe(broker_core& core) {
  auto below = core.query_all().then([this, &core](std::vector<mount_snapshot>&& all) {
    std::vector<mount_line> lines;
    for (auto& each : all)
      if (core.knows(each.status.path)) {
        auto rules = core.require(each.status.path).entry->spec.supervision;
        lines.push_back({std::move(each), rules});
      }
    return mounts_.describe(std::move(lines));
  });
  return ask_.ask<supervisor_snapshot>(root_, supervisor_query{})
      .then([below = kj::mv(below)](supervisor_snapshot&& root) mutable {
        return below.then([root = std::move(root)](tree_node&& mounts) {
          tree_node top{"root",
                        "supervisor",
                        std::string(to_string(root.status.phase)),
                        supervisor_text(root.status),
                        {}};
          for (const auto& child : root.children) {
            const auto& status = child.status;
            if (status.id == mounts_name) {
              auto& below = top.children.emplace_back(mounts);
              below.state = to_string(status.state);
              if (status.restarts > 0) below.detail += ", " + restarts_text(status.restarts);
            } else {
              top.children.push_back({status.id,
                                      child.kind,
                                      std::string(to_string(status.state)),
                                      restarts_text(status.restarts),
                                      {}});
            }
          }
          return top;
        });
      });
}

}  // namespace bulkhead
