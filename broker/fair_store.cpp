// SPDX-License-Identifier: Apache-2.0
#include "broker/fair_store.hpp"

#include <kj/debug.h>

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
struct fair_store::queue final : kj::Refcounted, private kj::TaskSet::ErrorHandler {
  queue(std::uint32_t calls_max, kj::Maybe<obstacle> held_up)
      : calls_max_(calls_max), held_up_(kj::mv(held_up)), until_free_(*this) {}

  kj::Promise<turn> enter() {
    if (waiting_.empty() && may_begin()) return begin();
    auto next = kj::newPromiseAndFulfiller<turn>();
    waiting_.push_back(kj::mv(next.fulfiller));
    return kj::mv(next.promise);
  }

  void leave() {
    --inside_;
    let_in();
  }

  void clear_obstacle() {
    held_up_ = nullptr;
    look_again();
  }

 private:
  turn begin() {
    ++inside_;
    return turn(kj::addRef(*this));
  }

  void let_in() {
    while (!waiting_.empty()) {
      auto& next = *waiting_.front();
      if (next.isWaiting()) {  // else nobody wants to know any more
        if (!may_begin()) return;
        next.fulfill(begin());
      }
      waiting_.pop_front();
    }
  }

  bool may_begin() {
    if (waits_ || inside_ == calls_max_) return false;
    KJ_IF_MAYBE (ask, held_up_) {
      KJ_IF_MAYBE (free, (*ask)()) {
        waits_ = true;
        until_free_.add(
            free->then([this] { look_again(); }, [this](kj::Exception&&) { look_again(); }));
      }
    }
    return !waits_;
  }

  void look_again() {
    waits_ = false;
    let_in();
  }

  void taskFailed(kj::Exception&& problem) override { KJ_LOG(ERROR, problem); }

  const std::uint32_t calls_max_;
  std::uint32_t inside_ = 0;
  std::deque<kj::Own<kj::PromiseFulfiller<turn>>> waiting_;
  kj::Maybe<obstacle> held_up_;
  bool waits_ = false;  // for the obstacle to go
  kj::TaskSet until_free_;
};

fair_store::turn::~turn() noexcept(false) {
  if (queue_.get() != nullptr) queue_->leave();
}

fair_store::fair_store(async_store& whole, std::uint32_t calls_max, kj::Maybe<obstacle> held_up)
    : whole_(whole), queue_(kj::refcounted<queue>(calls_max, kj::mv(held_up))) {}

void fair_store::clear_obstacle() {
  queue_->clear_obstacle();
}

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
