// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's own thread: it makes every part in order, runs the reactor, and takes the parts down
// in the reverse order.
//
//   start   actor system, reactor, store, supervisors, core, mounts, listener
//   stop    listener closed, mounts drained and stopped, connections ended, actors ended while the
//   loop turns, store closed, reactor,
//           actor system
//
// Other threads reach the parts by run(): a task for the loop. All signals are blocked in this
// thread and in those that it starts, so that signals of the service that embeds the broker go to
// the service's threads.

#include <kj/async.h>
#include <kj/function.h>

#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "broker/broker.hpp"
#include "schema/gateway.capnp.h"

namespace bulkhead {

class broker_core;
class event_log;

class broker_thread {
 public:
  /// What tasks may use while the broker runs.
  struct parts {
    broker_core& core;
    event_log& events;
    schema::Session::Client session;
  };
  using task = kj::Function<kj::Promise<void>(parts&)>;

  /// Returns when the broker runs. Throws `error`.
  explicit broker_thread(broker_config config);
  ~broker_thread();
  broker_thread(const broker_thread&) = delete;
  broker_thread& operator=(const broker_thread&) = delete;

  /// Runs `work` on the loop; `failed` hears of its failure, or that the broker has stopped (then
  /// on the calling thread). Any thread.
  void run(task work, kj::Function<void(const error&)> failed);

  /// Runs `work`, whose promise yields T, and waits for it. Not on the broker's thread. Throws
  /// `error`.
  template <class T, class Work>
  T wait(Work work);

  /// Ends the broker and waits for its end. Any thread but its own; idempotent.
  void stop();

 private:
  struct machinery;

  void main(broker_config config, std::promise<void>& started);

  std::mutex mutex_;  // guards the next
  machinery* running_ = nullptr;
  std::mutex join_mutex_;
  std::thread thread_;
};

template <class T, class Work>
T broker_thread::wait(Work work) {
  // Shared, because the waiting thread may be gone before the promise has left set_value.
  auto answer = std::make_shared<std::promise<T>>();
  auto result = answer->get_future();
  run(
      [answer, work = kj::mv(work)](parts& with) mutable {
        if constexpr (std::is_void_v<T>) {
          return work(with).then([answer] { answer->set_value(); });
        } else {
          return work(with).then([answer](T&& value) { answer->set_value(std::move(value)); });
        }
      },
      [answer](const error& problem) { answer->set_exception(std::make_exception_ptr(problem)); });
  return result.get();
}

}  // namespace bulkhead
