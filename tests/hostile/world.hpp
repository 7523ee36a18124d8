// SPDX-License-Identifier: Apache-2.0
// What the attacks are let loose on: a directory, a victim, and descriptors and an environment that
// a careless parent would pass on. All of it belongs to the attacker's own user, so that nothing
// but confinement stands between them.
//
// As root, attacker and victim have a uid of their own that nobody else has; otherwise the
// caller's. The directory also holds a copy of the attacks that is set-uid to another uid that
// nobody has: becoming that is what a set-uid attack is to achieve.
#pragma once

#include <sys/types.h>

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

/// Small, so that attacks beyond them cost little.
bulkhead::resource_limits small_limits();

class world {
 public:
  /// `program`: the file of the attacks.
  explicit world(const std::string& program);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world();

  /// The arguments of an attack.
  std::vector<std::string> words(const std::string& attack) const;
  const std::string& program() const { return program_; }
  /// The bytes of the program, sealed; to be executed by whoever has the descriptor.
  std::shared_ptr<const bulkhead::unique_fd> image() const { return image_; }
  const std::string& directory() const { return directory_.path(); }
  /// True as root: a plain start must then give up its rights.
  bool changes_user() const { return changes_user_; }
  uid_t attacker() const { return attacker_; }
  /// Takes away what an attack that was killed may have left.
  void tidy() const;
  /// False when the victim has died, which no attack may achieve.
  bool victim_lives() const;

 private:
  void make_files(const std::string& source);
  void leave_descriptors_open();
  void start_victim();

  bool changes_user_;
  uid_t attacker_;
  bulkhead::temporary_directory directory_{"bulkhead-hostile"};
  std::string program_, set_uid_;
  std::string targets_;  // what the victim said of itself
  std::shared_ptr<const bulkhead::unique_fd> image_;
  std::vector<int> left_open_;
  pid_t victim_ = -1;
  bulkhead::unique_fd victim_input_;
};

/// In a child between fork and exec: takes on `uid` with one supplementary group, and nothing of
/// what was. Ends the process when that fails.
void become(uid_t uid);

}  // namespace hostile
