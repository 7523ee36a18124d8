// SPDX-License-Identifier: Apache-2.0
#pragma once

// The servers of schema/gateway.capnp: what a client's connection holds. Each is thin: a question
// is answered from the core, a mount's capabilities are the slot's own, so calls pass through no
// server.

#include <memory>
#include <string>

#include "broker/broker_core.hpp"
#include "broker/tree_node.hpp"
#include "schema/gateway.capnp.h"

namespace bulkhead {

/// Who is at the other end, as the kernel says.
struct identity {
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
};

/// What the broker tells of itself (Admin.brokerStatus) that the core does not know.
struct broker_facts {
  std::string socket_path;
  std::chrono::steady_clock::time_point started;
  std::function<std::uint32_t()> clients;
  std::function<kj::Promise<tree_node>()> tree;
};

/// The bootstrap capability for one connection. `core` and `facts` outlive it.
schema::Gateway::Client make_gateway(broker_core& core, const broker_facts& facts, identity peer);

/// A session without a connection, for callers inside the process.
schema::Session::Client make_session(broker_core& core, const broker_facts& facts, identity peer);

}  // namespace bulkhead
