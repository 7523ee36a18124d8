// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stands before an observer of events: after close() the observer is not called any more and no
// call of it is under way, so that it may lose what it refers to. Closed from within the observer,
// the call that closes it is the last. Any thread.

#include <functional>
#include <mutex>

#include "broker/broker.hpp"

namespace bulkhead {

class observer_gate {
 public:
  explicit observer_gate(std::function<void(const broker_event&)> observer)
      : observer_(std::move(observer)) {}

  void tell(const broker_event& event) {
    const std::lock_guard guard(mutex_);
    if (open_) observer_(event);
  }
  void close() {
    const std::lock_guard guard(mutex_);
    open_ = false;
  }

 private:
  std::recursive_mutex mutex_;  // recursive: an observer may close its own gate
  std::function<void(const broker_event&)> observer_;
  bool open_ = true;
};

}  // namespace bulkhead
