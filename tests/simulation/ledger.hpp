// SPDX-License-Identifier: Apache-2.0
// The second account of what supervisors do: facts from the children's side, claims from the
// supervisors' side, and what must hold between them.
//
// A fact is what a simulated child saw itself: it was made, said that it is ready, was killed,
// ended. A claim is what a supervisor reports to its observer. The ledger knows none of the
// product's code: it has OTP's table of restart types, a list of counted restarts per window, and
// the words by which a report says why. Its methods throw `violation`:
//
// - at most one live instance of a child; generations of a child only grow;
// - "ready" is claimed of an instance that said so, an end of one that has ended;
// - a child is restarted only after an end that its restart type calls for;
// - a group is down before it comes up;
// - every restart is within the window, and who gives up has spent it (both ways, exactly), or the
//   failure was permanent; not so for windows of single children once children may be forgotten;
// - who is told to stop, or does not become ready, is killed at its limit;
// - a child is not ready any more when its instance has ended;
// - nobody outlives his supervisor, unless the kernel holds him.
//
// A supervisor that is made anew after its end is another one: an `incarnation`.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "actors/supervisor_core.hpp"

namespace bulkhead::simulation {

using incarnation = std::uint64_t;
using instance_key = std::uint64_t;

class ledger {
 public:
  struct instance {
    incarnation owner = 0;
    std::string id;
    std::uint64_t generation = 0;
    child_spec spec;
    instant born{};
    bool alive = true;
    bool ready = false;
    bool killed = false;
    bool is_held = false;  // it does not end when it is killed
    bool permanent = false;
    exit_kind ended = exit_kind::normal;
  };

  // -- facts
  incarnation supervisor_made(std::string path, const supervisor_policy& policy);
  void supervisor_ended(incarnation which);
  instance_key born(incarnation owner, const child_spec& spec, std::uint64_t generation,
                    instant now);
  void said_ready(instance_key which) { instances_.at(which).ready = true; }
  void was_killed(instance_key which, bool is_held);
  void ended(instance_key which, exit_kind kind, bool permanent);
  /// There was no instance.
  void not_made(incarnation owner, const std::string& id, bool permanent);

  /// Somebody has asked this supervisor to forget children. It does not report when it does, so
  /// that from now on a child may be a new one, with a window of its own that is new too.
  void may_forget(incarnation which) { supervisors_.at(which).forgets = true; }

  // -- claims
  void reported(incarnation by, const action::report& claim, instant now);
  /// Every message has been handled, and all timers up to now.
  void check_at_rest(instant now) const;

  /// Its newest instance ended in a way that its restart type does not put up with.
  bool is_owed_restart(incarnation owner, const std::string& id) const;
  const instance& at(instance_key which) const { return instances_.at(which); }
  bool is_alive(incarnation which) const { return supervisors_.at(which).alive; }
  /// Ids that this supervisor has had, known or forgotten.
  std::vector<std::string> ids_of(incarnation which) const;
  const std::string& path_of(incarnation which) const { return supervisors_.at(which).path; }
  const std::set<instance_key>& living() const { return living_; }

 private:
  struct child {
    std::uint64_t highest = 0;  // generation
    instance_key newest = 0;    // 0: none
    child_state state = child_state::stopped;
    std::string reason{};
    instant since{};
    bool permanent_failure = false;
  };
  struct supervisor_entry {
    std::string path;
    supervisor_policy policy;
    bool alive = true;
    bool forgets = false;
    std::map<std::string, child> children{};
    std::map<std::string, std::deque<instant>> restarts{};  // by window
  };

  void check_transition(const supervisor_entry& owner, const child& c,
                        const action::report& claim) const;
  void check_giving_up(supervisor_entry& owner, const child& c, const action::report& claim,
                       instant now);
  static void count_restart(supervisor_entry& owner, const action::report& claim, instant now);
  static bool has_exact_windows(const supervisor_entry& owner);
  static std::size_t in_window(std::deque<instant>& restarts, const supervisor_policy& policy,
                               instant now);
  static std::string window_of(const supervisor_entry& owner, const std::string& id);

  std::map<incarnation, supervisor_entry> supervisors_;
  std::map<instance_key, instance> instances_;
  std::set<instance_key> living_;
  incarnation last_incarnation_ = 0;
  instance_key last_instance_ = 0;
};

/// A reason by which a supervisor says that it gives up on a child, in its own name and not in that
/// of a supervisor below it.
enum class giving_up : std::uint8_t { no, window_spent, permanent };
giving_up giving_up_of(const std::string& reason);

}  // namespace bulkhead::simulation
