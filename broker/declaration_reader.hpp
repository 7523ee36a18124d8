// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads what is declared, away from the loop, because disks block; and some for ever.
//
// Guarantees
//   * At most one thread reads. Who asks while it does waits for the next reading, since the one
//     under way may have begun before the edit that is to be read; all who wait share that one.
//   * A reading that takes too long fails for those who wait for it, not for the broker: nothing
//     else waits for the thread, not even the end of the broker.
// So the thread can outlive the reader, and keeps what it needs: the function is copied into it.
// Limit: while it hangs, every reading fails after `declaration_read_max`.
// Threads: the reactor's, but for the reading.

#include <kj/async.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "actors/reactor.hpp"
#include "broker/broker.hpp"

namespace bulkhead {

inline constexpr std::chrono::milliseconds declaration_read_max{10'000};

class declaration_reader {
 public:
  /// The reactor outlives it.
  declaration_reader(reactor& loop, std::function<declared_state()> declared);
  ~declaration_reader();
  declaration_reader(const declaration_reader&) = delete;
  declaration_reader& operator=(const declaration_reader&) = delete;

  /// Fails as the function does, and with deadline_exceeded.
  kj::Promise<declared_state> read();

 private:
  struct result;
  struct mailbox;
  using waiters = std::vector<kj::Own<kj::PromiseFulfiller<declared_state>>>;

  void begin();
  void arrived(const result& what);

  reactor& loop_;
  std::function<declared_state()> declared_;
  std::shared_ptr<mailbox> mailbox_;
  bool under_way_ = false;
  waiters served_;   // by the reading that is under way
  waiters waiting_;  // for the next
};

}  // namespace bulkhead
