// SPDX-License-Identifier: Apache-2.0
#pragma once

// The supervisor of actors: starts, watches, restarts and stops children that are actors, by OTP's
// rules.
//
// All decisions are supervisor_core's; this class makes actors, monitors them, sets timers by CAF's
// clock, and answers. It never blocks, so it answers at any moment, whatever its children do. Its
// messages are in protocols.hpp.
//
// Children are monitored, not linked: their end is a message, and the supervisor's end is an exit
// message to each of them. When the supervisor itself is killed or fails, its children are killed
// with it.
//
// How a child ended is read from its exit reason: none or `normal` is a normal end;
// `user_shutdown`, and a supervisor that gave up or lost its significant children, count as
// shutdown; `kill` as killed; `actor_exit::permanent_failure` as a failure that is not repeated;
// anything else as abnormal. An actor is asked to end by an exit message `user_shutdown`, and
// killed by one of reason `kill`, which CAF delivers between two messages: a child that never
// returns from a handler cannot be killed, and is given up after `kill_wait`.
//
// Any exit message to the supervisor stops it: the children in their order, then itself with the
// reason it was given.
//
// Runs anywhere: on CAF's scheduler, under its test coordinator, or pinned to a reactor as
// hosted<supervisor>.

#include <deque>
#include <memory>
#include <unordered_map>

#include "actors/protocols.hpp"
#include "actors/random.hpp"
#include "actors/supervisor_messages.hpp"

namespace bulkhead {

struct supervisor_options {
  std::string name = "supervisor";  // for people
  supervisor_policy policy;
  std::vector<actor_child_spec> children;  // the first children, in start order; of a dynamic
                                           // supervisor its template alone
  std::shared_ptr<random_source> random;   // for jitter; null: none is added
  std::function<void(const action::report&)>
      observer;  // every transition, on the supervisor's thread; may be empty
  std::function<void(const std::string& supervisor, const action::problem&)>
      problem_observer;  // every crash report, likewise (problem_text makes a line of it)
  std::function<void(const action::finish&)>
      finish_observer;  // why it ends and what went badly, likewise
  child_ticket ticket;  // where it is a child itself: it is ready when its first children are
  std::chrono::milliseconds stop_max{
      0};  // from the exit message to killing what is left; 0: the children's limits alone
};

/// Empty when sound, else one line that names the field or the child.
std::string check(const supervisor_options& options);

class supervisor : public supervisor_actor::base {
 public:
  /// Options that do not pass `check` end the actor with `actor_exit::permanent_failure` as soon as
  /// it runs.
  supervisor(caf::actor_config& config, supervisor_options options);
  ~supervisor() noexcept override;

  const char* name() const override { return options_.name.c_str(); }
  supervisor_actor::behavior_type make_behavior() override;
  void on_exit() override;

 private:
  struct instance_of {
    std::string id;
    std::uint64_t generation = 0;
  };
  struct member {
    child_factory make;  // empty: the template's, or it is not needed any more
    bool ready_when_made = true;
    std::string kind;
    std::any arguments;  // of a dynamic child
    std::string info;    // of the live instance
    caf::strong_actor_ptr actor;
    std::uint64_t generation = 0;
    child_status last;  // for the answer after it was forgotten
    std::vector<caf::typed_response_promise<supervisor_reply>> waiting;
  };
  using answer = caf::result<supervisor_reply>;

  void boot();
  answer add(const supervisor_add& request);
  answer spawn_dynamic(const supervisor_spawn& request);
  answer order(const supervisor_order& request);
  supervisor_reply reconfigure(const supervisor_reconfigure& request);
  answer answer_when_settled(const std::string& id);
  supervisor_reply find(const std::string& id);
  supervisor_reply reply_for(const std::string& id) const;
  supervisor_reply refusal(const step_result& result, const std::string& id) const;
  supervisor_snapshot snapshot() const;
  void adopt_rules(member& place, const actor_child_spec& spec) const;

  step_result decide(const supervisor_event& what);
  void carry_out(const step_result& result);
  step_result take(const supervisor_event& what);
  void perform(const supervisor_action& what);
  void perform_start(const action::start_child& start);
  child_made make(const action::start_child& start, const member& child);
  void perform_stop(const action::stop_child& stop);
  void perform_finish(const action::finish& finish);
  void note(const action::report& report);
  void sweep();
  void child_down(const caf::down_msg& news);
  void answer_waiting(const std::string& id);
  instant now() const;

  supervisor_options options_;
  std::shared_ptr<random_source> random_;
  supervisor_core core_;
  std::optional<actor_child_spec> template_;  // of a dynamic supervisor
  std::unordered_map<std::string, member> members_;
  std::unordered_map<caf::actor_id, instance_of> instances_;
  std::deque<supervisor_event> pending_;
  std::vector<std::string> changed_;  // children whose waiting answers may be due
  std::vector<std::string> forgotten_;
  bool performing_ = false;
  caf::error stop_reason_;
};

/// A child says that it is ready for service.
void report_ready(const child_ticket& ticket);

/// Kind and text of an exit reason, as `supervisor` reads it.
exit_kind exit_kind_of(const caf::error& reason);
std::string exit_text_of(const caf::actor_system& system, const caf::error& reason);

}  // namespace bulkhead
