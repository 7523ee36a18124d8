// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who keeps the mounts' actors alive: the supervisor "mounts", as the broker's core sees it.

#include <kj/async.h>

#include <functional>
#include <string>

#include "actors/protocols.hpp"

namespace bulkhead {

class mounts_parent {
 public:
  mounts_parent() = default;
  mounts_parent(const mounts_parent&) = delete;
  mounts_parent& operator=(const mounts_parent&) = delete;
  virtual ~mounts_parent() noexcept(false) = default;

  /// Adds a child. `make` is called for each start of it, on the reactor. Resolves when it has been
  /// called for the first time.
  virtual kj::Promise<void> add(std::string id, std::function<caf::actor()> make) = 0;

  /// Ends a child's actor, if it lives, and forgets the child.
  virtual kj::Promise<void> remove(std::string id) = 0;
};

}  // namespace bulkhead
