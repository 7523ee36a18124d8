// SPDX-License-Identifier: Apache-2.0
#pragma once

// Changes of what is kept both in memory and in the store: one after another, each knowing what the
// one before it has left; and what became of writes of which nobody knows whether they were done.
//
// A store whose disk fails refuses a write, and may have done it all the same: that shows when it
// takes writes again (store.hpp, `io_error`). Whoever keeps in memory what is in the store would go
// by the old until its next start, and a later broker by the new. So the keys of a failed write are
// in doubt: they are read anew as soon as the store takes writes, and the memory learns what there
// is. That is looked up with the next change, and each `doubt_pause` without one.
//
// What is in doubt is said in the log of events. Threads: the loop's.

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "broker/event_log.hpp"
#include "broker/store/async_store.hpp"
#include "broker/turns.hpp"

namespace bulkhead {

inline constexpr kj::Duration doubt_pause = 1 * kj::SECONDS;

class write_doubts {
 public:
  /// Told what a key holds; nothing: it is not there.
  using learner = std::function<void(const std::string& key, const std::optional<std::string>&)>;

  /// All outlive it.
  write_doubts(async_store& store, event_log& events, kj::Timer& timer, learner learn);

  /// As the store's. When it fails, what it would have changed is in doubt.
  kj::Promise<txn_result> txn(txn_request request);

  /// Does the work, which may go by the memory: those that were asked for before it have ended, and
  /// nothing is in doubt. Fails as the store does when that cannot be looked up.
  template <class Work>
  auto change(Work work) {
    return turns_.run(
        [this, work = std::move(work)]() mutable { return look_up().then(std::move(work)); });
  }

 private:
  void doubt(const std::set<std::string>& keys, const kj::Exception& problem);
  kj::Promise<void> look_up();
  kj::Promise<void> mend();

  async_store& store_;
  event_log& events_;
  kj::Timer& timer_;
  learner learn_;
  turns turns_;
  std::set<std::string> keys_;
  bool mends_ = false;
  kj::Promise<void> mending_ = kj::READY_NOW;
};

}  // namespace bulkhead
