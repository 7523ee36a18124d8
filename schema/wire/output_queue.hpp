// SPDX-License-Identifier: Apache-2.0
//
// The way out: small frames are copied together and leave in one write, big ones go straight from
// the message to the socket, and what the socket does not take at once waits here, counted.
//
// When to write. Cap'n Proto answers one frame with several, a few turns of the event loop apart,
// so a batch is over when nothing was added for `quiet_turns` rounds of the loop, and for
// `busy_quiet_turns` once it has `busy_frames` frames, which says that many calls are under way;
// `turns_max` rounds or `batch_bytes` bytes end it in any case. A round costs 0.1 us when the loop
// is idle, so a lone call is not held up. Measured behind a proxy, one core: 4 rounds for all take
// 50 us for a lone call and carry 64,000 calls/s with 64 outstanding; 8 for all, 52 us and 84,000;
// 4 and 8, 50 us and 75,000; 2 and 8, 50 us and 64,000. (kj::evalLast would be exact, but never
// runs while anything keeps re-arming itself.)
//
// Holding back. A lone Finish or Release wakes the peer for nothing. With `hold_back_us` and a
// timer it does not start a batch, but rides with the next frame, or leaves alone after that time.
// Off by default, because the bench says: behind a proxy it takes 5 % off a lone call when the time
// is longer than the kernel's tick (4 ms at 250 Hz), and doubles its time when it is shorter,
// because then every wait for I/O programs a hardware timer, which in a virtual machine leaves the
// guest. And what is held back is the end of somebody's object.
//
// Nothing here ever waits for the peer: a frame that was added is this queue's. So its size is all
// that a slow peer costs, and the limit `queue_bytes` on it is exact. What waits is written in
// pieces of at most sixteen chunks; one that the socket has not taken whole after `write_ms`, or
// twice that at most, is a failure too: a peer that reads a byte at a time gains nothing by it.
//
// One thread. The first failure is told once, and everything after it is dropped.
#pragma once

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/io.h>
#include <kj/timer.h>

#include <deque>
#include <vector>

#include "schema/wire/rpc_frame.hpp"
#include "schema/wire/stream_meter.hpp"
#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

class output_queue final : private kj::TaskSet::ErrorHandler {
 public:
  static constexpr unsigned quiet_turns = 4;
  static constexpr unsigned busy_quiet_turns = 8;
  static constexpr std::size_t busy_frames = 3;
  static constexpr unsigned turns_max = 256;
  static constexpr std::size_t batch_bytes = 64 * 1024;
  static constexpr std::size_t copy_bytes_max = 4096;  ///< bigger frames are not copied
  static constexpr std::size_t held_bytes_max = 2048;  ///< more Finishes than this do not wait

  /// `socket`: a descriptor to write to without waiting, or none (pipes, TLS). It is the one
  /// behind `stream`. `failed` is called at most once, never from inside `add`'s caller's frame
  /// of the same message twice, and may not destroy the queue.
  output_queue(kj::AsyncIoStream& stream, kj::Maybe<kj::AsyncCapabilityStream&> fd_stream,
               kj::Maybe<int> socket, kj::Maybe<kj::Timer&> timer, const stream_limits& limits,
               stream_meter& meter, kj::Function<void(kj::Exception)> failed);
  KJ_DISALLOW_COPY(output_queue);

  /// Takes one frame. The segments and descriptors are not needed after the call.
  void add(kj::ArrayPtr<const int> fds, frame_segments segments);

  /// Writes what is there, as far as the socket takes it.
  void flush();

  /// Writes what is there, and then closes the way out. Does not wait.
  void end();

  /// Nothing when fewer than `bytes` wait or nothing is written any more; else what is done when
  /// that is so.
  kj::Maybe<kj::Promise<void>> obstacle(std::size_t bytes);

  /// Forgets what is there; later frames are dropped. Not to be called from `failed`.
  void drop();

 private:
  struct waiter {
    std::size_t bytes;
    kj::Own<kj::PromiseFulfiller<void>> told;
  };
  struct chunk {
    std::vector<kj::byte> bytes;
    kj::Array<kj::AutoCloseFd> fds;
  };
  using pieces = kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>;

  void add_small(frame_segments segments, kj::ArrayPtr<const kj::byte> table);
  void add_big(kj::ArrayPtr<const int> fds, frame_segments segments,
               kj::ArrayPtr<const kj::byte> table);
  void schedule(bool lazy);
  void wait_for_quiet(std::size_t seen, unsigned quiet, unsigned turns);
  std::size_t send_now(pieces data, kj::ArrayPtr<const int> fds);
  void keep(pieces data, std::size_t sent, kj::ArrayPtr<const int> fds);
  void keep_pending();
  void clear_pending();
  void count_queued();
  void tell_waiters();
  void start_drain();
  void watch_writes();
  kj::Promise<void> drain();
  void finish_end();
  void fail(kj::Exception&& reason);
  void taskFailed(kj::Exception&& reason) override;

  kj::AsyncIoStream& stream_;
  kj::Maybe<kj::AsyncCapabilityStream&> fd_stream_;
  kj::Maybe<int> socket_;
  kj::Maybe<kj::Timer&> timer_;
  const stream_limits& limits_;
  stream_meter& meter_;
  kj::Function<void(kj::Exception)> failed_;
  std::vector<kj::byte> pending_;  // small frames of this batch
  std::size_t pending_frames_ = 0;
  std::deque<chunk> backlog_;  // what the socket did not take, oldest first
  std::size_t backlog_bytes_ = 0;
  std::vector<waiter> waiters_;  // for fewer bytes
  bool scheduled_ = false;
  bool timer_armed_ = false;
  bool draining_ = false;
  bool writes_watched_ = false;
  bool ending_ = false;
  bool dead_ = false;
  kj::TaskSet turns_;
  kj::Promise<void> drain_ = nullptr;
};

}  // namespace bulkhead::wire
