// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's own thread: it makes every part in order, runs the reactor, and takes the parts
// down.
//
//   start   actor system, reactor, store, supervisors, core, mounts, listener
//   stop    no new connections and calls; supervisors, from the leaves to root: mounts drained and
//           stopped, groups before those that they depend on, then spawner and store; work of other
//           threads that still waits; connections; what actors are left; reactor; actor system
//
// Connections outlive the mounts and the store, so that clients hear how their last calls ended.
//
// Other threads reach the parts by run(): work for the loop. Guarantee: whoever handed in work
// hears of its end once, whatever happens. Work that the end of the broker finds waiting, not yet
// run, or handed in later fails as broker_stopping.
//
// The thread never ends the process: an exception that nothing else caught is the broker's end,
// with its text as the reason. It is an event ("failed"), and the `why` of what is refused
// afterwards.
//
// All signals are blocked in this thread and in those that it starts, so that signals of the
// service that embeds the broker go to the service's threads.

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

class spawner;

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

  /// Runs `work` on the loop. `failed` hears of its failure, on the loop; or that the broker has
  /// stopped, then perhaps on the calling thread. Any thread.
  void run(task work, kj::Function<void(const error&)> failed);

  /// Runs `work`, whose promise yields T, and waits for it. Throws `error`; failed_precondition on
  /// the broker's own thread, where it would wait for itself.
  template <class T, class Work>
  T wait(Work work);

  /// Ends the broker and waits for its end. Any thread but its own; idempotent.
  void stop();

 private:
  struct machinery;
  class job;
  using start_promise = std::shared_ptr<std::promise<void>>;

  void main(broker_config config, std::shared_ptr<spawner> starts, const start_promise& started);
  void live(broker_config config, std::shared_ptr<spawner> starts, const start_promise& started);
  void serve(machinery& parts, kj::WaitScope& scope, std::promise<void>& started);
  void set_running(machinery* parts);
  void note_end(const std::string& reason);
  error stopped_error();
  void refuse_own_thread() const;

  std::mutex mutex_;  // guards the next two
  machinery* running_ = nullptr;
  std::string end_reason_;  // empty: it was asked to stop
  std::mutex join_mutex_;
  std::thread thread_;
  std::thread::id thread_id_;  // fixed before the constructor returns
};

template <class T, class Work>
T broker_thread::wait(Work work) {
  refuse_own_thread();
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
