// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lines for stderr, written by a thread of their own.
//
// Whoever reads a daemon's stderr may stop reading: a pager, a stuck log collector. A write to a
// full pipe waits then, and with it the thread that writes. So say() only queues, and never waits.
// What does not fit in the queue is dropped, counted, and told in one line as soon as there is room
// again.

#include <cstddef>
#include <memory>
#include <string>

namespace bulkhead {

/// Lines that wait to be written; the next one is dropped.
inline constexpr std::size_t waiting_lines_max = 1024;

class line_writer {
 public:
  /// Writes to `fd`, which stays open as long as the process does.
  explicit line_writer(int fd);
  /// Waits until everything is written, at most `flush_ms_max`: what waits behind a reader that has
  /// stopped is lost.
  ~line_writer();
  line_writer(const line_writer&) = delete;
  line_writer& operator=(const line_writer&) = delete;

  /// Queues a line; the line's end is added. Never waits. Any thread.
  void say(std::string line);

  static constexpr int flush_ms_max = 1000;

 private:
  struct queue;
  std::shared_ptr<queue> queue_;
};

}  // namespace bulkhead
