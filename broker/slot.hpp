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
// Guarantees
//   * Every call ends once: with what the plugin answered, or with a documented kind: overloaded
//   (queue or calls in flight at their
//     limit), plugin_unavailable (waited longer than slot_wait_ms_max), deadline_exceeded (older
//     than call_ms_max), plugin_crashed (the link's own exception carries the report), or the
//     reason given to refuse().
//   * Calls that waited are forwarded in the order in which they came, before any later call.
//   * After refuse() no call reaches an instance, and calls that waited have ended.
// Limits
//   * Capabilities that a plugin returns are not behind the slot: they belong to the link and die
//   with it, with the crash report.
//   * What a caller has pipelined on an answer follows the answer; it is not counted apart.
// Threads: the reactor's only.

#include <capnp/capability.h>
#include <kj/timer.h>

#include <cstdint>
#include <list>
#include <string>

#include "schema/error.capnp.h"
#include "schema/plugin.capnp.h"

namespace bulkhead {

struct slot_limits {
  std::uint32_t calls_in_flight_max = 1024;
  std::uint32_t calls_waiting_max = 1024;
  kj::Duration wait_max = 10 * kj::SECONDS;
  kj::Duration call_max = 90 * kj::SECONDS;
};

struct slot_counters {
  std::uint32_t in_flight = 0;
  std::uint32_t waiting = 0;
  std::uint64_t total = 0;
  std::uint64_t failed = 0;
};

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

  /// Calls wait from now on. `waiting_for` completes "the mount ... was not ready in time: ".
  void hold(std::string waiting_for);
  /// Calls go to these from now on; those that waited go first. A null capability refuses its style
  /// as `unsupported`.
  void serve(kj::Maybe<capnp::Capability::Client> backend,
             kj::Maybe<capnp::Capability::Client> typed);
  /// Calls fail with `reason` from now on, also those that wait. Those in flight are left to the
  /// instance.
  void refuse(kj::Exception reason);

  /// Resolves when no call is in flight, or after `longest`.
  kj::Promise<void> drained(kj::Duration longest);

  slot_counters counters() const;
  /// Age of the oldest call in flight; zero when there is none.
  kj::Duration oldest_call() const;

 private:
  enum class style : std::uint8_t { backend, typed };
  enum class mode : std::uint8_t { holding, serving, refusing };
  using call_result = capnp::ClientHook::VoidPromiseAndPipeline;
  using context_ptr = kj::Own<capnp::CallContextHook>;
  class hook;
  struct call_record;
  struct shared_result;
  struct waiting_call;

  call_result call(style which, std::uint64_t interface_id, std::uint16_t method_id,
                   context_ptr context);
  call_result forward(style which, std::uint64_t interface_id, std::uint16_t method_id,
                      context_ptr context);
  call_result wait(style which, std::uint64_t interface_id, std::uint16_t method_id,
                   context_ptr context);
  call_result fail(kj::Exception reason);
  void call_failed(kj::Exception error);
  kj::Exception link_failed(kj::Exception::Type type) const;
  kj::Own<capnp::ClientHook> target(style which);
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
  kj::Maybe<kj::Exception> refusal_;
  kj::Maybe<kj::Own<capnp::ClientHook>> backend_target_;
  kj::Maybe<kj::Own<capnp::ClientHook>> typed_target_;
  std::list<call_record*> in_flight_;         // oldest first: all calls have the same deadline
  std::list<kj::Own<waiting_call>> waiting_;  // oldest first
  std::uint64_t total_ = 0;
  std::uint64_t failed_ = 0;
  kj::Maybe<kj::TimePoint> sweep_at_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> drained_;
  kj::TaskSet tasks_;  // last: its tasks use all of the above
};

}  // namespace bulkhead
