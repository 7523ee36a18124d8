// SPDX-License-Identifier: Apache-2.0
// What the attacks are let loose on: a directory, a victim, and descriptors and an environment that
// a careless parent would pass on. All of it belongs to the attacker's own user, so that nothing
// but confinement stands between them.
//
// As root, attacker and victim have a uid of their own that nobody else has; otherwise the
// caller's. The directory also holds a copy of the attacks that is set-uid to another uid that
// nobody has: becoming that is what a set-uid attack is to achieve.
//
// A world may be open to everybody, so that what an operator grants of it is of use to a plugin
// with a uid of its own. There every file of it says yes, and what stops an attack is confinement.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/confinement/confinement.hpp"
#include "actors/unique_fd.hpp"
#include "tools/temporary_directory.hpp"

namespace hostile {

/// Uids that no system of ours gives to anybody, and outside of what the launcher gives away.
inline constexpr uid_t attacker_uid = 61'234;
inline constexpr uid_t other_uid = 61'235;
inline constexpr gid_t extra_group = 61'236;

/// How the attacks are linked and started: as a static program; with the C library, as most
/// programs are; or the latter as the interpreter that a script names.
enum class shape { alone, linked, script };

/// What a start takes: where the program lies, and its bytes, sealed, for whoever has the
/// descriptor to execute.
struct launchable {
  std::string path;
  std::shared_ptr<const bulkhead::unique_fd> image;
};

/// The attacks as files of the build.
struct attack_files {
  std::string alone, linked;
};

enum class openness { own_user, everybody };

/// Small, so that attacks beyond them cost little.
bulkhead::resource_limits small_limits();

class world {
 public:
  world(const attack_files& from, openness to);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world();

  /// The arguments of an attack.
  std::vector<std::string> words(const std::string& attack, shape as = shape::alone) const;
  const launchable& program(shape as = shape::alone) const;
  const std::string& directory() const { return directory_.path(); }
  /// True as root: a plain start must then give up its rights.
  bool changes_user() const { return changes_user_; }
  uid_t attacker() const { return attacker_; }
  /// Takes away what an attack that was killed may have left.
  void tidy() const;
  /// False when the victim has died, which no attack may achieve.
  bool victim_lives() const;

 private:
  void make_files(const attack_files& from);
  void make_ways_out();
  void give_away();
  mode_t canary_mode() const;
  void leave_descriptors_open();
  void start_victim();

  bool changes_user_;
  uid_t attacker_;
  openness to_;
  bulkhead::temporary_directory directory_{"bulkhead-hostile"};
  std::map<shape, launchable> programs_;
  std::string set_uid_, node_;
  std::string targets_;  // what the victim said of itself
  std::vector<int> left_open_;
  pid_t victim_ = -1;
  bulkhead::unique_fd victim_input_;
};

/// In a child between fork and exec: takes on `uid` with one supplementary group, and nothing of
/// what was. Ends the process when that fails.
void become(uid_t uid);

}  // namespace hostile
