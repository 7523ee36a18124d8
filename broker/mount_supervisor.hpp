// SPDX-License-Identifier: Apache-2.0
#pragma once

// The mount's actor: the supervisor of one mount's instances.
//
// Decisions are the supervision core's (actors/supervisor_core.hpp), with one child, the instance,
// and quarantine where the window is spent. This actor carries them out: it starts and stops
// instances, switches the slot, keeps the crash reports, records events.
//
// The slot follows the child's state: ready - calls are forwarded; starting, backoff, stopping for
// a restart - calls wait; stopped, quarantined - calls fail at once with the reason. While the
// mount is being removed the slot has been told to refuse and stays so.
//
// In a group whose mounts share their fate (broker/mount_tree.hpp) the actor does not restart its
// instance: it ends, with the reason, and its supervisor makes another when its turn has come. An
// exit message stops the instance in good order, as its group does with it.
//
// Generations are taken from the store in blocks, ahead of need, so that a restart writes nothing
// and yet no generation repeats after a crash of the broker.

#include <memory>
#include <string>
#include <vector>

#include "actors/hosted.hpp"
#include "actors/protocols.hpp"
#include "actors/supervisor_core.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/mount_entry.hpp"
#include "broker/mount_messages.hpp"
#include "broker/services.hpp"

namespace bulkhead {

class mount_supervisor final : public hosted<mount_actor::base> {
 public:
  /// `services` outlives the actor. `ticket` is where it tells that its first start has ended.
  mount_supervisor(caf::actor_config& config, bulkhead::reactor& loop,
                   std::shared_ptr<mount_entry> entry, broker_services& services,
                   child_ticket ticket);
  ~mount_supervisor() noexcept override;

  const char* name() const override { return "mount"; }
  mount_actor::behavior_type make_behavior() override;

 private:
  using start_waiter = caf::typed_response_promise<mount_snapshot>;

  void on_loop_exit() override;
  void on_task_failed(kj::Exception&& error) override;

  void know_child();
  std::vector<action::report> step(const supervisor_event& what);
  void tell_started();
  void end_with_group(const std::string& reason);
  void perform(const supervisor_action& what);
  void perform_start(std::uint64_t generation);
  void perform_stop(const action::stop_child& what);
  void start_instance(std::uint64_t generation);
  void reserve_generations(std::uint64_t generation, bool launch_after);
  void enter(const action::report& what);
  void ready(const instance_ready& news);
  std::string ended(const instance_ended& news);
  void give_up_mounting(const std::string& why);
  void instance_down(const caf::down_msg& news);
  crash_report make_report(const instance_ended& news) const;

  caf::result<mount_snapshot> await_start();
  void answer_waiters(const std::string& failure);
  caf::result<mount_snapshot> begin_stop(const mount_stop& order);
  void leave(const mount_stop& order);
  caf::result<mount_snapshot> query();
  mount_snapshot snapshot(const std::string& start_failure = {});

  broker_services& services_;
  std::shared_ptr<mount_entry> entry_;
  bool shares_fate_;     // in its group: the group's supervisor decides on restarts
  child_ticket ticket_;  // until used
  supervisor_core core_;
  instance_actor instance_;
  std::uint64_t instance_generation_ = 0;
  bool instance_reported_end_ = true;
  std::uint32_t pid_ = 0;
  std::chrono::steady_clock::time_point ready_since_;
  std::shared_ptr<mount_bring_up> offer_;
  std::vector<start_waiter> waiters_;
  bool starting_ = false;
  bool leaving_ = false;  // being removed: the slot is not ours to switch any more
  bool forget_ = false;   // ... for good
  std::string stop_reason_;
  std::vector<start_waiter> stop_waiters_;
  bool reserving_ = false;
  bool permanent_failure_ = false;  // the last end: starting again cannot help
};

}  // namespace bulkhead
