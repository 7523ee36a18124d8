// SPDX-License-Identifier: Apache-2.0
//
// The guard at the door: is the frame that starts here one that libcapnp may see?
//
// A frame is a table (segment count less one, then one size in words per segment, four bytes
// each, padded to a word) followed by the segments. Debian's libcapnp 0.9.2 adds one to the count
// in 32 bits, so that FF FF FF FF becomes zero segments and its reader writes past a block of
// size zero (upstream advisory 2026-03-12-0). It also reserves whatever a table claims, up to the
// traversal limit. So nothing reaches it unless this function has said `frame`.
//
// The check is pure: bytes in, verdict out. It reads no byte behind the table, does no
// arithmetic that can overflow (512 sizes of 32 bits fit in 64), and never allocates.
#pragma once

#include <kj/common.h>

#include <cstdint>
#include <string>

#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

/// What is wrong with a frame.
enum class frame_fault : std::uint8_t {
  none,
  too_many_segments,  ///< more than the limit, or a count that does not fit in 32 bits
  too_big,            ///< table and segments together are above the limit
  empty,              ///< the first segment has no room for a root pointer
};

/// The verdict on the bytes at hand.
struct frame_check {
  enum class verdict : std::uint8_t { need_more, frame, fault };
  verdict result = verdict::need_more;
  frame_fault fault = frame_fault::none;
  /// `frame`: size of the whole frame in bytes. `need_more`: bytes needed for the next verdict.
  /// `fault`: the offending number (segments or bytes).
  std::uint64_t amount = 0;
};

/// Judges the frame that starts at `prefix`. Any number of bytes will do; any alignment.
frame_check check_frame(kj::ArrayPtr<const kj::byte> prefix, const stream_limits& limits);

/// Name of the fault, as in "too_many_segments".
const char* fault_name(frame_fault fault);

/// One line that names the fault, its number and the limit.
std::string describe_fault(const frame_check& check, const stream_limits& limits);

}  // namespace bulkhead::wire
