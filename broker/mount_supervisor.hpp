// SPDX-License-Identifier: Apache-2.0
#pragma once

// The mount's actor: the supervisor of one mount's instances.
//
// Decisions are the supervision core's (actors/supervisor_core.hpp), with one child, the instance,
// and quarantine where the window is spent; those of mount_life.hpp; and the breaker's, which the
// slot keeps. This actor carries them out: it starts and stops instances, switches the slot, keeps
// the crash reports, records events.
//
// Instances. At most one is `live_`: the one that the core knows. A reload starts another beside
// it, `green`, of which the core knows nothing until it takes over by adopt_instance. An instance
// that was replaced or given up is `old`: it finishes its calls, is stopped, and what it does then
// changes nothing but the log. So a crash of any of them is handled by its own part.
//
// The slot follows the child's state: ready - calls are forwarded; starting, backoff, stopping for
// a restart - calls wait; asleep (lazy, or stopped because it was idle) - the first call starts it;
// stopped, quarantined - calls fail at once with the reason. While the mount is being removed the
// slot has been told to refuse and stays so.
//
// In a group whose mounts share their fate (broker/mount_tree.hpp) the actor does not restart its
// instance: it ends, with the reason, and its supervisor makes another when its turn has come. An
// exit message stops the instance in good order, as its group does with it.
//
// Generations are taken from the store in blocks, ahead of need, so that a restart writes nothing
// and yet no generation repeats after a crash of the broker.
//
// An instance is started on storage that is in one piece; an upgrade of it that fails is taken back
// (mount_storage.cpp, broker/storage_upgrade.hpp).
//
// Which release an instance runs is for broker/catalog/release_start.hpp to say. An instance is
// prepared (trust, bytes) under its own start limit, and what is refused there is a failed start.
//
// Where what is: mount_supervisor.cpp the core's actions and the requests, mount_instances.cpp the
// news of instances and their reports, mount_reload.cpp reload and life, mount_release.cpp the
// release that the mount keeps to, mount_storage.cpp its storage.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/hosted.hpp"
#include "actors/protocols.hpp"
#include "actors/supervisor_core.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/mount_entry.hpp"
#include "broker/mount_messages.hpp"
#include "broker/services.hpp"

namespace bulkhead {

/// How many replaced instances of a mount may be finishing their calls; one more cuts the oldest
/// one's short.
inline constexpr std::size_t draining_instances_max = 4;

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
  static constexpr const char* instance_id = "instance";  // the core's one child

  using snapshot_promise = caf::typed_response_promise<mount_snapshot>;
  using reload_promise = caf::typed_response_promise<reload_result>;
  using start_waiter = std::function<void(const mount_snapshot&)>;

  /// One instance.
  struct run_of {
    std::uint64_t generation = 0;
    instance_actor actor;
    std::shared_ptr<mount_bring_up> offer;
    std::shared_ptr<const release> of;  // null: an unregistered file
    std::uint32_t pid = 0;              // 0 unless ready
    instant ready_since{};              // by the broker's clock
    instant life_since{};               // the same by the slot's
    bool ended = true;
    bool above = false;  // a threshold at which it is to be replaced
  };
  struct reload_run {
    reload_run();
    run_of green;
    reload_request how;
    reload_result result;
    instant began{};
    bool anew = false;  // it takes what the mount's name means now
    bool on_trial = false;
    bool writing = false;               // that it takes over
    kj::Promise<void> looks = nullptr;  // while on trial
    std::vector<reload_promise> askers;
  };

  void on_loop_exit() override;
  void on_task_failed(kj::Exception&& error) override;

  // -- the core's actions
  void attend_to_entry();
  void know_child();
  void start_up();
  void restart(const std::string& reason);
  void doze();
  std::vector<action::report> step(const supervisor_event& what);
  void tell_started();
  void end_with_group(const std::string& reason);
  void perform(const supervisor_action& what);
  void perform_start(std::uint64_t generation);
  void perform_stop(const action::stop_child& what);
  void finish();
  void start_reserved(std::uint64_t generation);
  run_of start_instance(std::uint64_t generation, bool beside);
  kj::Promise<void> keep_to(const std::shared_ptr<const release>& of);
  void stop_instance(const run_of& which, bool at_once);
  void reserve_generations(std::uint64_t generation, bool launch_after);
  void enter(const action::report& what);
  void switch_slot(const action::report& what);
  bool falls_asleep() const;
  child_state state() const;

  // -- news of instances
  void ready(const instance_ready& news);
  void show_face(const run_of& whose);
  void limited(const instance_limited& news);
  void passed(const mount_passed& news);
  std::string ended(const instance_ended& news);
  std::string live_ended(const instance_ended& news);
  std::string green_ended(const instance_ended& news);
  std::string old_ended(const instance_ended& news);
  void keep_report(crash_report report);
  void give_up_mounting(const std::string& why);
  void instance_down(const caf::down_msg& news);
  crash_report make_report(const instance_ended& news, const run_of& whose) const;

  // -- storage
  bool storage_is_settled() const;
  void launch_settled(std::uint64_t generation);
  void settle_then_launch(std::uint64_t generation);
  kj::Promise<void> become_alone();
  void tell_alone();
  void close_storage(const run_of& whose);
  bool falls_back() const;
  std::vector<action::report> fall_back(const std::string& why);

  // -- reload and life
  caf::result<reload_result> reload(const mount_reload& order);
  void reload_by_restart(const reload_request& how, std::vector<reload_promise> askers,
                         const std::string& reason);
  void begin_reload(const reload_request& how, std::vector<reload_promise> askers,
                    const std::string& reason);
  void green_ready(const instance_ready& news);
  kj::Promise<void> look_at_trial(std::uint64_t generation, int looks_left);
  kj::Duration trial_look() const;
  void judge_trial(const mount_trial& order);
  void take_over();
  void written(std::uint64_t generation);
  void switch_over();
  void abandon_reload(const std::string& reason);
  void answer_reload(reload_run& run);
  void set_aside(run_of which);
  void retire(run_of which);
  void retired(std::uint64_t generation);
  void hand_over_alone(const std::string& reason);
  bool must_be_alone() const;
  void look_after_life();
  void judge_life_of_live();
  void replace_live(const std::string& reason);
  void replace_for_use(const std::string& reason);
  void note_serving();
  void look_again(kj::Duration delay);

  // -- requests
  void changed();
  void use_addresses();
  caf::result<mount_snapshot> await_start();
  void answer_waiters(const std::string& failure);
  caf::result<mount_snapshot> reset();
  mount_snapshot hold_breaker(bool open);
  void breaker_changed(const mount_breaker& news);
  caf::result<mount_snapshot> halt();
  caf::result<mount_snapshot> condemn(const std::string& reason);
  caf::result<mount_snapshot> begin_stop(const mount_stop& order);
  void leave(const mount_stop& order);
  caf::result<mount_snapshot> query();
  caf::result<mount_snapshot> await_limits();
  void answer_limit_waiters();
  caf::result<mount_signalled> signal(int number);
  mount_snapshot refusal();
  mount_snapshot snapshot(const std::string& start_failure = {});

  broker_services& services_;
  std::shared_ptr<mount_entry> entry_;
  bool shares_fate_;     // in its group: the group's supervisor decides on restarts
  child_ticket ticket_;  // until used
  supervisor_core core_;
  run_of live_;
  std::optional<reload_run> reload_;
  std::vector<run_of> old_;
  std::vector<start_waiter> waiters_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> alone_waiters_;  // until old_ is empty
  replacement_pace pace_;
  kj::Promise<void> look_ = nullptr;  // the next look at the life of `live_`, or of a sleeper
  bool starting_ = false;
  bool start_failed_ = false;    // the last start did
  bool reloaded_alone_ = false;  // the start under way is that of a reload that stopped the old one
  bool halted_ = false;          // stopped by an operator: no call wakes it
  bool stopped_idle_ = false;    // stopped because it was idle: a call wakes it
  bool leaving_ = false;         // being removed: the slot is not ours to switch any more
  bool forget_ = false;          // ... for good
  bool finishing_ = false;       // the core has finished; old instances may still live
  std::string stop_reason_;
  std::vector<snapshot_promise> stop_waiters_;
  bool limits_under_way_ = false;  // of an instance that will say what became of them, or end
  std::vector<snapshot_promise> limit_waiters_;
  action::report shown_;  // what the slot was last told of
  bool reserving_ = false;
  std::string end_remedy_;          // what its text says to try; may be empty
  bool permanent_failure_ = false;  // the last end: starting again cannot help
};

}  // namespace bulkhead
