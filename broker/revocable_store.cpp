// SPDX-License-Identifier: Apache-2.0
#include "broker/revocable_store.hpp"

namespace bulkhead {

void revocable_store::end(kj::Exception reason) {
  under_way_.cancel(reason);
  ended_ = kj::mv(reason);
}

template <class Work>
auto revocable_store::while_alive(Work&& work) -> decltype(work()) {
  KJ_IF_MAYBE (reason, ended_) return kj::cp(*reason);
  return under_way_.wrap(work());
}

kj::Promise<range_result> revocable_store::range(range_request request) {
  return while_alive([&] { return whole_->range(std::move(request)); });
}

kj::Promise<txn_result> revocable_store::txn(txn_request request) {
  return while_alive([&] { return whole_->txn(std::move(request)); });
}

kj::Promise<lease_info> revocable_store::grant(std::uint64_t ttl_ms) {
  return while_alive([&] { return whole_->grant(ttl_ms); });
}

kj::Promise<lease_info> revocable_store::keep_alive(std::uint64_t lease) {
  return while_alive([&] { return whole_->keep_alive(lease); });
}

kj::Promise<std::uint64_t> revocable_store::revoke(std::uint64_t lease) {
  return while_alive([&] { return whole_->revoke(lease); });
}

kj::Promise<changes_result> revocable_store::changes_since(changes_request request) {
  return while_alive([&] { return whole_->changes_since(std::move(request)); });
}

kj::Promise<changes_result> revocable_store::await_changes(changes_request request) {
  return while_alive([&] { return whole_->await_changes(std::move(request)); });
}

kj::Promise<void> revocable_store::compact(std::uint64_t revision) {
  return while_alive([&] { return whole_->compact(revision); });
}

kj::Promise<store_status> revocable_store::status() {
  return while_alive([&] { return whole_->status(); });
}

kj::Promise<backup_result> revocable_store::backup(std::string file) {
  return while_alive([&] { return whole_->backup(std::move(file)); });
}

kj::Promise<std::uint64_t> revocable_store::rotate_key() {
  return while_alive([&] { return whole_->rotate_key(); });
}

}  // namespace bulkhead
