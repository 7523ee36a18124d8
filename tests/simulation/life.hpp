// SPDX-License-Identifier: Apache-2.0
// One life of a tree of supervisors: a root, supervisors below it, and simulated processes, under
// faults, operators, and bugs if some are planted.
//
// The seed decides the tree (strategies, restart types, limits, windows, backoff), which classes of
// faults there are at all (swarm: a life without operators shows other things than one with), what
// each process does, and when who acts. Two phases: first anything may happen, and nothing wrong
// may; then the faults end, and after a while everything that can run must. At last the whole tree
// is stopped, and nobody may be left.
//
// Limits: an actor cannot hang in a handler here, because the coordinator has one thread; and a
// reconfiguration keeps the rules of the children, so that the ledger knows by which it judges.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/supervisor.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/world.hpp"

namespace bulkhead::simulation {

enum class fault : std::uint8_t {
  crash,              // a process ends by itself, badly
  storm,              // again and again, soon after its start
  normal_end,         // a process ends by itself, well
  kill,               // somebody kills a process
  kill_supervisor,    // somebody kills a supervisor below the root
  stop_supervisor,    // somebody asks one to end
  dies_before_ready,  //
  slow_start,         //
  never_ready,        //
  fails_to_start,     // there is no process
  permanent_failure,  // and there never will be
  nothing_to_do,      // there is to be none
  slow_stop,          //
  deaf_to_stop,       //
  held_by_kernel,     // a kill has no effect for a while
  late_word,          // a word of an instance arrives when that is gone
  operators,          // requests of all kinds at any moment
  reconfiguration,    //
  early_end,          // the tree is stopped in the middle of it all
};
inline constexpr std::size_t fault_count = 19;

/// What a supervised place of the tree is made from.
struct place {
  std::string path;
  child_spec rules;
  bool ready_when_made = true;
  // of a supervisor
  bool is_supervisor = false;
  supervisor_policy policy;
  std::chrono::milliseconds stop_max{0};
  std::vector<place> below;
};

/// What a process will do.
struct fate {
  std::optional<std::chrono::milliseconds> ready_after;  // none: never says so
  std::optional<std::chrono::milliseconds> ends_after;   // none: lives on
  exit_kind ends_how = exit_kind::abnormal;
  bool fails_for_good = false;
  std::optional<std::chrono::milliseconds> stops_after{0};  // asked; none: never
  std::chrono::milliseconds held_for{0};                    // killed
};

class life {
 public:
  life(const run_options& options, rare_states& rare);
  life(const life&) = delete;
  life& operator=(const life&) = delete;
  ~life();

  /// The whole of it. Throws `violation`.
  std::chrono::nanoseconds live();

  // -- for the actors of the simulation
  void process_ready(instance_key which);
  void process_killed(instance_key which, bool is_held);
  bool is_healed() const { return healed_; }
  bool is_over() const { return over_; }
  world& outside() { return *world_; }
  bool has_plant(const char* name) const { return options_.plant == name; }
  std::uint64_t generation_of(const std::string& id) const;

 private:
  struct request {
    std::string what;
    std::size_t answers = 0;
  };

  // tree (life_tree.cpp)
  void draw_faults();
  void draw_tree();
  place draw_supervisor(const std::string& path, const std::string& id, int depth);
  place draw_worker(const std::string& path, const std::string& id, bool may_be_significant);
  supervisor_policy draw_policy();
  fate draw_fate(const place& where);
  supervisor_options options_of(const place& where, incarnation which);
  actor_child_spec spec_of(const place& where, incarnation owner);
  child_made make_worker(const place& where, incarnation owner, const child_ticket& ticket);
  child_made make_supervisor(const place& where, incarnation owner, const child_ticket& ticket);
  supervisor_actor spawn_supervisor(supervisor_options options);
  std::optional<child_made> draw_failed_start(incarnation owner, const std::string& id);
  void speak_late(const ledger::instance& gone);
  void note_end(instance_key which, const caf::error& reason);
  void on_report(incarnation by, const action::report& claim);
  void count_states(incarnation by, const action::report& claim);
  void on_finish(incarnation by, const action::finish& claim);

  // phases and deeds (life_deeds.cpp)
  void start_root();
  void safety_phase();
  void liveness_phase();
  void end_phase();
  void do_something();
  void hurt_process();
  void hurt_supervisor();
  void operate();
  void reconfigure(incarnation whom);
  template <class Answer, class Message>
  std::shared_ptr<std::optional<Answer>> ask(incarnation whom, Message message, std::string what);
  void note_reply(std::size_t number, const supervisor_reply& reply);
  void require_up(incarnation which);
  void advance(std::chrono::nanoseconds time);
  void fail_if_broken() const;
  template <class Deed>
  void guarded(Deed deed);

  bool has(fault kind) const { return faults_.at(static_cast<std::size_t>(kind)); }
  std::optional<instance_key> any_process();
  std::optional<incarnation> any_supervisor(bool below_root);

  run_options options_;
  rare_states& rare_;
  ledger book_;
  std::array<bool, fault_count> faults_{};
  place root_;
  incarnation root_incarnation_ = 0;
  std::map<incarnation, const place*> place_of_;
  std::map<incarnation, caf::strong_actor_ptr> supervisors_;
  std::map<incarnation, bool> touched_;  // an operator has said what is to run
  std::map<incarnation, bool> stopping_;
  std::map<instance_key, caf::actor> processes_;
  std::vector<request> requests_;
  std::string broken_;  // the first violation; they cannot be thrown through actors
  int extras_ = 0;
  instant first_end_{};
  std::string first_ended_;
  bool healed_ = false;
  bool over_ = false;
  std::unique_ptr<world> world_;  // dies first: its actors speak to the rest
};

template <class Deed>
void life::guarded(Deed deed) {
  try {
    deed();
  } catch (const violation& found) {
    if (broken_.empty()) broken_ = found.what();
  }
}

}  // namespace bulkhead::simulation
