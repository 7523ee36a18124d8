// SPDX-License-Identifier: Apache-2.0
// What goes into a supervisor's decisions and what comes out: events, verdicts, actions. Plain
// values; supervisor_core.hpp says what is made of them.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

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
/// There is no instance and there is not to be one: its start found nothing to do. No failure.
struct start_ignored {
  std::string id;
  std::uint64_t generation = 0;
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
/// Adds a child; starts it at once when the supervisor runs. To a dynamic supervisor, before it is
/// started: its template.
struct add {
  child_spec spec;
};
/// One more child of a dynamic supervisor; `step_result::id` names it. That name, the template's
/// with a number that never repeats, is what OTP's pid is to its dynamic children.
struct add_dynamic {};
/// OTP's restart_child: starts a known child that does not run.
struct start_child {
  std::string id;
};
/// Ends the instance in good order, if there is one, and starts another; cuts a backoff short;
/// leaves quarantine. With one_for_all and rest_for_one a running child takes those along that its
/// end would take along, and a quarantined one all that are quarantined.
struct restart_child {
  std::string id;
  std::string reason = "restarted by an operator";
};
/// Ends the instance in good order and leaves the child stopped; a restart of its group passes it
/// over. A temporary or dynamic child is forgotten. When a restart of the group waits for this
/// child it is over: those that were stopped for it stay down until they are started.
struct terminate_child {
  std::string id;
  std::string reason = "stopped by an operator";
};
/// OTP's delete_child: forgets a child that does not run.
struct erase_child {
  std::string id;
};
/// Leaves quarantine: clears window and backoff, and starts. With one_for_all and rest_for_one it
/// starts all that are quarantined, in order.
struct reset_child {
  std::string id;
};
/// Another instance, started beside the live one under a generation from `take_generation` and
/// ready by now, takes its place. The one before it is no concern of the supervisor any more.
/// Refused as `not_found` unless the child is ready.
struct adopt_instance {
  std::string id;
  std::uint64_t generation = 0;
};
/// Another policy and other specs for the running supervisor; all or nothing. Running instances are
/// not touched: what changed of their spec counts from the next time it is asked. Specs that are
/// new are added, and started in order if they have `autostart`. Children that are not in
/// `children` stay behind the others; with `prune` they are stopped and forgotten. The windows keep
/// what they counted. Of a dynamic supervisor `children` holds the new template. Refused as
/// `invalid`: what `check` finds, and a change to or from `dynamic`.
struct reconfigure {
  supervisor_policy policy;
  std::vector<child_spec> children;
  bool prune = false;
};
/// Ends all children, then the supervisor. At `deadline` everything that still lives is killed.
struct stop {
  std::string reason;
  std::optional<instant> deadline;
};

}  // namespace event

using supervisor_event =
    std::variant<event::start, event::started, event::start_failed, event::start_ignored,
                 event::exited, event::timer, event::add, event::add_dynamic, event::start_child,
                 event::restart_child, event::terminate_child, event::erase_child,
                 event::reset_child, event::adopt_instance, event::reconfigure, event::stop>;

/// What a request came to. Requests that are refused change nothing.
enum class verdict : std::uint8_t {
  ok,
  not_found,        // no child of that id
  already_started,  // add: it is there, and an instance lives
  already_present,  // add: it is there, and does not run
  running,          // start, erase: an instance lives
  restarting,       // start, erase: it waits for its next start, or its group's
  not_quarantined,  // reset
  dynamic,          // what a dynamic supervisor does not do with a child, or only such a one does
  stopping,         // the supervisor stops or has finished
  invalid,          // spec, policy or dependencies; `step_result::text` names the field
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
/// A child did not start or end as it should; for crash reports.
struct problem {
  enum class context : std::uint8_t {
    start_error,       // it did not start
    child_terminated,  // it ended by itself, and that calls for a restart
    shutdown_error,    // it was asked to end, and ended badly or had to be killed
  };
  context what = context::child_terminated;
  std::string reason;
  child_spec offender;
  std::uint64_t generation = 0;
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
    significant,   // significant children have ended (`auto_shutdown`)
  };
  /// Children that ended badly while the supervisor stopped, by reason.
  struct group {
    std::string reason;
    std::size_t count = 0;
    std::string first;  // a child of them
  };
  kind why = kind::stopped;
  std::string reason;
  std::vector<std::string> killed;  // children that had to be killed while the supervisor stopped
  std::vector<std::string>
      abandoned;                // of those, children whose end was not seen within `kill_wait`
  std::vector<group> errors{};  // at most `stop_error_groups_max`, the last holds what is left
};

}  // namespace action

using supervisor_action = std::variant<action::start_child, action::stop_child, action::arm_timer,
                                       action::cancel_timer, action::report, action::problem,
                                       action::forget_child, action::booted, action::finish>;

/// Reasons that a `finish` tells apart.
inline constexpr std::size_t stop_error_groups_max = 16;

struct step_result {
  verdict answer = verdict::ok;
  std::string text;  // with `invalid`: what is wrong
  std::string id;    // of the child that was added
  std::vector<supervisor_action> actions;
};

/// What follows for a child that ended, in the words of a crash report: "restarts at once",
/// "restarts in 400 ms", "quarantined", "stays down".
std::string next_step_text(const action::report& report);

/// A crash report in one line: supervisor, context, child with its rules, and the reason.
std::string problem_text(std::string_view supervisor, const action::problem& problem);

}  // namespace bulkhead
