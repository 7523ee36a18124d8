// SPDX-License-Identifier: Apache-2.0
// Actors in a time and an order that come from a seed.
//
// Under CAF's test coordinator nothing runs by itself. Whichever actor has a message may be next:
// the world picks one at random and lets it handle one message. Messages to one actor keep the
// order that CAF promises, all else happens in any order. Time moves only when nobody has a
// message, from one due timeout to the next; so what happens at one instant happens in any order,
// and an observer's clock is exact.
#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <string>
#include <utility>
#include <vector>

#include "actors/clock.hpp"
#include "actors/random.hpp"
#include "tests/simulation/model.hpp"

namespace bulkhead::simulation {

class world {
 public:
  explicit world(const run_options& options);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  /// Lets go of everything that still waits. Actors must have been told to end.
  ~world();

  caf::actor_system& system() { return system_; }
  instant now() { return coordinator_.clock().now(); }
  std::chrono::nanoseconds age() { return now() - begin_; }

  // -- chance
  bool chance(double probability) { return random_.unit() < probability; }
  /// A number in [low, high].
  std::uint64_t number(std::uint64_t low, std::uint64_t high);
  /// A duration in (0, most], short ones as likely as long ones.
  std::chrono::milliseconds duration(std::chrono::milliseconds most);
  template <class T>
  const T& one_of(const std::vector<T>& choices) {
    return choices[number(0, choices.size() - 1)];
  }

  // -- running
  /// Handles up to `most` messages.
  void run_some(std::size_t most);
  /// Handles all messages, and those that they bring about.
  void run_all();
  /// Runs until `until`, handling all that is due on the way.
  void run_until(instant until);

  void trace(const std::string& line);
  bool traces() const { return static_cast<bool>(options_.trace); }

 private:
  void run_one();

  run_options options_;
  seeded_random random_;
  caf::actor_system_config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& coordinator_;
  instant begin_;
};

}  // namespace bulkhead::simulation
