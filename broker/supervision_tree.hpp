// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's supervision tree: root - store, spawner, gateway - and below it "mounts", which keeps the mounts' actors alive.

#include <map>

#include "actors/asker.hpp"
#include "broker/broker_core.hpp"
#include "broker/mounts_parent.hpp"
#include "broker/tree_node.hpp"

namespace bulkhead {

class supervision_tree final : public mounts_parent {
 public:
  supervision_tree(asker& ask, reactor& loop) : ask_(ask), loop_(loop) {}

  kj::Promise<void> add(std::string id, std::function<caf::actor()> make) override;
  kj::Promise<void> remove(std::string id) override;
  kj::Promise<void> stop();
  kj::Promise<tree_node> describe(broker_core& core);

 private:
  asker& ask_;
  reactor& loop_;
};

}  // namespace bulkhead
