// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lock of a state: who holds it may use the file, or put another one in its place.
//
// It is `<file>.lock`, held by flock for as long as the object lives, and names the process that
// holds it. The directory is made if need be (0700) and refused when others may write to it.

#include <string>

namespace bulkhead {

class state_lock {
 public:
  /// Throws `store_error`: `locked`, `exposed`, `read_only`, `disk_full`, `io_error`.
  explicit state_lock(const std::string& file);
  state_lock(const state_lock&) = delete;
  state_lock& operator=(const state_lock&) = delete;
  ~state_lock();

 private:
  int fd_ = -1;
};

}  // namespace bulkhead
