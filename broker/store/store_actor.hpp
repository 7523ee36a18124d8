// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store on a thread of its own, so that no loop ever waits for a disk.
//
// The actor makes the engine inside its thread and is the only one to touch it. Writes that wait in
// its mailbox are committed together, with one fsync (group commit), and each is answered only
// after that; each still succeeds or fails by itself. Requests take effect in the order of arrival,
// reads included: a read behind a write sees it, and is answered when the write is durable. When a
// group cannot be committed as a whole its requests are repeated one by one. What takes long, a
// backup or a new key, goes on step by step between them.
//
// If the engine cannot be opened the actor lives on and answers every request with that failure;
// ask `store_query` first. When the actor ends (send it an exit) it commits what waits, answers
// what is awaited with `closed`, and closes the engine before monitors learn of the end. An awaited
// request ends with its asker.

#include <caf/allowed_unsafe_message_type.hpp>
#include <functional>
#include <memory>

#include "actors/protocols.hpp"
#include "broker/store/store_messages.hpp"

// The messages never leave the process.
// clang-format off
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::range_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::txn_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::changes_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_keep_alive)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_revoke)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_await)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_cancel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_compact)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_backup)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_rotate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::range_result>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::txn_result>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::changes_result>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::lease_info>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<std::uint64_t>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::backup_result>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::store_status>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::store_outcome<bulkhead::store_done>)
// clang-format on

namespace bulkhead {

struct store_actor_options {
  /// Between two looks at leases and housekeeping. 0: never by itself (tests send `store_tick`).
  std::uint64_t tick_ms = 1000;
  /// History that is kept; 0: all of it.
  std::uint64_t history_revisions_kept = store_limits::history_revisions_kept;
};

using store_factory = std::function<std::unique_ptr<store>()>;

/// Starts the actor on a thread of its own; the factory runs there.
store_actor spawn_store(caf::actor_system& system, store_factory make_engine,
                        store_actor_options options = {});

}  // namespace bulkhead
