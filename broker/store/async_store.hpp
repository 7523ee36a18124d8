// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store as the data path sees it: the operations of store.hpp as promises.
//
// A promise that resolves means what the sync call's return means: it is durable. Failures are
// exceptions in the shape of schema/error.capnp, made by `store_exception`. Operations take effect
// in the order of the calls. Dropping a promise does not undo its operation; it only means that
// nobody wants to know.
//
// Two implementations: `inline_async_store` over an engine on the same thread (tests and tools: it
// blocks the loop while the disk works), and the broker's, which asks a store actor on a thread of
// its own. All calls from the thread of the loop.

#include <kj/async.h>

#include <list>

#include "broker/store/store.hpp"

namespace bulkhead {

class async_store {
 public:
  async_store() = default;
  async_store(const async_store&) = delete;
  async_store& operator=(const async_store&) = delete;
  virtual ~async_store() noexcept(false) = default;

  virtual kj::Promise<range_result> range(range_request request) = 0;
  virtual kj::Promise<txn_result> txn(txn_request request) = 0;

  virtual kj::Promise<lease_info> grant(std::uint64_t ttl_ms) = 0;
  virtual kj::Promise<lease_info> keep_alive(std::uint64_t lease) = 0;
  virtual kj::Promise<std::uint64_t> revoke(std::uint64_t lease) = 0;

  virtual kj::Promise<changes_result> changes_since(changes_request request) = 0;
  /// Like `changes_since`, but waits until there is something to tell: a change in the range, or
  /// that history is compacted. The push form of a watch: ask, handle, ask again from the revision
  /// of the answer. Drop the promise to stop watching.
  virtual kj::Promise<changes_result> await_changes(changes_request request) = 0;

  virtual kj::Promise<void> compact(std::uint64_t revision) = 0;
  virtual kj::Promise<store_status> status() = 0;
  /// A complete, consistent copy in a new file on the broker's machine; others go on meanwhile.
  virtual kj::Promise<backup_result> backup(std::string file) = 0;
  /// Answers when nothing is encrypted with an older key any more, with how many values were.
  virtual kj::Promise<std::uint64_t> rotate_key() = 0;
};

/// The failure as an exception of the kind that callers over RPC switch on, with `fault=<name>` as
/// a detail.
kj::Exception store_exception(const store_failure& failure);

/// Runs each operation at once on the calling thread. The engine must outlive it.
class inline_async_store final : public async_store {
 public:
  explicit inline_async_store(store& engine) : engine_(engine) {}

  kj::Promise<range_result> range(range_request request) override;
  kj::Promise<txn_result> txn(txn_request request) override;
  kj::Promise<lease_info> grant(std::uint64_t ttl_ms) override;
  kj::Promise<lease_info> keep_alive(std::uint64_t lease) override;
  kj::Promise<std::uint64_t> revoke(std::uint64_t lease) override;
  kj::Promise<changes_result> changes_since(changes_request request) override;
  kj::Promise<changes_result> await_changes(changes_request request) override;
  kj::Promise<void> compact(std::uint64_t revision) override;
  kj::Promise<store_status> status() override;
  kj::Promise<backup_result> backup(std::string file) override;
  kj::Promise<std::uint64_t> rotate_key() override;

  /// Ends leases whose time is up; call it when the clock has moved.
  void expire();

 private:
  struct waiting {
    changes_request request;
    kj::Own<kj::PromiseFulfiller<changes_result>> fulfiller;
  };

  template <class F>
  auto attempt(F&& operation) -> kj::Promise<decltype(operation())>;
  void tell_waiting();

  store& engine_;
  std::list<waiting> waiting_;
};

}  // namespace bulkhead
