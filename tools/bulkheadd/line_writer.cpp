// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkheadd/line_writer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace bulkhead {
namespace {

void write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const auto wrote = ::write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno != EINTR) return;  // nobody will ever read it
    if (wrote > 0) done += static_cast<std::size_t>(wrote);
  }
}

}  // namespace

/// Shared by the writer and its thread, which may be stuck in a write when the writer goes.
struct line_writer::queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> lines;
  std::size_t dropped = 0;
  bool writing = false;
  bool closing = false;

  bool idle() const { return lines.empty() && dropped == 0 && !writing; }

  /// Waits for something to write; empty at the end.
  std::string next() {
    std::unique_lock lock(mutex);
    writing = false;
    changed.notify_all();
    changed.wait(lock, [this] { return closing || !lines.empty() || dropped > 0; });
    std::string text;
    if (!lines.empty()) {
      text = std::move(lines.front());
      lines.pop_front();
    } else if (dropped > 0) {
      text = fmt::format("{} line{} dropped: nobody read what is written here", dropped,
                         dropped == 1 ? " was" : "s were");
      dropped = 0;
    } else {
      return {};
    }
    writing = true;
    return text + "\n";
  }
};

line_writer::line_writer(int fd) : queue_(std::make_shared<queue>()) {
  std::thread([fd, queue = queue_] {
    for (auto text = queue->next(); !text.empty(); text = queue->next()) write_all(fd, text);
  }).detach();
}

line_writer::~line_writer() {
  std::unique_lock lock(queue_->mutex);
  queue_->changed.wait_for(lock, std::chrono::milliseconds(flush_ms_max),
                           [this] { return queue_->idle(); });
  queue_->closing = true;
  queue_->changed.notify_all();
}

void line_writer::say(std::string line) {
  const std::lock_guard guard(queue_->mutex);
  // Behind a line that was dropped nothing is queued until that has been told: no silent gap.
  if (queue_->dropped > 0 || queue_->lines.size() >= waiting_lines_max)
    ++queue_->dropped;
  else
    queue_->lines.push_back(std::move(line));
  queue_->changed.notify_all();
}

}  // namespace bulkhead
