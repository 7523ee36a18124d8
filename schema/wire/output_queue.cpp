// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/output_queue.hpp"

#include <fcntl.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "schema/wire/wire_fault.hpp"

namespace bulkhead::wire {

namespace {

constexpr std::size_t keep_capacity_bytes = 4096;
constexpr std::size_t gather_chunks_max = 16;

// Count less one, sizes in words, padded to a whole word. On the stack: this runs for every frame.
using table_space = std::array<std::uint32_t, segments_max + 2>;

kj::ArrayPtr<const kj::byte> fill_table(table_space& table, frame_segments segments) {
  const std::size_t entries = (segments.size() / 2 + 1) * 2;
  table[entries - 1] = 0;
  table[0] = static_cast<std::uint32_t>(segments.size() - 1);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    table[i + 1] = static_cast<std::uint32_t>(segments[i].size());
  }
  return kj::arrayPtr(table.data(), entries).asBytes();
}

std::size_t total_bytes(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> data) {
  std::size_t sum = 0;
  for (auto piece : data) sum += piece.size();
  return sum;
}

void append(std::vector<kj::byte>& to, kj::ArrayPtr<const kj::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

output_queue::output_queue(kj::AsyncIoStream& stream,
                           kj::Maybe<kj::AsyncCapabilityStream&> fd_stream, kj::Maybe<int> socket,
                           kj::Maybe<kj::Timer&> timer, const stream_limits& limits,
                           stream_meter& meter, kj::Function<void(kj::Exception)> failed)
    : stream_(stream),
      fd_stream_(fd_stream),
      socket_(socket),
      timer_(timer),
      limits_(limits),
      meter_(meter),
      failed_(kj::mv(failed)),
      turns_(*this) {}

void output_queue::add(kj::ArrayPtr<const int> fds, frame_segments segments) {
  if (dead_) return;
  KJ_REQUIRE(segments.size() > 0 && segments.size() <= segments_max, segments.size(),
             "a message of so many segments cannot be sent");
  KJ_REQUIRE(fds.size() == 0 || fd_stream_ != nullptr, "this stream cannot pass descriptors");
  table_space table;
  const auto table_bytes = fill_table(table, segments);
  std::size_t bytes = table_bytes.size();
  for (auto segment : segments) bytes += segment.asBytes().size();
  ++meter_.frames_out;
  meter_.fds_out += fds.size();
  meter_.frame_bytes_largest = std::max<std::uint64_t>(meter_.frame_bytes_largest, bytes);
  if (bytes > limits_.frame_bytes) {
    fail(frame_fault_of({frame_check::verdict::fault, frame_fault::too_big, bytes}, limits_));
    return;
  }
  if (meter_.bytes_queued + bytes > limits_.queue_bytes) {
    fail(queue_fault(meter_.bytes_queued + bytes, limits_.queue_bytes));
    return;
  }
  if (fds.size() == 0 && bytes <= copy_bytes_max) {
    add_small(segments, table_bytes);
  } else {
    add_big(fds, segments, table_bytes);
  }
}

void output_queue::add_small(frame_segments segments, kj::ArrayPtr<const kj::byte> table) {
  ++pending_frames_;
  append(pending_, table);
  for (auto segment : segments) append(pending_, segment.asBytes());
  count_queued();
  if (pending_.size() >= batch_bytes) {
    flush();
  } else if (!scheduled_) {
    schedule(may_wait(segments) && pending_.size() <= held_bytes_max);
  }
}

void output_queue::add_big(kj::ArrayPtr<const int> fds, frame_segments segments,
                           kj::ArrayPtr<const kj::byte> table) {
  // Descriptors must come with the first byte of their own write: see input_buffer.
  if (fds.size() > 0) flush();
  if (dead_) return;
  if (draining_) keep_pending();
  auto data = kj::heapArrayBuilder<kj::ArrayPtr<const kj::byte>>(segments.size() + 2);
  data.add(pending_.data(), pending_.size());
  data.add(table);
  for (auto segment : segments) data.add(segment.asBytes());
  const auto all = data.finish();
  const std::size_t sent = draining_ ? 0 : send_now(all, fds);
  if (dead_) return;
  if (sent < total_bytes(all)) keep(all, sent, fds);
  clear_pending();
  count_queued();
}

void output_queue::schedule(bool lazy) {
  if (draining_) return;  // the end of the drain takes it along
  if (lazy && limits_.hold_back_us > 0) {
    KJ_IF_MAYBE (timer, timer_) {
      if (timer_armed_) return;
      timer_armed_ = true;
      turns_.add(
          timer->afterDelay(std::min(limits_.hold_back_us, hold_back_us_max) * kj::MICROSECONDS)
              .then([this]() {
                timer_armed_ = false;
                if (!scheduled_) flush();
              }));
      return;
    }
  }
  scheduled_ = true;
  wait_for_quiet(pending_.size(), 0, 0);
}

void output_queue::wait_for_quiet(std::size_t seen, unsigned quiet, unsigned turns) {
  turns_.add(kj::evalLater([this, seen, quiet, turns]() {
    const unsigned quiet_now = pending_.size() == seen ? quiet + 1 : 0;
    const unsigned enough = pending_frames_ < busy_frames ? quiet_turns : busy_quiet_turns;
    if (quiet_now >= enough || turns >= turns_max) {
      scheduled_ = false;
      flush();
    } else {
      wait_for_quiet(pending_.size(), quiet_now, turns + 1);
    }
  }));
}

void output_queue::flush() {
  if (dead_ || pending_.empty()) return;
  if (draining_) {
    if (pending_.size() >= batch_bytes) keep_pending();
    return;
  }
  const kj::ArrayPtr<const kj::byte> data[] = {{pending_.data(), pending_.size()}};
  const std::size_t sent = send_now(data, nullptr);
  if (dead_) return;
  if (sent < pending_.size()) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(sent));
    keep_pending();
  }
  clear_pending();
  count_queued();
}

// Writes what the socket takes at once. Zero also when there is no socket to write to.
std::size_t output_queue::send_now(pieces data, kj::ArrayPtr<const int> fds) {
  KJ_IF_MAYBE (socket, socket_) {
    std::array<iovec, segments_max + 2> vectors;
    std::size_t count = 0;
    for (auto piece : data) {
      // The interface of sendmsg is not const-correct.
      if (piece.size() > 0) {
        vectors.at(count++) = {const_cast<kj::byte*>(piece.begin()), piece.size()};
      }
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    std::vector<kj::byte> control(fds.size() == 0 ? 0 : CMSG_SPACE(fds.asBytes().size()));
    if (fds.size() > 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.asBytes().size());
      std::memcpy(CMSG_DATA(header), fds.begin(), fds.asBytes().size());
    }
    ssize_t sent = 0;
    do {
      // A confined plugin may write to its link as to a file only. KJ has made the socket
      // non-blocking, and ignores SIGPIPE.
      sent = fds.size() == 0 ? ::writev(*socket, vectors.data(), static_cast<int>(count))
                             : ::sendmsg(*socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
      if (errno == EAGAIN || errno == ENOBUFS) return 0;
      fail(write_failure(errno));
      return 0;
    }
    ++meter_.writes;
    meter_.bytes_out += static_cast<std::uint64_t>(sent);
    return static_cast<std::size_t>(sent);
  }
  return 0;
}

// Copies what was not sent. Descriptors go with the first byte, so they are gone once it is.
void output_queue::keep(pieces data, std::size_t sent, kj::ArrayPtr<const int> fds) {
  chunk rest;
  rest.bytes.reserve(total_bytes(data) - sent);
  std::size_t skip = sent;
  for (auto piece : data) {
    const std::size_t skipped = std::min(skip, piece.size());
    skip -= skipped;
    append(rest.bytes, piece.slice(skipped, piece.size()));
  }
  if (sent == 0 && fds.size() > 0) {
    auto copies = kj::heapArrayBuilder<kj::AutoCloseFd>(fds.size());
    for (int fd : fds) {
      int copy = -1;
      KJ_SYSCALL(copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      copies.add(kj::AutoCloseFd(copy));
    }
    rest.fds = copies.finish();
  }
  backlog_bytes_ += rest.bytes.size();
  backlog_.push_back(std::move(rest));
  start_drain();
}

void output_queue::keep_pending() {
  if (pending_.empty()) return;
  backlog_bytes_ += pending_.size();
  backlog_.push_back({std::move(pending_), nullptr});
  pending_.clear();
  pending_frames_ = 0;
  start_drain();
}

void output_queue::clear_pending() {
  const bool spare = pending_.capacity() > keep_capacity_bytes && pending_.size() < 1024;
  pending_.clear();
  pending_frames_ = 0;
  if (spare) pending_.shrink_to_fit();
}

void output_queue::count_queued() {
  meter_.bytes_queued = pending_.size() + backlog_bytes_;
  meter_.bytes_queued_peak = std::max(meter_.bytes_queued_peak, meter_.bytes_queued);
  if (!waiters_.empty()) tell_waiters();
}

kj::Maybe<kj::Promise<void>> output_queue::obstacle(std::size_t bytes) {
  if (dead_ || meter_.bytes_queued < bytes) return nullptr;
  auto next = kj::newPromiseAndFulfiller<void>();
  waiters_.push_back({bytes, kj::mv(next.fulfiller)});
  return kj::mv(next.promise);
}

void output_queue::tell_waiters() {
  std::erase_if(waiters_, [this](waiter& each) {
    const bool goes = dead_ || meter_.bytes_queued < each.bytes || !each.told->isWaiting();
    if (goes) each.told->fulfill();
    return goes;
  });
}

void output_queue::start_drain() {
  if (draining_) return;
  draining_ = true;
  watch_writes();
  // Later: the caller may still add to the backlog, and a failure must not come from inside `add`.
  drain_ = kj::evalLater([this]() { return drain(); }).eagerlyEvaluate([this](kj::Exception&& e) {
    fail(kj::mv(e));
  });
}

void output_queue::watch_writes() {
  if (writes_watched_ || limits_.write_ms == 0) return;
  KJ_IF_MAYBE (timer, timer_) {
    writes_watched_ = true;
    const auto span = static_cast<std::int64_t>(limits_.write_ms) * kj::MILLISECONDS;
    turns_.add(timer->afterDelay(span).then([this, seen = meter_.writes]() {
      writes_watched_ = false;
      if (dead_ || !draining_) return;
      if (meter_.writes == seen) return fail(write_late(limits_.write_ms));
      watch_writes();
    }));
  }
}

kj::Promise<void> output_queue::drain() {
  if (backlog_.empty()) keep_pending();
  if (backlog_.empty()) {
    draining_ = false;
    count_queued();
    finish_end();
    return kj::READY_NOW;
  }
  std::size_t count = 0;
  std::size_t bytes = 0;
  kj::Promise<void> written = nullptr;
  if (backlog_.front().fds.size() > 0) {
    auto& front = backlog_.front();
    auto fds = KJ_MAP(fd, front.fds) {
      return fd.get();
    };
    auto& fd_stream = KJ_ASSERT_NONNULL(fd_stream_);
    written =
        fd_stream.writeWithFds(kj::arrayPtr(front.bytes.data(), front.bytes.size()), nullptr, fds)
            .attach(kj::mv(fds));
    count = 1;
    bytes = front.bytes.size();
  } else {
    kj::Vector<kj::ArrayPtr<const kj::byte>> data;
    for (auto& waiting : backlog_) {
      if (count == gather_chunks_max || waiting.fds.size() > 0) break;
      data.add(waiting.bytes.data(), waiting.bytes.size());
      ++count;
      bytes += waiting.bytes.size();
    }
    auto all = data.releaseAsArray();
    written = stream_.write(all.asPtr()).attach(kj::mv(all));
  }
  return written.then([this, count, bytes]() {
    backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<std::ptrdiff_t>(count));
    backlog_bytes_ -= bytes;
    meter_.bytes_out += bytes;
    ++meter_.writes;
    count_queued();
    return drain();
  });
}

void output_queue::end() {
  flush();
  ending_ = true;
  if (!draining_) finish_end();
}

void output_queue::finish_end() {
  if (!ending_ || dead_) return;
  dead_ = true;
  tell_waiters();
  // A peer that is gone already makes this fail; there is nothing left to tell it.
  kj::runCatchingExceptions([&]() { stream_.shutdownWrite(); });
}

void output_queue::drop() {
  dead_ = true;
  drain_ = nullptr;
  draining_ = false;
  pending_ = {};
  backlog_.clear();
  backlog_bytes_ = 0;
  count_queued();
}

void output_queue::fail(kj::Exception&& reason) {
  if (dead_) return;
  dead_ = true;
  pending_ = {};
  tell_waiters();
  failed_(kj::mv(reason));
}

void output_queue::taskFailed(kj::Exception&& reason) {
  fail(kj::mv(reason));
}

}  // namespace bulkhead::wire
