// SPDX-License-Identifier: Apache-2.0
//
// Limits of one connection.
//
// Every limit of the wire layer is here, with its unit, its default and what happens at it. The
// values bind both ways: a peer that breaks one loses its connection with a named reason, and
// this side does not send what it would not accept.
//
// Where the figures come from: a frame is read into one block of memory, so `frame_bytes_max`
// bounds what a single frame can cost; 32 MiB carries the largest view page with room. Cap'n
// Proto 0.9.2 counts a forwarded message twice against its traversal limit (once when it is
// measured, once when it is copied), hence the factor below. `stream_queue_bytes_max` is two of
// the largest frames: a peer that stops reading costs at most that.
#pragma once

#include <array>
#include <cstdint>

namespace bulkhead::wire {

/// Largest frame, segment table included, either way. A longer one is refused before it is read.
inline constexpr std::uint64_t frame_bytes_max = 32ULL << 20U;

/// Most segments in one frame. libcapnp itself stops at 511.
inline constexpr std::uint64_t segments_max = 512;

/// Most bytes that wait to be written to one peer. One more, and the connection ends.
inline constexpr std::uint64_t stream_queue_bytes_max = 64ULL << 20U;

/// Most descriptors that one frame may carry. The kernel closes the others.
inline constexpr std::uint64_t fds_per_message_max = 4;

/// Longest time that a lone Finish or Release may be told to wait for a frame to ride with. Nothing
/// is held back by default: see output_queue.hpp for what was measured.
inline constexpr std::uint64_t hold_back_us_max = 20'000;

/// Longest error text; longer ones are cut, and keep their last line.
inline constexpr std::uint64_t error_text_bytes_max = 8192;

static_assert(frame_bytes_max % 8 == 0, "frames are counted in words");
static_assert(stream_queue_bytes_max >= frame_bytes_max, "one frame must fit the queue");

/// One row of the table of limits, as an operator sees it.
struct limit_row {
  const char* name;
  std::uint64_t value;
  const char* unit;
  const char* outcome;
};

/// All of the above, in the same order.
inline constexpr std::array<limit_row, 6> limit_table{{
    {"frame_bytes_max", frame_bytes_max, "bytes",
     "the sender's call fails; a peer that sends more loses its connection"},
    {"segments_max", segments_max, "segments", "the connection is closed as a protocol violation"},
    {"stream_queue_bytes_max", stream_queue_bytes_max, "bytes",
     "the connection of the peer that does not read is closed"},
    {"fds_per_message_max", fds_per_message_max, "descriptors", "the kernel closes the others"},
    {"hold_back_us_max", hold_back_us_max, "us", "a held frame is written alone"},
    {"error_text_bytes_max", error_text_bytes_max, "bytes", "the text is cut, its last line kept"},
}};

/// What one stream enforces. The defaults are the limits above.
struct stream_limits {
  std::uint64_t frame_bytes = frame_bytes_max;
  std::uint64_t segments = segments_max;
  std::uint64_t queue_bytes = stream_queue_bytes_max;
  std::uint64_t fds_per_message = fds_per_message_max;
  std::uint64_t hold_back_us = 0;  ///< 0: hold nothing back; at most hold_back_us_max
};

}  // namespace bulkhead::wire
