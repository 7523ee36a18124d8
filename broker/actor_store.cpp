// SPDX-License-Identifier: Apache-2.0
#include "broker/actor_store.hpp"

namespace bulkhead {

template <class Answer, class Message>
kj::Promise<Answer> actor_store::call(Message message) {
  return ask_.ask<store_outcome<Answer>>(actor_, std::move(message))
      .then([](store_outcome<Answer>&& outcome) -> Answer {
        if (!outcome.value) kj::throwFatalException(store_exception(outcome.failure));
        return std::move(*outcome.value);
      });
}

kj::Promise<range_result> actor_store::range(range_request request) {
  return call<range_result>(std::move(request));
}

kj::Promise<txn_result> actor_store::txn(txn_request request) {
  return call<txn_result>(std::move(request));
}

kj::Promise<lease_info> actor_store::grant(std::uint64_t ttl_ms) {
  return call<lease_info>(store_grant{ttl_ms});
}

kj::Promise<lease_info> actor_store::keep_alive(std::uint64_t lease) {
  return call<lease_info>(store_keep_alive{lease});
}

kj::Promise<std::uint64_t> actor_store::revoke(std::uint64_t lease) {
  return call<std::uint64_t>(store_revoke{lease});
}

kj::Promise<changes_result> actor_store::changes_since(changes_request request) {
  return call<changes_result>(std::move(request));
}

kj::Promise<changes_result> actor_store::await_changes(changes_request request) {
  const auto token = next_token_++;
  auto cancel = kj::defer([this, token] { ask_.send(actor_, store_cancel{token}); });
  return call<changes_result>(store_await{token, std::move(request)}).attach(kj::mv(cancel));
}

kj::Promise<void> actor_store::compact(std::uint64_t revision) {
  return call<store_done>(store_compact{revision}).ignoreResult();
}

kj::Promise<store_status> actor_store::status() {
  return call<store_status>(store_query{});
}

kj::Promise<backup_result> actor_store::backup(std::string file) {
  return call<backup_result>(store_backup{std::move(file)});
}

kj::Promise<std::uint64_t> actor_store::rotate_key() {
  return call<std::uint64_t>(store_rotate{});
}

}  // namespace bulkhead
