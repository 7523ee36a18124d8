// SPDX-License-Identifier: Apache-2.0
#include "broker/supervision_tree.hpp"

#include <fmt/format.h>

namespace bulkhead {

kj::Promise<void> supervision_tree::add(std::string, std::function<caf::actor()> make) {
  make();
  return kj::READY_NOW;
}
kj::Promise<void> supervision_tree::remove(std::string) { return kj::READY_NOW; }
kj::Promise<void> supervision_tree::stop() { return kj::READY_NOW; }

kj::Promise<tree_node> supervision_tree::describe(broker_core& core) {
  return core.query_all().then([](std::vector<mount_snapshot>&& all) {
    tree_node root{"root", "supervisor", "running", "one_for_one", {}};
    tree_node mounts{"mounts", "supervisor", "running", "one_for_one, dynamic", {}};
    for (const auto& each : all) {
      tree_node mount{each.status.path, "mount", to_string(each.status.state), each.status.reason, {}};
      mounts.children.push_back(std::move(mount));
    }
    root.children.push_back(std::move(mounts));
    return root;
  });
}

}  // namespace bulkhead
