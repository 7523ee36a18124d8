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
#include <string>

namespace bulkhead::wire {

/// Largest frame, segment table included, either way. A longer one is refused before it is read.
inline constexpr std::uint64_t frame_bytes_max = 32ULL << 20U;

/// Most segments in one frame. libcapnp itself stops at 511.
inline constexpr std::uint64_t segments_max = 512;

/// Most bytes that wait to be written to one peer. One more, and the connection ends. Calls to a
/// plugin take half of it at most; the next one fails as overloaded.
inline constexpr std::uint64_t stream_queue_bytes_max = 64ULL << 20U;

/// Most descriptors that one frame may carry. The kernel closes the others.
inline constexpr std::uint64_t fds_per_message_max = 4;

/// Longest time that a lone Finish or Release may be told to wait for a frame to ride with. Nothing
/// is held back by default: see output_queue.hpp for what was measured.
inline constexpr std::uint64_t hold_back_us_max = 20'000;

/// Longest error text; longer ones are cut, and keep their last line.
inline constexpr std::uint64_t error_text_bytes_max = 8192;

/// Longest time that a plugin may take to complete a frame that it has begun.
inline constexpr std::uint64_t plugin_frame_ms_max = 10'000;

/// Longest time that a write to a plugin whose socket is full may wait.
inline constexpr std::uint64_t plugin_write_ms_max = 30'000;

/// What a plugin may make the broker keep; see link_budget.hpp for what each of these counts.
inline constexpr std::uint64_t plugin_calls_open_max = 4096;
inline constexpr std::uint64_t plugin_calls_unanswered_max = 16'384;
inline constexpr std::uint64_t plugin_capabilities_max = 16'384;
inline constexpr std::uint64_t plugin_message_capabilities_max = 1024;
inline constexpr std::uint64_t plugin_capabilities_given_max = 16'384;
inline constexpr std::uint64_t plugin_pipeline_steps_max = 64;
inline constexpr std::uint64_t plugin_tail_calls_max = 64;

/// Frames other than answers that a plugin may send in a second; above, it is read more slowly.
inline constexpr std::uint64_t plugin_frames_per_s_max = 100'000;

/// Words of a plugin's calls that are open at once: 8 MiB. Above, nothing more is read from it.
inline constexpr std::uint64_t plugin_flow_words_max = 1U << 20U;

/// Descriptors are not taken from a plugin: the kernel closes them as the broker reads.
inline constexpr std::uint64_t plugin_fds_per_message_max = 0;

/// Bytes that may be read of a plugin's frame for each byte that it has, and some for nothing. An
/// honest message is a tree and is visited a few times; a hostile one names one object a thousand
/// times, and would grow a thousandfold when it is copied.
inline constexpr std::uint64_t plugin_reads_per_byte_max = 16;
inline constexpr std::uint64_t read_bytes_free = 4096;

static_assert(frame_bytes_max % 8 == 0, "frames are counted in words");
static_assert(stream_queue_bytes_max >= frame_bytes_max, "one frame must fit the queue");

/// One row of the table of limits, as an operator sees it.
struct limit_row {
  const char* name;
  std::uint64_t value;
  const char* unit;
  const char* outcome;
};

/// All of the above, in the same order. "The instance ends" as a breach of protocol that names the
/// limit and the count.
inline constexpr std::array<limit_row, 19> limit_table{{
    {"frame_bytes_max", frame_bytes_max, "bytes",
     "the sender's call fails; a peer that sends more loses its connection"},
    {"segments_max", segments_max, "segments", "the connection is closed as a protocol violation"},
    {"stream_queue_bytes_max", stream_queue_bytes_max, "bytes",
     "the connection of the peer that does not read is closed; of a plugin, a call above half of "
     "it "
     "fails as overloaded"},
    {"fds_per_message_max", fds_per_message_max, "descriptors", "the kernel closes the others"},
    {"hold_back_us_max", hold_back_us_max, "us", "a held frame is written alone"},
    {"error_text_bytes_max", error_text_bytes_max, "bytes", "the text is cut, its last line kept"},
    {"plugin_frame_ms_max", plugin_frame_ms_max, "ms", "the instance ends: a frame is unfinished"},
    {"plugin_write_ms_max", plugin_write_ms_max, "ms",
     "the instance ends: it does not read what it is sent"},
    {"plugin_calls_open_max", plugin_calls_open_max, "calls of a plugin", "the instance ends"},
    {"plugin_calls_unanswered_max", plugin_calls_unanswered_max, "calls to a plugin",
     "the next call fails as overloaded"},
    {"plugin_capabilities_max", plugin_capabilities_max, "capabilities of a plugin",
     "the instance ends"},
    {"plugin_message_capabilities_max", plugin_message_capabilities_max,
     "capabilities in a message of a plugin", "the instance ends"},
    {"plugin_capabilities_given_max", plugin_capabilities_given_max,
     "capabilities that a plugin has", "the instance ends"},
    {"plugin_pipeline_steps_max", plugin_pipeline_steps_max, "steps into an answer",
     "the instance ends"},
    {"plugin_tail_calls_max", plugin_tail_calls_max, "answers kept here for a plugin",
     "the instance ends"},
    {"plugin_frames_per_s_max", plugin_frames_per_s_max, "frames per second",
     "the plugin is read more slowly"},
    {"plugin_reads_per_byte_max", plugin_reads_per_byte_max, "bytes read per byte of a frame",
     "the call that it makes or answers fails"},
    {"plugin_flow_words_max", plugin_flow_words_max, "words of a plugin's open calls",
     "nothing more is read from the plugin until some are answered"},
    {"plugin_fds_per_message_max", plugin_fds_per_message_max, "descriptors",
     "the kernel closes them"},
}};

/// A limit that was passed, and by how much.
struct limit_breach {
  std::string limit;  ///< its name in the table
  std::string unit;   ///< of the counts: "calls"
  std::uint64_t count = 0;
  std::uint64_t allowed = 0;
};

/// What one stream enforces. The defaults are the limits above.
struct stream_limits {
  std::uint64_t frame_bytes = frame_bytes_max;
  std::uint64_t segments = segments_max;
  std::uint64_t queue_bytes = stream_queue_bytes_max;
  std::uint64_t fds_per_message = fds_per_message_max;
  std::uint64_t hold_back_us = 0;    ///< 0: hold nothing back; at most hold_back_us_max
  std::uint64_t frame_ms = 0;        ///< to complete a frame that has begun; 0: any time
  std::uint64_t reads_per_byte = 0;  ///< of a frame that came; 0: as the reader's options say
  std::uint64_t write_ms = 0;        ///< for what a full socket does not take; 0: any time
};

/// Those of the broker's end of a plugin's link.
constexpr stream_limits plugin_stream_limits() {
  stream_limits limits;
  limits.fds_per_message = plugin_fds_per_message_max;
  limits.reads_per_byte = plugin_reads_per_byte_max;
  limits.frame_ms = plugin_frame_ms_max;
  limits.write_ms = plugin_write_ms_max;
  return limits;
}

/// What a link_budget enforces. The defaults are the limits above.
struct budget_limits {
  std::uint64_t calls_open = plugin_calls_open_max;
  std::uint64_t calls_unanswered = plugin_calls_unanswered_max;
  std::uint64_t capabilities_held = plugin_capabilities_max;
  std::uint64_t message_capabilities = plugin_message_capabilities_max;
  std::uint64_t capabilities_given = plugin_capabilities_given_max;
  std::uint64_t pipeline_steps = plugin_pipeline_steps_max;
  std::uint64_t tail_calls = plugin_tail_calls_max;
  std::uint64_t frames_per_s = plugin_frames_per_s_max;  ///< 0: any number
};

}  // namespace bulkhead::wire
