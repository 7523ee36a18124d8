// SPDX-License-Identifier: Apache-2.0
//
// Bytes that were read and not yet taken as frames, and the descriptors that came with them.
//
// Memory. A read must have its buffer while it waits, so every idle connection pays for one. It
// is `idle_bytes` (1 KiB: five small calls) until a read fills it, then `busy_bytes` (32 KiB)
// until a read leaves it nearly empty. Bursts end in small frames, so idle connections are small.
//
// Descriptors. The kernel hands over the descriptors of a write with the first byte of that
// write, and ends the read behind that write's data. Cap'n Proto writes a frame with descriptors
// on its own. So descriptors that come with a read belong to the last frame that starts in it:
// the first frame taken whose end is at or behind the end of that read.
#pragma once

#include <kj/array.h>
#include <kj/io.h>

#include <cstdint>
#include <deque>

namespace bulkhead::wire {

class input_buffer {
 public:
  static constexpr std::size_t idle_bytes = 1024;
  static constexpr std::size_t busy_bytes = 32 * 1024;

  explicit input_buffer(std::size_t fds_per_read);

  /// What is there, oldest first. Valid until the next call of `room`.
  kj::ArrayPtr<const kj::byte> bytes() const;

  /// Space for the next read, at least one byte. Moves what is there to the front.
  kj::ArrayPtr<kj::byte> room();

  /// Space for the descriptors of the next read; empty when none are to be taken.
  kj::ArrayPtr<kj::AutoCloseFd> fd_room() { return fd_room_; }

  /// A read into `room()` brought so many bytes and descriptors.
  void filled(std::size_t bytes, std::size_t fds);

  /// Takes `to.size()` bytes. What is not here yet the caller reads by himself: see `passed`.
  void take(kj::ArrayPtr<kj::byte> to);

  /// So many bytes went past this buffer, straight into a frame.
  void passed(std::size_t bytes) { taken_ += bytes; }

  /// The descriptors of the frame that ends where taking has got to.
  kj::Array<kj::AutoCloseFd> take_fds();

 private:
  struct fd_batch {
    std::uint64_t read_end;  // position in the stream
    kj::Array<kj::AutoCloseFd> fds;
  };

  kj::Array<kj::byte> store_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t taken_ = 0;  // position in the stream of begin_
  bool grow_ = false;
  kj::Array<kj::AutoCloseFd> fd_room_;
  std::deque<fd_batch> batches_;
};

}  // namespace bulkhead::wire
