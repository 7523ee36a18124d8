// SPDX-License-Identifier: Apache-2.0
//
// What one stream has carried, counted where it passes. Plain numbers: they belong to the thread
// of the stream's event loop, start at zero with the connection and never go back, except
// `bytes_queued`, which is a level.
#pragma once

#include <cstdint>

namespace bulkhead::wire {

struct stream_meter {
  std::uint64_t frames_in = 0;
  std::uint64_t frames_out = 0;  ///< handed to the stream, written or not
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;  ///< taken by the socket
  std::uint64_t fds_in = 0;
  std::uint64_t fds_out = 0;
  std::uint64_t reads = 0;                ///< reads that brought bytes
  std::uint64_t writes = 0;               ///< writes that the socket took bytes from
  std::uint64_t bytes_queued = 0;         ///< waiting to be written, now
  std::uint64_t bytes_queued_peak = 0;    ///< the most that ever waited
  std::uint64_t frame_bytes_largest = 0;  ///< either way
};

}  // namespace bulkhead::wire
