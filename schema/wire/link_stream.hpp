// SPDX-License-Identifier: Apache-2.0
//
// The message stream under every link and every client connection.
//
// It guards: no frame reaches libcapnp before `check_frame` has passed it. It economises: many
// frames per read, the frames of a loop turn in one write, big ones uncopied. It meters. It passes
// descriptors both ways. See input_buffer.hpp, output_queue.hpp and frame_guard.hpp.
//
// How it ends. Cap'n Proto's RPC system turns whatever fails a read into the fate of every call in
// flight and of every capability of the connection. So the stream makes sure that exactly one
// exception comes that way, and that its owner chooses it: `on_close`. Until it is chosen the read
// waits; meanwhile a write that fails says nothing (libcapnp would cancel the read with the
// write's own error) and frames to be written are dropped. What the peer sent before it went is
// read to the end first.
//
// One thread. May be destroyed with reads pending, in any order with the promises it has given:
// they fail then. Destroy it before the kj stream and after the RPC system that uses it.
#pragma once

#include <capnp/serialize-async.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "schema/wire/frame_guard.hpp"
#include "schema/wire/input_buffer.hpp"
#include "schema/wire/link_budget.hpp"
#include "schema/wire/output_queue.hpp"
#include "schema/wire/stream_meter.hpp"
#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

/// One frame that the guard has passed, with the descriptors that came with it.
struct received_frame {
  kj::Own<capnp::MessageReader> reader;
  kj::Array<kj::AutoCloseFd> fds;
};

/// `reason` as a promise that is there already. (kj::Promise<kj::Exception> cannot be made from an
/// exception directly: it would not be clear whether it holds it or fails with it.)
inline kj::Promise<kj::Exception> reason_at_once(kj::Exception reason) {
  return kj::Promise<void>(kj::READY_NOW).then([reason = kj::mv(reason)]() mutable {
    return kj::mv(reason);
  });
}

class link_stream final : public capnp::MessageStream, private kj::TaskSet::ErrorHandler {
 public:
  /// Given the raw cause, answers the exception that everything on the connection is to fail with.
  using close_reason_function = kj::Function<kj::Promise<kj::Exception>(kj::Exception)>;

  /// Reserved at once for a frame that has begun: room for the largest value of a view. For a
  /// longer one memory is taken as its bytes come, at most twice as much as has come.
  static constexpr std::size_t reserve_bytes = std::size_t{2} << 20U;

  /// A unix socket. When `stream.getFd()` answers, writes go to that descriptor directly, without
  /// waiting. The timer is needed for the limits that are times.
  explicit link_stream(kj::AsyncCapabilityStream& stream, stream_limits limits = {},
                       kj::Maybe<kj::Timer&> timer = nullptr);

  /// Any byte stream (TCP, TLS, a pipe): no descriptors.
  explicit link_stream(kj::AsyncIoStream& stream, stream_limits limits = {},
                       kj::Maybe<kj::Timer&> timer = nullptr);

  ~link_stream() noexcept(false);
  KJ_DISALLOW_COPY(link_stream);

  /// `why` is asked once, later than the event itself, when the peer is gone (end of file, reset,
  /// no reader), has said farewell (an Abort), or has broken a rule. It must answer in bounded
  /// time. Without `why`, an end of file between frames is a clean end, and anything else fails the
  /// read with the raw cause.
  void on_close(close_reason_function why);

  /// Counts every message with `budget`, which must outlive the stream, and cleans the peer's
  /// errors (error_frame.hpp); to be called before the first read. The stream must carry RPC
  /// messages then, and nothing else.
  void use_budget(link_budget& budget) { budget_ = budget; }

  /// Why there is no room for one more call to the peer, of so many bytes; nothing when there is,
  /// or no budget. Calls may fill half the queue, so that whoever makes them cannot end the peer,
  /// and answers to it have the other half. One for which nothing waits may fill all of it.
  kj::Maybe<kj::Exception> call_obstacle(std::uint64_t frame_bytes) const;

  /// See output_queue::obstacle.
  kj::Maybe<kj::Promise<void>> unread_obstacle(std::size_t bytes) {
    return output_.obstacle(bytes);
  }

  /// Counts a message that was given to send().
  void count_sent(capnp::rpc::Message::Reader message);

  /// Ends the connection now: the pending read, or else the next, fails with `reason`. `why` is not
  /// asked any more. Not to be called from inside a continuation of a read of this stream.
  void abort(kj::Exception reason);

  /// What has ended the connection; nothing while it is up.
  kj::Maybe<const kj::Exception&> close_reason() const;

  const stream_meter& meter() const { return meter_; }

  /// The next frame; nothing after a clean end. One read at a time.
  kj::Promise<kj::Maybe<received_frame>> receive(capnp::ReaderOptions options);

  /// Takes one frame: it is copied or written when the call returns. At the end of the connection
  /// it is dropped. Fails only for what no stream can send (see output_queue).
  void send(kj::ArrayPtr<const int> fds, frame_segments segments);

  // The same as libcapnp's interface.
  using capnp::MessageStream::tryReadMessage;
  using capnp::MessageStream::writeMessage;
  using capnp::MessageStream::writeMessages;

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;

  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> fds, frame_segments segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override;

  /// Writes what is there and closes the way out, behind it. Does not wait for the peer.
  kj::Promise<void> end() override;

 private:
  using frame = kj::Maybe<received_frame>;

  link_stream(kj::AsyncIoStream& stream, kj::Maybe<kj::AsyncCapabilityStream&> fd_stream,
              kj::Maybe<int> socket, stream_limits limits, kj::Maybe<kj::Timer&> timer);

  kj::Maybe<kj::Promise<frame>> frame_at_hand(const capnp::ReaderOptions& options);
  kj::Promise<frame> read_on(capnp::ReaderOptions options);
  kj::Promise<frame> read_big(std::size_t frame_bytes, capnp::ReaderOptions options);
  kj::Promise<frame> read_rest(kj::Array<capnp::word> room, std::size_t have,
                               std::size_t frame_bytes, capnp::ReaderOptions options);
  kj::Promise<kj::AsyncCapabilityStream::ReadResult> fill(kj::ArrayPtr<kj::byte> room);
  kj::Promise<frame> deliver(kj::Array<capnp::word> words, capnp::ReaderOptions options);
  kj::Promise<frame> read_failed(kj::Exception&& cause);
  kj::Promise<frame> end_of_file();
  kj::Promise<frame> closed();
  kj::Maybe<kj::Exception> inspect(kj::Own<capnp::MessageReader>& reader,
                                   const capnp::ReaderOptions& options);
  kj::Duration pause();
  void watch_frame();
  void begin_close(kj::Exception cause);
  void break_off(kj::Exception cause);
  void settle(kj::Exception reason);
  void write_failed(kj::Exception cause);
  void taskFailed(kj::Exception&& reason) override;

  kj::AsyncIoStream& stream_;
  kj::Maybe<kj::AsyncCapabilityStream&> fd_stream_;
  const stream_limits limits_;
  kj::Maybe<kj::Timer&> timer_;
  kj::Maybe<link_budget&> budget_;
  bool inside_frame_ = false;  // a read waits for the rest of a frame
  bool frame_watched_ = false;
  stream_meter meter_;
  input_buffer input_;
  output_queue output_;
  kj::Maybe<close_reason_function> why_;
  bool closing_ = false;
  kj::Maybe<kj::Exception> write_failure_;
  kj::Maybe<kj::Exception> reason_;
  kj::Own<kj::PromiseFulfiller<void>> settled_fulfiller_;
  kj::ForkedPromise<void> settled_;
  kj::TaskSet tasks_;
  kj::Canceler reading_;  // cancelled when a failure elsewhere ends the connection
  kj::Canceler waiting_;  // cancelled by `abort`: the read, and the wait for `why`
};

}  // namespace bulkhead::wire
