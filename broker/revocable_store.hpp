// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store as one instance of a plugin may use it, for as long as it lives.
//
// Cap'n Proto does not cancel a call when the link behind it ends, and an instance's share of the
// store is its mount's, which the next instance uses too. So writes that an instance has queued and
// not lived to see would take effect after its successor has begun. end() drops all that still
// waits: afterwards nothing of this instance enters the store. What the engine has begun is not
// undone. Threads: the reactor's.

#include <kj/async.h>

#include <memory>

#include "broker/store/async_store.hpp"

namespace bulkhead {

class revocable_store final : public async_store {
 public:
  explicit revocable_store(std::shared_ptr<async_store> whole) : whole_(std::move(whole)) {}
  ~revocable_store() noexcept(false) override = default;

  /// What is under way, and what comes later, fails with `reason`.
  void end(kj::Exception reason);

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
  template <class Work>
  auto while_alive(Work&& work) -> decltype(work());

  std::shared_ptr<async_store> whole_;
  kj::Maybe<kj::Exception> ended_;
  kj::Canceler under_way_;
};

}  // namespace bulkhead
