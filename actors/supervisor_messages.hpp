// SPDX-License-Identifier: Apache-2.0
#pragma once

// The messages of a supervisor of actors: plain structs. Who sends what to whom is in
// protocols.hpp.

#include <any>
#include <caf/all.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/supervision.hpp"
#include "actors/supervisor_core.hpp"

namespace bulkhead {

/// What a child is told of itself when it is made. It needs it only to say that it is ready.
struct child_ticket {
  caf::strong_actor_ptr supervisor;
  std::string id;
  std::uint64_t generation = 0;
  std::any arguments{};  // of a dynamic child: what it was asked for with, at every start
};

/// A new instance of a child, or the reason why there is none.
struct child_made {
  caf::strong_actor_ptr actor;
  std::string failure;     // when `actor` is null
  bool permanent = false;  // trying again cannot help
  bool ignored = false;    // `actor` is null because there is nothing to do: no failure
  std::string info{};      // about this instance, for whoever asked for its start
};

/// Makes an instance. Called on the supervisor's thread for every start; must not block. An
/// exception of std::exception's family counts as a failure; any other ends the supervisor. The
/// factory and the arguments of a temporary child are let go when it has been started, because it
/// never is again.
using child_factory = std::function<child_made(const child_ticket&)>;

struct actor_child_spec {
  child_spec rules;
  child_factory make;
  bool ready_when_made = true;  // false: it is ready when it says so by `child_ready`
  std::string kind = "worker";  // for people: "worker", "supervisor", "mount"
};

/// From a child to its supervisor.
struct child_ready {
  std::string id;
  std::uint64_t generation = 0;
};

struct supervisor_add {
  actor_child_spec child;
};

/// One more child of a dynamic supervisor. The reply names it.
struct supervisor_spawn {
  std::any arguments{};  // reaches the template's factory in its ticket, at restarts too
};

/// Another policy and other children, all or nothing; see event::reconfigure. A child that is known
/// gets the new factory for its next start.
struct supervisor_reconfigure {
  supervisor_policy policy;
  std::vector<actor_child_spec> children;  // of a dynamic supervisor: the template
  bool prune = false;
};

/// OTP's words, and two of ours.
enum class child_order : std::uint8_t {
  start,      // a known child that does not run (restart_child of OTP)
  restart,    // end the instance in good order, if there is one, and start another; not counted
  terminate,  // end the instance in good order and leave the child stopped
  erase,      // forget a child that does not run (delete_child of OTP)
  reset,      // leave quarantine
};

struct supervisor_order {
  child_order what = child_order::start;
  std::string id;
};

/// What came of an order, when the start or the stop that it caused has ended, well or badly.
struct supervisor_reply {
  verdict answer = verdict::ok;
  std::string text;             // with `invalid`: what is wrong
  child_status child;           // as it is now; of a child that was forgotten, as it was last
  bool known = false;           // the child is (still) known
  caf::strong_actor_ptr actor;  // its instance; null when none runs
  std::string info{};           // what its factory said of that instance
  child_spec rules{};           // of a child that is known, or of the template by its id
};

struct supervisor_query {};

/// Answered with a child_count.
struct supervisor_count {};

struct supervised_actor {
  child_status status;
  std::string kind;
  caf::strong_actor_ptr actor;  // null when none runs
};

struct supervisor_snapshot {
  std::string name;
  supervisor_status status;                // its `children` stay empty: they are below
  std::vector<supervised_actor> children;  // in start order
  child_count count{};
};

struct supervisor_find {
  std::string id;
};

/// INTERNAL: a timer is due; number 0 starts the first children.
struct supervisor_tick {
  std::uint64_t timer = 0;
};

/// Why a supervisor, or an actor that knows of supervision, ends. As an exit reason:
/// `quit(make_exit(...))`.
enum class actor_exit : std::uint8_t {
  gave_up =
      1,  // a supervisor: a child could not be kept up. Its own supervisor sees a `shutdown` (OTP)
  start_failed,       // a supervisor: a first child did not start
  permanent_failure,  // any actor: starting it again cannot help
  significant_ended,  // a supervisor: its significant children have ended (`auto_shutdown`). A
                      // `shutdown` too
  failed,             // any actor: it cannot go on; an abnormal end
};

/// `text` is one line that says more.
caf::error make_exit(actor_exit why, std::string text);

}  // namespace bulkhead
