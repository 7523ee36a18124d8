// SPDX-License-Identifier: Apache-2.0
#pragma once

// The load on kv/: of five calls one writes and four read. Each write goes to a secret of its own,
// so that afterwards every write that was acknowledged can be looked for; one whose call failed may
// or may not have taken effect, and is not counted either way.

#include <cstdint>
#include <set>
#include <string>

#include "broker/client/client.hpp"
#include "tools/demo/lane.hpp"

namespace bulkhead::demo {

class kv_load {
 public:
  /// `path` is that of the mount. `broker` must outlive this object, and this object the lane.
  kv_load(remote::client& broker, std::string path);

  /// The call of the lane.
  lane::call caller();
  /// A call that only reads what was written last.
  lane::call reader();

  std::uint64_t acknowledged() const { return acknowledged_.size(); }
  /// Reads back every acknowledged write; the number of those that are not there or hold something
  /// else.
  kj::Promise<std::uint64_t> missing();

 private:
  kj::Promise<void> write(std::uint64_t number);
  kj::Promise<void> read_newest();
  /// Whether the secret of that write holds its number.
  kj::Promise<bool> holds(std::uint64_t number);

  schema::Backend::Client backend_;
  std::set<std::uint64_t> acknowledged_;
};

}  // namespace bulkhead::demo
