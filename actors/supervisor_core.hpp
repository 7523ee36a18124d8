// SPDX-License-Identifier: Apache-2.0
// The decisions of a supervisor, without actors, processes or clocks: an event and the time go in,
// actions come out.
//
// Who uses it carries the actions out in their order and reports what came of them as further
// events. It guarantees, for any sequence of events, also senseless ones:
//
// - A child has at most one live instance: no `start_child` before the one before it was reported
// as exited or as not started.
// - Instances have generations that only grow. An event about another generation than the live one
// changes nothing; so a late
//   "ready" of an instance that was given up, or a second report of one death, does no harm.
// - After `stop` no child is started, and `finish` comes once, as soon as every live instance has
// ended or, where a kill had no
//   effect, after `kill_wait`.
// - At most one timer per child is armed, and one for the supervisor. A timer that fires late or
// was cancelled changes nothing, so
//   that `cancel_timer` may be ignored.
// - `status` can be asked at any moment.
//
// Windows are exact (restart_window.hpp); the window says whether to restart, the backoff says
// when. With `give_up::escalate` the window is shared by all children as in OTP. A failure that is
// marked permanent (a missing file, a wrong version) is not repeated: it gives up at once, whatever
// the window holds. An operator's start or restart cuts a backoff short, is not counted in the
// window, and does not reset the backoff. A child that was ready for the backoff's stable time
// starts its sequence anew.
//
// Cost: an event is logarithmic in the number of children; `status` is linear. Not for several
// threads. Copyable.
#pragma once

#include <map>
#include <unordered_map>
#include <variant>

#include "actors/restart_window.hpp"
#include "actors/supervision.hpp"

namespace bulkhead {

namespace event {

/// Starts the children that were added so far, in order, each when the one before it is ready or
/// has failed.
struct start {};
/// The live instance is ready for service.
struct started {
  std::string id;
  std::uint64_t generation = 0;
};
/// There is no instance: it could not be started, or ended before it was ready. `permanent`: trying
/// again cannot help.
struct start_failed {
  std::string id;
  std::uint64_t generation = 0;
  std::string reason;
  bool permanent = false;
};
/// The live instance has ended and left nothing behind. In state `starting` it counts as a failed
/// start, whatever its kind.
struct exited {
  std::string id;
  std::uint64_t generation = 0;
  exit_kind kind = exit_kind::abnormal;
  std::string reason;
};
/// The timer of an `arm_timer` is due.
struct timer {
  std::uint64_t id = 0;
};
/// Adds a child; starts it at once when the supervisor runs.
struct add {
  child_spec spec;
};
/// OTP's restart_child: starts a known child that does not run.
struct start_child {
  std::string id;
};
/// Ends the instance in good order, if there is one, and starts another; cuts a backoff short;
/// leaves quarantine.
struct restart_child {
  std::string id;
};
/// Ends the instance in good order and leaves the child stopped. A temporary child is forgotten.
struct terminate_child {
  std::string id;
  std::string reason = "stopped by an operator";
};
/// OTP's delete_child: forgets a child that does not run.
struct erase_child {
  std::string id;
};
/// Leaves quarantine: clears window and backoff, and starts.
struct reset_child {
  std::string id;
};
/// Another instance, started beside the live one under a generation from `take_generation` and ready
/// by now, takes its place. The one before it is no concern of the supervisor any more. Refused as
/// `not_found` unless the child is ready.
struct adopt_instance {
  std::string id;
  std::uint64_t generation = 0;
};
/// Ends all children, then the supervisor. At `deadline` everything that still lives is killed.
struct stop {
  std::string reason;
  std::optional<instant> deadline;
};

}  // namespace event

using supervisor_event =
    std::variant<event::start, event::started, event::start_failed, event::exited, event::timer,
                 event::add, event::start_child, event::restart_child, event::terminate_child,
                 event::erase_child, event::reset_child, event::adopt_instance, event::stop>;

/// What a request came to. Requests that are refused change nothing.
enum class verdict : std::uint8_t {
  ok,
  not_found,        // no child of that id
  already_started,  // add: it is there, and an instance lives
  already_present,  // add: it is there, and does not run
  running,          // start, erase: an instance lives
  restarting,       // start, erase: it waits for its next start
  not_quarantined,  // reset
  stopping,         // the supervisor stops or has finished
  invalid,          // the spec; `step_result::text` names the field
};

std::string_view to_string(verdict value);

namespace action {

/// Start an instance; answer with `started`, `start_failed` or `exited` of this generation.
struct start_child {
  std::string id;
  std::uint64_t generation = 0;
};
/// End the live instance: ask it, or kill it. Answer with `exited` (or `start_failed`) of this
/// generation.
struct stop_child {
  std::string id;
  std::uint64_t generation = 0;
  bool kill = false;
  std::optional<instant> deadline;  // when asked: at this time a kill follows
  std::string reason;
};
/// Send `timer` at `at`.
struct arm_timer {
  std::uint64_t id = 0;
  instant at;
};
struct cancel_timer {
  std::uint64_t id = 0;
};
/// A child changed its state (or only its reason), for events, logs and crash reports.
struct report {
  std::string id;
  std::uint64_t generation = 0;
  child_state from = child_state::stopped;
  child_state to = child_state::stopped;
  std::string reason;
  std::chrono::nanoseconds delay{0};  // to `backoff`: until the next start
};
/// The child is known no more.
struct forget_child {
  std::string id;
};
/// Every first child had its first start: the supervisor is up.
struct booted {};
/// The supervisor has ended.
struct finish {
  enum class kind : std::uint8_t {
    stopped,       // as asked
    gave_up,       // a child could not be kept up
    start_failed,  // a first child did not start
  };
  kind why = kind::stopped;
  std::string reason;
  std::vector<std::string> killed;  // children that had to be killed while the supervisor stopped
  std::vector<std::string>
      abandoned;  // of those, children whose end was not seen within `kill_wait`
};

}  // namespace action

using supervisor_action =
    std::variant<action::start_child, action::stop_child, action::arm_timer, action::cancel_timer,
                 action::report, action::forget_child, action::booted, action::finish>;

struct step_result {
  verdict answer = verdict::ok;
  std::string text;  // with `invalid`: what is wrong
  std::vector<supervisor_action> actions;
};

/// What follows for a child that ended, in the words of a crash report: "restarts at once",
/// "restarts in 400 ms", "quarantined", "stays down".
std::string next_step_text(const action::report& report);

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

  supervisor_phase phase() const { return phase_; }
  const supervisor_policy& policy() const { return policy_; }

 private:
  enum class origin : std::uint8_t { asked, automatic };
  enum class sequel : std::uint8_t { none, start, start_failed };

  struct child {
    std::uint64_t order = 0;  // its key in children_
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
    sequel after_stop = sequel::none;  // while `stopping`
    bool live = false;                 // an instance may exist: starting, ready, stopping
    bool killed = false;               // the live instance was killed by us
    bool waits_for_turn = false;       // its first start is still to come
    bool newly_added = false;          // added while running, and never up since
  };
  using child_map = std::map<std::uint64_t, child>;  // by order of being added

  verdict on(const event::start& e);
  verdict on(const event::started& e);
  verdict on(const event::start_failed& e);
  verdict on(const event::exited& e);
  verdict on(const event::timer& e);
  verdict on(const event::add& e);
  verdict on(const event::start_child& e);
  verdict on(const event::restart_child& e);
  verdict on(const event::terminate_child& e);
  verdict on(const event::erase_child& e);
  verdict on(const event::reset_child& e);
  verdict on(const event::adopt_instance& e);
  verdict on(const event::stop& e);

  child* find(const std::string& id);
  child* find_live(const std::string& id, std::uint64_t generation);
  bool accepts_requests() const;

  void begin_start(child& c, origin by, std::string reason);
  void begin_stop(child& c, sequel after, std::string reason);
  void kill(child& c, const std::string& reason);
  void instance_gone(child& c, exit_kind kind, const std::string& reason, bool permanent);
  void stopped_instance_gone(child& c, const std::string& reason, bool permanent);
  void start_has_failed(child& c, const std::string& reason, bool permanent);
  void restart_or_give_up(child& c, const std::string& reason, bool permanent);
  void abandon_child(child& c, std::string reason);
  void settle(child& c, std::string reason);
  void unstoppable(child& c);
  void forget(const child& c);
  void child_timer(child& c);
  void deadline_passed();

  void continue_boot();
  void continue_stop();
  void begin_finish(action::finish::kind why, std::string reason);

  void enter(child& c, child_state to, std::string reason, std::chrono::nanoseconds delay = {});
  void arm(child& c, instant at);
  void disarm(child& c);
  child_status status_of(const child& c, instant now) const;

  supervisor_policy policy_;
  random_source* random_;
  restart_window window_;
  supervisor_phase phase_ = supervisor_phase::idle;
  child_map children_;
  std::unordered_map<std::string, std::uint64_t> order_of_;       // id -> key in children_
  std::unordered_map<std::uint64_t, std::uint64_t> timer_owner_;  // timer -> key in children_
  std::uint64_t last_order_ = 0;
  std::uint64_t last_timer_ = 0;
  std::uint64_t forgotten_generation_ = 0;  // the highest of a forgotten child
  std::uint64_t boot_cursor_ = 0;           // children up to this one had their turn
  std::uint64_t boot_child_ = 0;            // whose first start is outstanding, 0: none
  std::uint64_t stop_cursor_ = 0;           // while stopping in reverse: children above are gone
  std::uint64_t deadline_timer_ = 0;
  std::size_t live_ = 0;
  action::finish ending_;
  instant now_{};
  std::string text_;
  std::vector<supervisor_action> out_;
};

}  // namespace bulkhead
