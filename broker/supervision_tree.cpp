// SPDX-License-Identifier: Apache-2.0
#include "broker/supervision_tree.hpp"

#include <fmt/format.h>

#include "actors/hosted.hpp"
#include "actors/supervisor.hpp"
#include "broker/convert.hpp"

namespace bulkhead {
namespace {

constexpr const char* mounts_name = "mounts";

// An actor of the broker fails by a defect or because a resource is gone: worth trying again, not
// for long.
constexpr std::size_t actor_restarts = 5;
constexpr std::chrono::milliseconds actor_period{60'000};

supervisor_policy policy_with(give_up when_spent, stop_order order) {
  supervisor_policy policy;
  policy.intensity = actor_restarts;
  policy.period = actor_period;
  policy.when_spent = when_spent;
  policy.order = order;
  return policy;
}

child_made made_of(const caf::actor& actor) {
  if (!actor) return {nullptr, "it is not wanted any more", true};
  return {caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
}

actor_child_spec child_of(std::string id, std::string kind, restart_type restart,
                          std::function<caf::actor()> make) {
  actor_child_spec spec;
  spec.rules.id = std::move(id);
  spec.rules.restart = restart;
  spec.kind = std::move(kind);
  spec.make = [make = std::move(make)](const child_ticket&) { return made_of(make()); };
  return spec;
}

std::string restarts_text(std::uint64_t restarts) {
  if (restarts == 0) return {};
  return restarts == 1 ? "restarted once" : fmt::format("restarted {} times", restarts);
}

std::string count_text(std::size_t count, const char* thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string mount_text(const mount_snapshot& from) {
  const auto& status = from.status;
  auto text = fmt::format("{} {}", status.plugin, status.plugin_version);
  if (status.restarts > 0) text += ", " + count_text(status.restarts, "restart");
  if (status.state == mount_state::backoff)
    text += fmt::format(", next start in {}", duration_text(from.backoff_left));
  if (status.state != mount_state::ready) text += ", " + status.reason;
  return text;
}

tree_node mount_node(const mount_snapshot& from) {
  const auto& status = from.status;
  tree_node mount{status.path, "mount", to_string(status.state), mount_text(from), {}};
  if (status.pid != 0)
    mount.children.push_back(
        {fmt::format("instance {}", status.generation),
         "instance",
         "running",
         fmt::format("pid {}, up {}", status.pid,
                     duration_text(std::chrono::milliseconds(from.instance.uptime_ms))),
         {}});
  return mount;
}

}  // namespace

supervision_tree::supervision_tree(asker& ask, reactor& loop, std::uint64_t seed,
                                   std::vector<tree_worker> workers)
    : ask_(ask) {
  auto random = std::make_shared<seeded_random>(seed);
  supervisor_options root;
  root.name = "root";
  root.policy = policy_with(give_up::escalate, stop_order::reverse);
  root.random = random;
  for (auto& each : workers)
    root.children.push_back(
        child_of(each.name, "worker", restart_type::permanent, std::move(each.make)));
  auto make_mounts = [this, &loop, random] {
    supervisor_options mounts;
    mounts.name = mounts_name;
    mounts.policy = policy_with(give_up::quarantine, stop_order::together);
    mounts.random = random;
    mounts_ = loop.system().spawn<hosted<supervisor>>(loop, std::move(mounts));
    return caf::actor_cast<caf::actor>(mounts_);
  };
  auto mounts = child_of(mounts_name, "supervisor", restart_type::permanent, make_mounts);
  mounts.rules.shutdown = shutdown_rule::infinity();
  root.children.push_back(std::move(mounts));
  root_ = loop.system().spawn<hosted<supervisor>>(loop, std::move(root));
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

kj::Promise<void> supervision_tree::add(std::string id, std::function<caf::actor()> make) {
  // Transient: an actor that was asked to end is not started again.
  auto child = child_of(std::move(id), "mount", restart_type::transient, std::move(make));
  return ask_.ask<supervisor_reply>(mounts_, supervisor_add{std::move(child)})
      .then([](supervisor_reply&& reply) {
        if (reply.answer != verdict::ok)
          kj::throwFatalException(exception(error_kind::internal,
                                            "the mount could not be supervised",
                                            std::string(to_string(reply.answer))));
      });
}

kj::Promise<void> supervision_tree::remove(std::string id) {
  return ask_.ask<supervisor_reply>(mounts_, supervisor_order{child_order::terminate, id})
      .then([this, id](supervisor_reply&&) {
        return ask_.ask<supervisor_reply>(mounts_, supervisor_order{child_order::erase, id});
      })
      .ignoreResult();
}

kj::Promise<tree_node> supervision_tree::describe(broker_core& core) {
  auto mounts = core.query_all();
  return ask_.ask<supervisor_snapshot>(root_, supervisor_query{})
      .then([mounts = kj::mv(mounts)](supervisor_snapshot&& root) mutable {
        return mounts.then([root = std::move(root)](std::vector<mount_snapshot>&& all) {
          tree_node top{
              "root", "supervisor", std::string(to_string(root.status.phase)), "one_for_one", {}};
          for (const auto& child : root.children) {
            const auto& status = child.status;
            tree_node node{status.id,
                           child.kind,
                           std::string(to_string(status.state)),
                           restarts_text(status.restarts),
                           {}};
            if (status.id == mounts_name) {
              node.detail = "one_for_one, " + count_text(all.size(), "mount");
              for (const auto& each : all) node.children.push_back(mount_node(each));
            }
            top.children.push_back(std::move(node));
          }
          return top;
        });
      });
}

}  // namespace bulkhead
