// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one place where CAF's scheduler and a KJ event loop meet.
//
// A reactor is a thread's KJ loop that is also a CAF execution unit: an actor pinned to it (see
// hosted.hpp) is resumed on that thread only, between KJ events, so an actor's handlers and its
// promises never run at the same time and need no lock.
//
// Guarantees
//   * exec_later and post may be called from any thread; what they bring runs on the loop's thread,
//   in order per caller.
//   * An actor that is not hosted is never run here, even when a hosted actor sends it a message:
//   CAF schedules a receiver on its
//     sender's execution unit, and exec_later hands such actors to CAF's own scheduler.
//   * A hosted actor is kept alive until its clean-up ran on the loop, so no KJ object dies on a
//   foreign thread.
// Limits
//   * One reactor per thread; nothing here assumes that a process has only one.
//   * The loop must be run with wait_scope.setBusyPollInterval(busy_poll_turns): with KJ's default,
//   two actors that talk to each
//     other starve all I/O of the loop.
//   * Destroy it on its thread, after when_no_actors() and before the actor system: ~actor_system
//   blocks while hosted actors live.

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/function.h>

#include <caf/all.hpp>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace bulkhead {

/// How many turns of the KJ loop may pass before it looks for I/O although events are waiting. 16
/// to 256 answer a client in about the same time next to two chatting actors; KJ's default never
/// does. One instance that ends and starts again takes some 0.4 ms of turns: at 24 a look falls
/// among them every 0.1 to 0.2 ms.
inline constexpr unsigned busy_poll_turns = 24;

class reactor final : public caf::execution_unit, private kj::TaskSet::ErrorHandler {
 public:
  /// Binds to the calling thread and its loop. `io` must outlive the reactor.
  reactor(caf::actor_system& system, kj::AsyncIoContext& io);
  /// The same with another timer, for tests that move time by hand.
  reactor(caf::actor_system& system, kj::AsyncIoContext& io, kj::Timer& timer);
  ~reactor() noexcept override;
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  bool on_thread() const noexcept { return std::this_thread::get_id() == thread_; }
  kj::Timer& timer() { return timer_; }
  kj::UnixEventPort& event_port() { return io_.unixEventPort; }
  kj::LowLevelAsyncIoProvider& low_level() { return *io_.lowLevelProvider; }
  kj::Network& network() { return io_.provider->getNetwork(); }

  /// CAF's entry: queues an actor that has mail. Any thread.
  void exec_later(caf::resumable* job) override;

  /// Runs `task` on the loop. Any thread. An exception that it throws is logged and dropped.
  void post(kj::Function<void()> task);

  /// Ties a promise to the reactor: cancelled with it, failures logged. Loop thread.
  void detach(kj::Promise<void> task);

  /// Called by hosted actors: keeps the actor alive from its start to the end of its clean-up. Loop
  /// thread.
  void retain(caf::strong_actor_ptr actor);
  void release_later(caf::actor_id id);

  /// Sends an exit message to every hosted actor. Loop thread.
  void exit_all(const caf::error& reason);

  /// Resolves when no hosted actor is left. One waiter at a time. Loop thread.
  kj::Promise<void> when_no_actors();

 private:
  struct inbox {
    std::vector<caf::resumable*> jobs;
    std::vector<kj::Function<void()>> tasks;
  };

  template <class Fill>
  void push_remote(Fill&& fill);
  void arm();
  void run_local();
  void run(caf::resumable* job);
  kj::Promise<void> watch_inbox();
  void drain_inbox();
  void taskFailed(kj::Exception&& error) override;

  kj::AsyncIoContext& io_;
  kj::Timer& timer_;
  std::thread::id thread_;
  kj::AutoCloseFd wake_fd_;  // closed after the observer below: epoll must forget it first
  kj::UnixEventPort::FdObserver wake_observer_;
  std::vector<caf::resumable*> ready_;
  std::vector<caf::resumable*> batch_;
  bool armed_ = false;
  std::mutex inbox_mutex_;
  inbox inbox_;
  bool inbox_pending_ = false;
  std::unordered_map<caf::actor_id, caf::strong_actor_ptr> hosted_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> idle_;
  kj::TaskSet tasks_;
};

}  // namespace bulkhead
