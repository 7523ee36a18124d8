// SPDX-License-Identifier: Apache-2.0
// What the filters are to answer, written down a second time: by what a plugin may do, not by how a
// filter is made. The walk of filter_test holds the built filters against it, call by call, so a
// line that is lost or added on either side shows.
#pragma once

#include <array>
#include <cstdint>

namespace hostile {

enum class filter_kind {
  static_program,
  static_reading,  // with grants of directories
  static_writing,
  dynamic_program,
  dynamic_writing,
  interpreter,
  init,
};

struct known_call {
  std::int64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

/// The numbers that a start fills in.
struct filled_in {
  std::uint64_t once = 0;  // what the sixth argument of the one execveat is
  std::uint32_t self = 0;  // the process
};

/// The answer to a 64-bit call with a number that existed when the filter was built.
std::uint32_t wanted_answer(filter_kind kind, const known_call& call, const filled_in& filled);

}  // namespace hostile
