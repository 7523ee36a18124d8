// SPDX-License-Identifier: Apache-2.0
#pragma once

// The slot: the stable capability behind a mount.
//
// Clients hold capabilities of the slot, never of an instance. The slot forwards each call to the
// instance that serves at that moment; when there is none it lets the call wait, or refuses it. So
// a capability of a mount survives crashes, restarts and reloads, and unmounting is one switch
// here.
//
// The slot is a capnp::ClientHook and not a server that forwards: a hook forwards a call by copying
// its parameters once and adds no actor, no mailbox and no dispatch. It never resolves to the
// instance's own capability, so the hop is never optimised away.
//
// An instance is a lane. serve() switches all later calls to a new lane; calls in flight stay on
// theirs, which lives until they have ended. While a new instance is on trial two lanes share the
// calls. So a reload is: try_out or serve the new one, wait until the old lane is drained, cut it.
//
// Guarantees
//   * Every call ends once: with what the plugin answered, or with a documented kind:
//       overloaded          the queue or the calls in flight are at their limit
//       plugin_unavailable  it waited longer than slot_wait_ms_max, or the breaker is open
//       deadline_exceeded   it was in flight longer than call_ms_max
//       plugin_crashed      the link's own exception carries the report
//       or the reason given to refuse() or cut().
//   * Calls that waited are forwarded in the order in which they came, before any later call.
//   * After refuse() no call reaches an instance, and calls that waited have ended.
// Limits
//   * Capabilities that a plugin returns are not behind the slot: they belong to the link and die
//   with it, with the crash report.
//   * What a caller has pipelined on an answer follows the answer; it is not counted apart.
//   * Functions given to the slot (wake, alarm, breaker) run in the midst of a call: they must not
//   touch the slot before the loop has turned.
// Threads: the reactor's only.

#include <capnp/capability.h>
#include <kj/timer.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "broker/breaker.hpp"
#include "broker/mount_life.hpp"
#include "schema/error.capnp.h"
#include "schema/plugin.capnp.h"

namespace bulkhead {

struct slot_limits {
  std::uint32_t calls_in_flight_max = 1024;
  std::uint32_t calls_waiting_max = 1024;
  kj::Duration wait_max = 10 * kj::SECONDS;
  kj::Duration call_max = 90 * kj::SECONDS;
  breaker_policy breaker;
};

/// Whether the broker as a whole takes new calls; one for all slots.
struct load_gate {
  bool closed = false;
  std::uint64_t memory_bytes = 0;      // of the broker's process, when it was last looked at
  std::uint64_t memory_bytes_max = 0;  // for the text of the refusal
  std::uint64_t shed = 0;              // calls that were refused for it
};

struct slot_counters {
  std::uint32_t in_flight = 0;
  std::uint32_t waiting = 0;
  std::uint64_t total = 0;
  std::uint64_t failed = 0;
};

/// What an instance offers. A null capability refuses its style as `unsupported`.
struct slot_target {
  std::uint64_t generation = 0;
  kj::Maybe<capnp::Capability::Client> backend;
  kj::Maybe<capnp::Capability::Client> typed;
};

/// A call in flight, for a crash report.
struct slot_call {
  std::uint64_t interface_id = 0;
  std::uint16_t method_id = 0;
  kj::Duration age = 0 * kj::SECONDS;
  std::string request;  // "read kv/app"; empty in the typed style
};

/// Of a request's path a crash report keeps so much.
inline constexpr std::size_t call_path_bytes_max = 128;

class slot final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  /// `path` is the mount's, for error texts. `timer` must outlive the slot and all its
  /// capabilities.
  slot(kj::Timer& timer, std::string path, slot_limits limits);
  ~slot() noexcept(false) override;

  /// The stable capability of the request style.
  schema::Backend::Client backend();
  /// The stable capability of the plugin's own interface.
  capnp::Capability::Client typed();

  /// Other limits, from now on, also for the calls that it has.
  void use(const slot_limits& limits);
  /// Another path, for error texts.
  void rename(std::string path) { path_ = std::move(path); }

  /// Calls wait from now on. `waiting_for` completes "the mount ... was not ready in time: ".
  void hold(std::string waiting_for);
  /// The same; the first call that comes, or that waits already, calls `wake`, once.
  void doze(std::string waiting_for, std::function<void()> wake);
  /// Calls go to this instance from now on; those that waited go first. Ends a trial.
  void serve(slot_target target);
  /// Calls fail with `reason` from now on, also those that wait. Those in flight are left to the
  /// instance.
  void refuse(kj::Exception reason);

  /// So many of a hundred calls go to `target`, the others as before, until end_trial() or any of
  /// the functions above.
  void try_out(slot_target target, unsigned percent);
  void end_trial();
  /// The instance on trial serves from now on; its calls in flight stay its own.
  void promote();
  /// How the serving instance, and the one on trial, have done with the calls that they got since
  /// try_out(). A call that has been in flight for `patience`, and one whose caller went away,
  /// count as failures: so a trial is not passed by answering nothing.
  trial_tally serving_tally(kj::Duration patience) const;
  trial_tally tried_tally(kj::Duration patience) const;

  /// Resolves when no call is in flight, or after `longest`.
  kj::Promise<void> drained(kj::Duration longest);
  /// The same for the calls of one instance.
  kj::Promise<void> drained(std::uint64_t generation, kj::Duration longest);
  /// Ends the calls of one instance that are in flight.
  void cut(std::uint64_t generation, const kj::Exception& reason);

  slot_counters counters();
  /// The calls in flight of one instance, oldest first.
  std::vector<slot_call> calls_of(std::uint64_t generation) const;
  /// Age of the oldest call in flight; zero when there is none.
  kj::Duration oldest_call() const;
  /// What judge_life asks of the instance that serves, but `ready_since`. By the slot's own timer.
  life_facts facts() const;
  /// Calls `reached` when the serving instance gets its `calls`th call. serve() and promote() clear
  /// it.
  void set_call_alarm(std::uint64_t calls, std::function<void()> reached);

  breaker_state breaker_now() const { return breaker_.state(now()); }
  std::chrono::nanoseconds breaker_left() const { return breaker_.open_left(now()); }
  bool breaker_held() const { return breaker_.held(); }
  /// By an operator: refuses calls until it is closed again, or closes. What is in flight goes on.
  void hold_breaker(bool open);
  /// `changed` hears of every change of the breaker, and whether an operator made it.
  void on_breaker(std::function<void(breaker_state, bool by_hand)> changed);
  /// While it is closed, new calls fail as overloaded. Null: there is none.
  void heed(std::shared_ptr<load_gate> gate) { gate_ = std::move(gate); }

  /// The time of the slot's timer, as breaker and life know it.
  instant now() const;

 private:
  enum class style : std::uint8_t { backend, typed };
  enum class mode : std::uint8_t { holding, serving, refusing };
  using call_result = capnp::ClientHook::VoidPromiseAndPipeline;
  using context_ptr = kj::Own<capnp::CallContextHook>;
  struct method {
    style which;
    std::uint64_t interface_id;
    std::uint16_t method_id;
  };
  struct drain_waiter {
    kj::Maybe<std::uint64_t> generation;  // null: all of them
    kj::Own<kj::PromiseFulfiller<void>> done;
  };
  class hook;
  struct lane;
  struct request_subject;
  struct call_record;
  struct shared_result;
  struct waiting_call;

  call_result call(const method& what, context_ptr context);
  call_result forward(const method& what, context_ptr context, bool waited);
  call_result wait(const method& what, context_ptr context);
  call_result shed();
  call_result fail(kj::Exception reason);
  kj::Exception link_failed(kj::Exception::Type type) const;
  void call_failed(call_record& record, kj::Exception problem);

  lane& choose_lane(breaker::admission admitted);
  trial_tally tally_of(const lane& whose, kj::Duration patience) const;
  void tell_breaker();
  kj::Own<capnp::ClientHook> target(lane& chosen, style which);
  void set_mode(mode to);
  void begin_service();
  void wake();
  void forget_abandoned();
  void call_left(const lane& whose);
  kj::Promise<void> drain(kj::Maybe<std::uint64_t> generation, kj::Duration longest);
  kj::Exception breaker_is_open() const;
  kj::Exception error(schema::ErrorKind kind, std::string what, std::string why,
                      std::string remedy) const;
  void arm_sweep();
  void sweep();
  void taskFailed(kj::Exception&& problem) override;

  kj::Timer& timer_;
  std::string path_;
  slot_limits limits_;
  mode mode_ = mode::holding;
  std::string waiting_for_ = "it has not started yet";
  std::function<void()> wake_;
  kj::Maybe<kj::Exception> refusal_;
  kj::Maybe<kj::Own<lane>> serving_;
  kj::Maybe<kj::Own<lane>> on_trial_;
  unsigned trial_percent_ = 0;
  unsigned trial_turn_ = 0;
  std::uint64_t trial_ = 0;  // counts trials: a call belongs to one, or to none (0)
  breaker breaker_;
  std::uint64_t service_ =
      0;  // counts instances that served: the breaker hears of the newest's calls
  breaker_state told_breaker_ = breaker_state::closed;
  std::function<void(breaker_state, bool)> breaker_changed_;
  std::shared_ptr<load_gate> gate_;
  std::uint64_t call_alarm_at_ = 0;  // 0: none
  std::function<void()> call_alarm_;
  std::list<call_record*> in_flight_;         // oldest first: all calls have the same deadline
  std::list<kj::Own<waiting_call>> waiting_;  // oldest first
  std::vector<drain_waiter> drains_;
  std::uint64_t total_ = 0;
  std::uint64_t failed_ = 0;
  kj::Maybe<kj::TimePoint> sweep_at_;
  kj::TaskSet tasks_;  // last: its tasks use all of the above
};

}  // namespace bulkhead
