// SPDX-License-Identifier: Apache-2.0
#pragma once

// Turns: promises that happen one after another, in the order in which they asked. Threads: one
// loop.

#include <kj/async.h>

#include <deque>
#include <utility>

namespace bulkhead {

class turns {
 public:
  /// Whoever holds it has the turn; the next one's begins when it goes.
  class pass {
   public:
    explicit pass(turns& of) : of_(of) {}
    ~pass() noexcept(false) { of_.next(); }
    pass(const pass&) = delete;
    pass& operator=(const pass&) = delete;

   private:
    turns& of_;
  };

  turns() = default;
  turns(const turns&) = delete;
  turns& operator=(const turns&) = delete;

  /// Resolves when the turn has come. The object outlives the pass.
  kj::Promise<kj::Own<pass>> take() {
    if (!taken_) {
      taken_ = true;
      return kj::heap<pass>(*this);
    }
    auto waiting = kj::newPromiseAndFulfiller<kj::Own<pass>>();
    waiting_.push_back(kj::mv(waiting.fulfiller));
    return kj::mv(waiting.promise);
  }

  /// Does the work when its turn has come; the turn lasts until what it promises is there. That
  /// happens whether or not somebody waits for it yet, so that who does not holds nobody up.
  template <class Work>
  auto run(Work work) {
    return take()
        .then([work = std::move(work)](kj::Own<pass>&& turn) mutable {
          return kj::evalNow(work).attach(kj::mv(turn));
        })
        .eagerlyEvaluate(nullptr);
  }

 private:
  void next() {
    taken_ = false;
    while (!waiting_.empty()) {
      auto first = kj::mv(waiting_.front());
      waiting_.pop_front();
      if (!first->isWaiting()) continue;  // it was dropped
      taken_ = true;
      return first->fulfill(kj::heap<pass>(*this));
    }
  }

  bool taken_ = false;
  std::deque<kj::Own<kj::PromiseFulfiller<kj::Own<pass>>>> waiting_;
};

}  // namespace bulkhead
