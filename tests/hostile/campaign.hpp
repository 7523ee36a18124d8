// SPDX-License-Identifier: Apache-2.0
// All attacks against one configuration, and the table of what got through where.
//
// A configuration is a profile less some walls: taking one away shows what it is good for, and that
// an attack fails for more than one reason. Walls that this machine or this user cannot have are
// found out by a start, waived by name, and printed; what they alone would have stopped is then
// excused, and nothing else. A configuration may also link the attacks to libraries, or have a
// script start them, or grant what they aim at: then another filter stands before them, and more
// files are in their root.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/confinement/launched_spawner.hpp"
#include "tests/hostile/start.hpp"

namespace hostile {

using bulkhead::grant_kind;
using bulkhead::wall;
using bulkhead::wall_set;

/// A set of walls from a list.
wall_set walls(std::initializer_list<wall> list);
/// "landlock, seccomp"; "nothing" for none.
std::string names_of(const wall_set& set);

struct configuration {
  std::string name;
  bulkhead::profile of = bulkhead::profile::strict;
  wall_set without{};
  bool with_slow = true;    // also what takes more than a second where nothing stops it
  shape as = shape::alone;  // other shapes, and grants, are tried in the world open to everybody
  std::set<grant_kind> grants{};  // the directory of the world; /dev/zero
  wall_set waived{};              // may be missing
  std::set<std::string> only{};   // the names of the attacks; none: all of them
};

/// What came of each attack, by its name.
using results = std::map<std::string, judgement>;

/// Those that got through, in the order of the table, with a blank between.
std::string got_through(const results& of);

/// What this user can have of `strict`.
bulkhead::profile best_profile();

/// Unconfined; done once.
const results& control();
/// Likewise, but for the slow ones, as a configuration of this shape would be started.
results control_of(shape as);

/// A launcher of its own, ready to start what a configuration says.
class arena {
 public:
  explicit arena(const configuration& how);

  observation start(const std::vector<std::string>& words);
  world& where() const { return where_; }
  wall_set missing;     // required, asked for, and not to be had here: waived
  wall_set unexcused;   // of those: see must_work
  std::string refusal;  // not empty: nothing can be started, and why
  std::string report;   // a line for each wall that does not stand

 private:
  world& where_;
  shape as_;
  bulkhead::launched_spawner launcher_;
  bulkhead::confinement asked_;
};

struct campaign {
  results found;
  wall_set missing;  // these four as the arena's
  wall_set unexcused;
  std::string refusal;
  std::string report;
};

/// Starts every attack. A wall that is missing is waived, so that the rest can be seen.
campaign run(const configuration& how);

/// The world of this process, made when it is first asked for.
world& the_world();
/// Likewise, open to everybody.
world& granted_world();
/// What is beside this program: `hostile` and its like.
std::string beside(const std::string& name);

/// The attack of that name; throws when there is none.
const attack& attack_named(const std::string& name);

/// True when a wall that cannot be had is a failure: BULKHEAD_SANDBOX_MUST_WORK=1.
bool must_work();
/// Those of `missing` that fail it. Excused is what the report of a start says that the kernel is
/// without; not what a policy, or a right that is lacking, keeps from a user to whom the profile
/// promises it.
wall_set without_excuse(const wall_set& missing, const bulkhead::confinement_report& report);

}  // namespace hostile
