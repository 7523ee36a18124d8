// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process that is a broker, and nothing else, does for its own sake at its start. A service
// that embeds a broker has reasons of its own, and is left alone.

#include <cstdint>

namespace bulkhead {

struct protection {
  bool unreadable = true;            // no other process of its user may read or trace it; no cores
  std::uint64_t memory_bytes_max{};  // of data, by the kernel; 0: none. Beyond it the process fails
};

/// Also raises the number of descriptors that it may have to what the system allows. What does not
/// succeed is left: `bulkhead doctor` shows what holds.
void protect_this_process(const protection& how);

}  // namespace bulkhead
