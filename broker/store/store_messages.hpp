// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a store actor is told and answers, beyond the structs of store.hpp, which travel as they
// are. The interface itself is on the page of all protocols (actors/protocols.hpp).
//
// A failure is an answer, not a CAF error: CAF errors mean that the actor is gone.

#include <optional>

#include "broker/store/store.hpp"

namespace bulkhead {

/// Either a value or a failure.
template <class T>
struct store_outcome {
  std::optional<T> value;
  store_failure failure;  ///< Holds when there is no value.
};

/// The value of an operation that returns nothing.
struct store_done {};

struct store_grant {
  std::uint64_t ttl_ms = 0;
};
struct store_keep_alive {
  std::uint64_t lease = 0;
};
struct store_revoke {
  std::uint64_t lease = 0;
};
/// Answered when there is something to tell (see async_store.hpp, `await_changes`). `token` is the
/// asker's, to cancel by.
struct store_await {
  std::uint64_t token = 0;
  changes_request request;
};
/// The awaited request of this sender with this token is over: it is answered with `closed`.
struct store_cancel {
  std::uint64_t token = 0;
};
struct store_compact {
  std::uint64_t revision = 0;
};
struct store_backup {
  std::string file;
};
struct store_rotate {};
struct store_query {};
/// INTERNAL: commit what waits.
struct store_flush {};
/// INTERNAL: the next step of backups and of encrypting anew.
struct store_work {};
/// INTERNAL: leases and housekeeping.
struct store_tick {};

}  // namespace bulkhead
