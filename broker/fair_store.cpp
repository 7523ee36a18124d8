// SPDX-License-Identifier: Apache-2.0
#include "broker/fair_store.hpp"

#include <deque>

namespace bulkhead {

/// One place in the store, given back when it goes.
class fair_store::turn {
 public:
  explicit turn(kj::Own<queue> of) : queue_(kj::mv(of)) {}
  turn(turn&&) = default;
  ~turn() noexcept(false);
  KJ_DISALLOW_COPY(turn);

 private:
  kj::Own<queue> queue_;
};

/// Who is in the store and who waits. Lives as long as a share or one of its turns.
struct fair_store::queue final : kj::Refcounted {
  explicit queue(std::uint32_t calls_max) : calls_max(calls_max) {}

  std::uint32_t calls_max;
  std::uint32_t inside = 0;
  std::deque<kj::Own<kj::PromiseFulfiller<turn>>> waiting;

  kj::Promise<turn> enter() {
    if (inside < calls_max) {
      ++inside;
      return turn(kj::addRef(*this));
    }
    auto next = kj::newPromiseAndFulfiller<turn>();
    waiting.push_back(kj::mv(next.fulfiller));
    return kj::mv(next.promise);
  }

  void leave() {
    while (!waiting.empty()) {
      auto next = kj::mv(waiting.front());
      waiting.pop_front();
      if (!next->isWaiting()) continue;        // nobody wants to know any more
      next->fulfill(turn(kj::addRef(*this)));  // it takes the place of the one that leaves
      return;
    }
    --inside;
  }
};

fair_store::turn::~turn() noexcept(false) {
  if (queue_.get() != nullptr) queue_->leave();
}

fair_store::fair_store(async_store& whole, std::uint32_t calls_max)
    : whole_(whole), queue_(kj::refcounted<queue>(calls_max)) {}

fair_store::~fair_store() noexcept(false) = default;

kj::Promise<range_result> fair_store::range(range_request request) {
  return queue_->enter().then([this, request = std::move(request)](turn&& mine) mutable {
    return whole_.range(std::move(request)).attach(kj::mv(mine));
  });
}

kj::Promise<txn_result> fair_store::txn(txn_request request) {
  return queue_->enter().then([this, request = std::move(request)](turn&& mine) mutable {
    return whole_.txn(std::move(request)).attach(kj::mv(mine));
  });
}

}  // namespace bulkhead
