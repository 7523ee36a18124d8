// SPDX-License-Identifier: Apache-2.0
#pragma once

// A share of the store. Every mount's view works on a share of its own, which lets at most
// `calls_max` of its operations into the store at once and keeps the others here, in their order.
// So a plugin that floods its view waits behind itself: what others wait for is bounded by the
// number of mounts, not by what one of them asks for.
//
// Every instance has a share of its mount's share, with an obstacle: while the plugin does not read
// the answers that it has been given, nothing more of it begins. A question of a hundred bytes may
// be answered with a mebibyte, and what was stored once can be asked for a thousand times.
//
// Operations of one share still take effect in the order of the calls. Threads: the reactor's.

#include <kj/async.h>
#include <kj/function.h>

#include "broker/store/async_store.hpp"

namespace bulkhead {

class fair_store final : public async_store {
 public:
  /// Nothing when the next operation may begin; else what is done, or fails, when to ask again.
  using obstacle = kj::Function<kj::Maybe<kj::Promise<void>>()>;

  /// `whole` outlives the share.
  fair_store(async_store& whole, std::uint32_t calls_max, kj::Maybe<obstacle> held_up = nullptr);
  ~fair_store() noexcept(false) override;

  /// Asks the obstacle no more: there is none from now on.
  void clear_obstacle();

  kj::Promise<range_result> range(range_request request) override;
  kj::Promise<txn_result> txn(txn_request request) override;
  kj::Promise<lease_info> grant(std::uint64_t ttl_ms) override { return whole_.grant(ttl_ms); }
  kj::Promise<lease_info> keep_alive(std::uint64_t lease) override {
    return whole_.keep_alive(lease);
  }
  kj::Promise<std::uint64_t> revoke(std::uint64_t lease) override { return whole_.revoke(lease); }
  kj::Promise<changes_result> changes_since(changes_request request) override {
    return whole_.changes_since(std::move(request));
  }
  kj::Promise<changes_result> await_changes(changes_request request) override {
    return whole_.await_changes(std::move(request));
  }
  kj::Promise<void> compact(std::uint64_t revision) override { return whole_.compact(revision); }
  kj::Promise<store_status> status() override { return whole_.status(); }
  kj::Promise<backup_result> backup(std::string file) override {
    return whole_.backup(std::move(file));
  }
  kj::Promise<std::uint64_t> rotate_key() override { return whole_.rotate_key(); }

 private:
  struct queue;
  class turn;

  async_store& whole_;
  kj::Own<queue> queue_;
};

}  // namespace bulkhead
