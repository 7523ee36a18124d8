// SPDX-License-Identifier: Apache-2.0
// The decisions of a supervisor, without actors, processes or clocks: an event and the time go in,
// actions come out.
//
// Who uses it carries the actions out in their order and reports what came of them as further
// events. It guarantees, for any sequence of events, also senseless ones:
//
// - A child has at most one live instance: no `start_child` before the one before it was reported
//   as exited or as not started.
// - Instances have generations that only grow. An event about another generation than the live one
//   changes nothing; so a late "ready" of an instance that was given up, or a second report of one
//   death, does no harm.
// - After `stop` no child is started, and `finish` comes once, as soon as every live instance has
//   ended or, where a kill had no effect, after `kill_wait`.
// - At most one timer per child is armed, and one for the supervisor. A timer that fires late or
//   was cancelled changes nothing, so that `cancel_timer` may be ignored.
// - `status` can be asked at any moment.
//
// Windows are exact (restart_window.hpp); the window says whether to restart, the backoff says
// when. With `give_up::escalate` the window is shared by all children as in OTP, and so it is in a
// group (one_for_all, rest_for_one), whose restart counts as one. A failure that is marked
// permanent (a missing file, a wrong version) is not repeated: it gives up at once, whatever the
// window holds. An operator's start or restart cuts a backoff short, is not counted in the window,
// and does not reset the backoff. A child that was ready for the backoff's stable time starts its
// sequence anew.
//
// The restart of a group. The child whose end it is for, its cause, waits in `backoff`; the members
// that it concerns are stopped in the order of a stop, and are `stopped` meanwhile. When they are
// gone and the cause's backoff is over they start in the order of a start, each when the one before
// is ready. A temporary member is forgotten, one that an operator stopped stays down, one that is
// quarantined stays so. A member that does not come up is the cause of the next restart: of all
// with one_for_all, of itself and those behind it with rest_for_one. How a member ends after it was
// marked to be stopped counts for nothing. The end of a child outside merges with what is under
// way.
//
// Two queues do all of that, boot, and the final stop: who is to be stopped, and who is to be
// started when nobody is left to be stopped (supervisor_turns.cpp). What is for a group is in
// supervisor_groups.cpp, requests are in supervisor_requests.cpp.
//
// Cost: an event is logarithmic in the number of children; `status`, the restart of a group and
// `reconfigure` are linear. Not for several threads. Copyable.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "actors/restart_window.hpp"
#include "actors/supervisor_events.hpp"

namespace bulkhead {

class supervisor_core {
 public:
  /// `policy` must have passed `check`. `random` must outlive the core and its copies.
  supervisor_core(supervisor_policy policy, random_source& random);

  /// Takes an event at `now`, which must not decrease from call to call.
  step_result step(const supervisor_event& what, instant now);

  /// A generation for an instance that somebody else starts (see adopt_instance): no instance of
  /// this child will have it. 0 when the child is not known.
  std::uint64_t take_generation(const std::string& id);

  supervisor_status status(instant now) const;
  /// One child; empty when it is not known.
  std::optional<child_status> status(const std::string& id, instant now) const;
  /// The rules of a child, or of the template by its own id; empty when there is none of that id.
  std::optional<child_spec> spec(const std::string& id) const;
  child_count count() const;

  /// Nothing that was asked about this child is still under way: it neither starts nor stops, nor
  /// waits for its turn to. A child that waits in a backoff has settled; so has an unknown one.
  bool has_settled(const std::string& id) const;

  supervisor_phase phase() const { return phase_; }
  const supervisor_policy& policy() const { return policy_; }

 private:
  enum class origin : std::uint8_t { asked, automatic };
  /// What follows when the instance that is to be stopped is gone.
  enum class sequel : std::uint8_t {
    none,          // it stays down
    start,         // it is started again, by request
    start_failed,  // it took too long to start
    rejoin,        // it is started again with its group
    quarantine,    // its group is given up
    forget,        // it is not wanted any more
  };

  struct child {
    std::uint64_t order = 0;  // its key in children_
    std::uint32_t level = 0;  // with stop_order::levels
    child_spec spec;
    backoff delays;
    restart_window window;
    child_state state = child_state::stopped;
    std::string reason;
    instant since{};
    instant ready_at{};
    instant next_start_at{};
    std::uint64_t generation = 0;
    std::uint64_t next_generation = 1;
    std::uint64_t restarts = 0;
    std::uint64_t timer = 0;  // armed for it, 0: none
    origin started_by = origin::asked;
    sequel after_stop = sequel::none;  // while `stopping` or to be stopped
    bool live = false;                 // an instance may exist: starting, ready, stopping
    bool killed = false;               // the live instance was killed by us
    bool newly_added = false;          // added while running, and never up since
    bool parked = false;               // down by request: a restart of its group passes it over
    bool cause = false;                // the restart of a group is for it, until it is ready
    bool rejoins = false;              // waits to be started with its group
  };
  using child_map = std::map<std::uint64_t, child>;      // by order of being added
  using rank = std::pair<std::uint32_t, std::uint64_t>;  // level and order

  verdict on(const event::start& e);
  verdict on(const event::started& e);
  verdict on(const event::start_failed& e);
  verdict on(const event::start_ignored& e);
  verdict on(const event::exited& e);
  verdict on(const event::timer& e);
  verdict on(const event::add& e);
  verdict on(const event::add_dynamic& e);
  verdict on(const event::start_child& e);
  verdict on(const event::restart_child& e);
  verdict on(const event::terminate_child& e);
  verdict on(const event::erase_child& e);
  verdict on(const event::reset_child& e);
  verdict on(const event::adopt_instance& e);
  verdict on(const event::reconfigure& e);
  verdict on(const event::stop& e);

  child* find(const std::string& id);
  child* find_live(const std::string& id, std::uint64_t generation);
  verdict unknown(const std::string& id) const;
  bool accepts_requests() const;
  bool is_dynamic() const { return policy_.strategy == restart_strategy::dynamic; }
  bool is_group() const;
  bool shares_window() const;
  stop_order order() const;

  // supervisor_core.cpp: the life of an instance
  child& insert(const child_spec& spec);
  void begin_start(child& c, origin by, std::string reason);
  void begin_stop(child& c, std::string reason);
  void kill(child& c, const std::string& reason);
  void instance_gone(child& c, exit_kind kind, const std::string& reason, bool permanent);
  void ended_by_itself(child& c, exit_kind kind, const std::string& reason, bool permanent);
  void stopped_instance_gone(child& c, exit_kind kind, const std::string& reason, bool permanent);
  void start_has_failed(child& c, const std::string& reason, bool permanent);
  void restart_or_give_up(child& c, const std::string& reason, bool permanent);
  void abandon_child(child& c, std::string reason);
  void settle(child& c, std::string reason);
  void unstoppable(child& c);
  void forget(child& c);
  void child_timer(child& c);
  void deadline_passed();

  // supervisor_groups.cpp
  std::vector<child*> group_of(const child& cause);
  void restart_group(child& cause, const std::string& reason);
  void join_restart(child& member, const std::string& reason);
  void give_up_group(child& cause, std::string reason);
  void start_group(const std::string& reason);
  void cut_backoffs_short();
  void leave_group(child& c);

  // supervisor_turns.cpp
  void advance();
  void stop_next();
  void start_next();
  void begin_finish(action::finish::kind why, std::string reason);
  void finish();
  void queue_stop(child& c, sequel after);
  void queue_start(child& c);
  void leave_turn(const child& c);
  void leave_queues(const child& c);
  static rank rank_of(const child& c) { return {c.level, c.order}; }

  // supervisor_requests.cpp
  void restart_running(child& c, const std::string& reason);
  void terminate(child& c, const std::string& reason);
  void adopt_template(const child_spec& spec);
  bool adopt_spec(const child_spec& spec);
  void prune(const std::vector<child_spec>& kept);
  void renumber(const std::vector<child_spec>& first);
  void set_levels();
  template <class Change>
  void in_new_order(Change change);
  std::vector<child_spec> all_specs() const;
  bool waits_for_restart(const child& c) const;
  bool was_dynamic(const std::string& id) const;

  void enter(child& c, child_state to, std::string reason, std::chrono::nanoseconds delay = {});
  void complain(const child& c, action::problem::context what, const std::string& reason);
  void significant_ended();
  void arm(child& c, instant at);
  void disarm(child& c);
  child_status status_of(const child& c, instant now) const;

  supervisor_policy policy_;
  random_source* random_;
  restart_window window_;
  supervisor_phase phase_ = supervisor_phase::idle;
  std::optional<child_spec> template_;  // of a dynamic supervisor
  std::uint64_t last_dynamic_ = 0;      // the number of its newest child
  child_map children_;
  std::unordered_map<std::string, std::uint64_t> order_of_;       // id -> key in children_
  std::unordered_map<std::uint64_t, std::uint64_t> timer_owner_;  // timer -> key in children_
  std::set<rank> to_stop_;                                        // live, and to be stopped in turn
  std::set<rank> unasked_;            // of those, who has not been asked yet
  std::set<rank> to_start_;           // to be started in turn
  std::set<rank> in_turn_;            // started in turn; the next waits for them
  std::set<std::uint64_t> backoffs_;  // causes in to_start_ whose backoff is not over, by order
  std::uint64_t last_order_ = 0;
  std::uint64_t last_timer_ = 0;
  std::uint64_t forgotten_generation_ = 0;  // the highest of a forgotten child
  std::uint64_t deadline_timer_ = 0;
  std::size_t live_ = 0;
  std::size_t supervisors_ = 0;  // children of that type
  action::finish ending_;
  instant now_{};
  std::string text_;
  std::string id_;
  std::vector<supervisor_action> out_;
};

}  // namespace bulkhead
