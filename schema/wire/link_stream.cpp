// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/link_stream.hpp"

#include <kj/debug.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "schema/wire/error_frame.hpp"
#include "schema/wire/frame_reader.hpp"
#include "schema/wire/wire_fault.hpp"

namespace bulkhead::wire {

namespace {

// A frame with more than this still to come is read straight into its own memory.
constexpr std::size_t read_through_bytes = 8 * 1024;

/// Room for twice as much of a frame as has come, with what has come in it.
kj::Array<capnp::word> doubled(kj::ArrayPtr<const capnp::word> room, std::size_t frame_bytes) {
  const auto bytes = std::min(frame_bytes, room.asBytes().size() * 2);
  auto bigger = kj::heapArray<capnp::word>(bytes / sizeof(capnp::word));
  std::memcpy(bigger.begin(), room.begin(), room.asBytes().size());
  return bigger;
}

kj::PromiseFulfillerPair<void> new_settled() {
  return kj::newPromiseAndFulfiller<void>();
}

}  // namespace

link_stream::link_stream(kj::AsyncCapabilityStream& stream, stream_limits limits,
                         kj::Maybe<kj::Timer&> timer)
    : link_stream(stream, stream, stream.getFd(), limits, timer) {}

// getFd() is not asked here: that of a TLS stream is the socket below the cipher.
link_stream::link_stream(kj::AsyncIoStream& stream, stream_limits limits,
                         kj::Maybe<kj::Timer&> timer)
    : link_stream(stream, nullptr, nullptr, limits, timer) {}

link_stream::link_stream(kj::AsyncIoStream& stream, kj::Maybe<kj::AsyncCapabilityStream&> fd_stream,
                         kj::Maybe<int> socket, stream_limits limits, kj::Maybe<kj::Timer&> timer)
    : stream_(stream),
      fd_stream_(fd_stream),
      limits_(limits),
      timer_(timer),
      input_(fd_stream == nullptr ? 0 : limits.fds_per_message),
      output_(stream, fd_stream, socket, timer, limits_, meter_,
              [this](kj::Exception cause) { write_failed(kj::mv(cause)); }),
      settled_(nullptr),
      tasks_(*this) {
  auto pair = new_settled();
  settled_fulfiller_ = kj::mv(pair.fulfiller);
  settled_ = pair.promise.fork();
}

link_stream::~link_stream() noexcept(false) = default;

void link_stream::on_close(close_reason_function why) {
  why_ = kj::mv(why);
}

kj::Maybe<const kj::Exception&> link_stream::close_reason() const {
  KJ_IF_MAYBE (reason, reason_) return *reason;
  return nullptr;
}

// ---------------------------------------------------------------------------------------------
// Reading

kj::Promise<link_stream::frame> link_stream::receive(capnp::ReaderOptions options) {
  if (closing_) return waiting_.wrap(closed());
  const auto wait = pause();
  if (wait > 0 * kj::SECONDS) {
    return waiting_.wrap(KJ_ASSERT_NONNULL(timer_).afterDelay(wait).then(
        [this, options]() { return receive(options); }));
  }
  KJ_IF_MAYBE (done, frame_at_hand(options)) return kj::mv(*done);
  return waiting_.wrap(reading_.wrap(read_on(options)).catch_([this](kj::Exception&& cause) {
    begin_close(kj::mv(cause));
    return closed();
  }));
}

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> link_stream::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
    kj::ArrayPtr<capnp::word> /*scratch*/) {
  return receive(options).then(
      [fd_space](frame&& got) mutable -> kj::Maybe<capnp::MessageReaderAndFds> {
        KJ_IF_MAYBE (read, got) {
          const auto fds = std::min(fd_space.size(), read->fds.size());
          for (std::size_t i = 0; i < fds; ++i) fd_space[i] = kj::mv(read->fds[i]);
          return capnp::MessageReaderAndFds{kj::mv(read->reader), fd_space.slice(0, fds)};
        }
        return nullptr;
      });
}

// A whole frame that is in the buffer, or the fault that is there.
kj::Maybe<kj::Promise<link_stream::frame>> link_stream::frame_at_hand(
    const capnp::ReaderOptions& options) {
  const auto bytes = input_.bytes();
  const auto check = check_frame(bytes, limits_);
  if (check.result == frame_check::verdict::fault) {
    begin_close(frame_fault_of(check, limits_));
    return waiting_.wrap(closed());
  }
  if (check.result == frame_check::verdict::need_more || check.amount > bytes.size()) {
    return nullptr;
  }
  auto words = kj::heapArray<capnp::word>(check.amount / sizeof(capnp::word));
  input_.take(words.asBytes());
  return deliver(kj::mv(words), options);
}

kj::Promise<link_stream::frame> link_stream::read_on(capnp::ReaderOptions options) {
  const auto have = input_.bytes().size();
  const auto check = check_frame(input_.bytes(), limits_);
  inside_frame_ = have > 0;
  if (inside_frame_) watch_frame();
  if (check.result == frame_check::verdict::frame && check.amount - have > read_through_bytes) {
    return read_big(check.amount, options);
  }
  return fill(input_.room())
      .then(
          [this, options](kj::AsyncCapabilityStream::ReadResult got) {
            if (got.byteCount == 0) return end_of_file();
            ++meter_.reads;
            meter_.bytes_in += got.byteCount;
            meter_.fds_in += got.capCount;
            input_.filled(got.byteCount, got.capCount);
            KJ_IF_MAYBE (done, frame_at_hand(options)) return kj::mv(*done);
            return read_on(options);
          },
          [this](kj::Exception&& cause) { return read_failed(kj::mv(cause)); });
}

kj::Promise<kj::AsyncCapabilityStream::ReadResult> link_stream::fill(kj::ArrayPtr<kj::byte> room) {
  auto fds = input_.fd_room();
  if (fds.size() > 0) {
    KJ_IF_MAYBE (fd_stream, fd_stream_) {
      return fd_stream->tryReadWithFds(room.begin(), 1, room.size(), fds.begin(), fds.size());
    }
  }
  return stream_.tryRead(room.begin(), 1, room.size()).then([](std::size_t bytes) {
    return kj::AsyncCapabilityStream::ReadResult{bytes, 0};
  });
}

kj::Promise<link_stream::frame> link_stream::read_big(std::size_t frame_bytes,
                                                      capnp::ReaderOptions options) {
  auto room =
      kj::heapArray<capnp::word>(std::min(frame_bytes, reserve_bytes) / sizeof(capnp::word));
  const auto have = input_.bytes().size();
  input_.take(room.asBytes().slice(0, have));
  return read_rest(kj::mv(room), have, frame_bytes, options);
}

// What a frame claims is a promise of the peer's; memory is given for what has come. So the room
// doubles until it is the frame's.
kj::Promise<link_stream::frame> link_stream::read_rest(kj::Array<capnp::word> room,
                                                       std::size_t have, std::size_t frame_bytes,
                                                       capnp::ReaderOptions options) {
  auto rest = room.asBytes().slice(have, room.asBytes().size());
  return stream_.tryRead(rest.begin(), rest.size(), rest.size())
      .then(
          [this, wanted = rest.size(), frame_bytes, room = kj::mv(room),
           options](std::size_t bytes) mutable -> kj::Promise<frame> {
            ++meter_.reads;
            meter_.bytes_in += bytes;
            input_.passed(bytes);
            if (bytes < wanted) return peer_closed(true);
            const auto have = room.asBytes().size();
            if (have == frame_bytes) return deliver(kj::mv(room), options);
            return read_rest(doubled(room, frame_bytes), have, frame_bytes, options);
          },
          [this](kj::Exception&& cause) { return read_failed(kj::mv(cause)); });
}

kj::Promise<link_stream::frame> link_stream::deliver(kj::Array<capnp::word> words,
                                                     capnp::ReaderOptions options) {
  if (limits_.reads_per_byte > 0) {
    const std::uint64_t most =
        words.size() * limits_.reads_per_byte + read_bytes_free / sizeof(capnp::word);
    options.traversalLimitInWords = std::min(options.traversalLimitInWords, most);
  }
  ++meter_.frames_in;
  inside_frame_ = false;
  meter_.frame_bytes_largest =
      std::max<std::uint64_t>(meter_.frame_bytes_largest, words.asBytes().size());
  auto fds = input_.take_fds();
  kj::Own<capnp::MessageReader> reader = kj::heap<frame_reader>(kj::mv(words), options);
  if (why_ != nullptr) {
    // The other side's farewell is an end like any other: the owner chooses the words.
    const auto first = reader->getSegment(0);
    KJ_IF_MAYBE (reason, abort_reason(kj::arrayPtr(&first, 1))) {
      begin_close(kj::mv(*reason));
      return waiting_.wrap(closed());
    }
  }
  KJ_IF_MAYBE (fault, inspect(reader, options)) {
    begin_close(kj::mv(*fault));
    return waiting_.wrap(closed());
  }
  return frame(received_frame{kj::mv(reader), kj::mv(fds)});
}

// Counts the message, and puts a clean one in its place when it carries an error.
kj::Maybe<kj::Exception> link_stream::inspect(kj::Own<capnp::MessageReader>& reader,
                                              const capnp::ReaderOptions& options) {
  KJ_IF_MAYBE (budget, budget_) {
    try {
      const auto message = reader->getRoot<capnp::rpc::Message>();
      KJ_IF_MAYBE (breach, budget->received(message)) return budget_fault(*breach);
      KJ_IF_MAYBE (clean, with_clean_error(message)) {
        reader = kj::heap<frame_reader>(kj::mv(*clean), options);
      }
    } catch (const kj::Exception& problem) {
      return message_fault(problem);
    }
  }
  return nullptr;
}

kj::Duration link_stream::pause() {
  KJ_IF_MAYBE (budget, budget_) {
    KJ_IF_MAYBE (timer, timer_) return budget->pause(timer->now());
  }
  return 0 * kj::SECONDS;
}

// One timer at most, however many frames come in parts: it looks whether the frame that was
// unfinished then is unfinished now. So a later frame may get up to twice the time.
void link_stream::watch_frame() {
  if (frame_watched_ || limits_.frame_ms == 0) return;
  KJ_IF_MAYBE (timer, timer_) {
    frame_watched_ = true;
    const auto span = static_cast<std::int64_t>(limits_.frame_ms) * kj::MILLISECONDS;
    tasks_.add(timer->afterDelay(span).then([this, seen = meter_.frames_in]() {
      frame_watched_ = false;
      if (closing_ || !inside_frame_) return;
      if (meter_.frames_in == seen) return break_off(frame_late(limits_.frame_ms));
      watch_frame();
    }));
  }
}

kj::Promise<link_stream::frame> link_stream::read_failed(kj::Exception&& cause) {
  if (cause.getType() != kj::Exception::Type::DISCONNECTED) return kj::mv(cause);
  KJ_IF_MAYBE (failure, write_failure_) return kj::cp(*failure);
  return peer_reset();
}

kj::Promise<link_stream::frame> link_stream::end_of_file() {
  KJ_IF_MAYBE (cause, write_failure_) return kj::cp(*cause);
  const bool inside_frame = input_.bytes().size() > 0;
  if (!inside_frame && why_ == nullptr) {
    settle(peer_closed(false));
    return frame(nullptr);
  }
  return peer_closed(inside_frame);
}

// ---------------------------------------------------------------------------------------------
// Writing

void link_stream::send(kj::ArrayPtr<const int> fds, frame_segments segments) {
  KJ_IF_MAYBE (reason, abort_reason(segments)) {
    // The RPC system gives up: a frame that was no RPC message, or its owner goes. It has failed
    // everything with its own words already, but the owner is to hear of it.
    if (!closing_) {
      if (why_ == nullptr) {
        settle(kj::mv(*reason));
      } else {
        begin_close(message_fault(*reason));
      }
    }
  }
  output_.add(fds, segments);
}

kj::Maybe<kj::Exception> link_stream::call_obstacle(std::uint64_t frame_bytes) const {
  KJ_IF_MAYBE (budget, budget_) {
    if (budget->full()) return calls_fault(budget->calls_unanswered());
    const auto waiting = meter_.bytes_queued;
    if (waiting > 0 && waiting + frame_bytes > limits_.queue_bytes / 2)
      return queue_obstacle(waiting, limits_.queue_bytes);
  }
  return nullptr;
}

void link_stream::count_sent(capnp::rpc::Message::Reader message) {
  KJ_IF_MAYBE (budget, budget_) {
    KJ_IF_MAYBE (breach, budget->sent(message)) break_off(budget_fault(*breach));
  }
}

kj::Promise<void> link_stream::writeMessage(kj::ArrayPtr<const int> fds, frame_segments segments) {
  send(fds, segments);
  return kj::READY_NOW;
}

kj::Promise<void> link_stream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  for (auto& segments : messages) send(nullptr, segments);
  return kj::READY_NOW;
}

kj::Maybe<int> link_stream::getSendBufferSize() {
  int bytes = 0;
  capnp::uint size = sizeof bytes;
  // A pipe in memory has no such option, and a socket whose peer is gone may refuse: the caller has
  // a default.
  auto refused =
      kj::runCatchingExceptions([&] { stream_.getsockopt(SOL_SOCKET, SO_SNDBUF, &bytes, &size); });
  if (refused != nullptr) return nullptr;
  return bytes;
}

kj::Promise<void> link_stream::end() {
  output_.end();
  return kj::READY_NOW;
}

// ---------------------------------------------------------------------------------------------
// Ending

kj::Promise<link_stream::frame> link_stream::closed() {
  return settled_.addBranch().then(
      [this]() -> kj::Promise<frame> { return kj::cp(KJ_ASSERT_NONNULL(reason_)); });
}

void link_stream::begin_close(kj::Exception cause) {
  if (closing_) return;
  closing_ = true;
  KJ_IF_MAYBE (why, why_) {
    // Later: the owner may then do to this stream what it likes.
    tasks_.add(
        kj::evalLater([why, cause = kj::cp(cause)]() mutable { return (*why)(kj::mv(cause)); })
            .then(
                [this](kj::Exception reason) { settle(kj::mv(reason)); },
                [this, cause = kj::cp(cause)](kj::Exception&&) mutable { settle(kj::mv(cause)); }));
    return;
  }
  settle(kj::mv(cause));
}

void link_stream::settle(kj::Exception reason) {
  if (reason_ != nullptr) return;
  closing_ = true;
  reason_ = kj::mv(reason);
  settled_fulfiller_->fulfill();
}

void link_stream::abort(kj::Exception reason) {
  if (reason_ != nullptr) return;
  settle(kj::cp(reason));
  waiting_.cancel(reason);
}

void link_stream::write_failed(kj::Exception cause) {
  tasks_.add(kj::evalLater([this]() { output_.drop(); }));
  if (closing_) return;
  const bool gone = cause.getType() == kj::Exception::Type::DISCONNECTED;
  write_failure_ = kj::cp(cause);
  if (gone) {
    // The peer's last words may still be unread. With the way in shut, the socket gives what it
    // has and then ends, which fails the read with the cause kept above.
    KJ_IF_MAYBE (failed, kj::runCatchingExceptions([&]() { stream_.abortRead(); })) {
      reading_.cancel(cause);
    }
    return;
  }
  break_off(kj::mv(cause));
}

// The peer is there but breaks a rule: what else it has to say does not matter.
void link_stream::break_off(kj::Exception cause) {
  if (closing_) return;
  begin_close(kj::cp(cause));
  reading_.cancel(cause);
}

void link_stream::taskFailed(kj::Exception&& reason) {
  settle(kj::mv(reason));
}

}  // namespace bulkhead::wire
