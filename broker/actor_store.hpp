// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store as promises, over a store actor on a thread of its own. Threads: the reactor's.

#include "actors/asker.hpp"
#include "actors/protocols.hpp"
#include "broker/store/async_store.hpp"
#include "broker/store/store_actor.hpp"

namespace bulkhead {

class actor_store final : public async_store {
 public:
  /// `ask` outlives the object. The actor may be replaced when its supervisor has started another.
  actor_store(asker& ask, store_actor actor) : ask_(ask), actor_(std::move(actor)) {}

  void replace(store_actor actor) { actor_ = std::move(actor); }

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

 private:
  template <class Answer, class Message>
  kj::Promise<Answer> call(Message message);

  asker& ask_;
  store_actor actor_;
  std::uint64_t next_token_ = 1;
};

}  // namespace bulkhead
