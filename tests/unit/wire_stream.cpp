// SPDX-License-Identifier: Apache-2.0
//
// The stream alone, against raw bytes and against another stream: how frames are cut, how many
// travel at once, what waits for what, which descriptors belong where, and what a peer that does
// not read can cost.
#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <kj/vector.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "schema/wire/error_text.hpp"
#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;

namespace {

/// A message that holds `bytes` bytes of data which begin with `mark`.
void fill(capnp::MessageBuilder& message, std::size_t bytes, kj::byte mark) {
  auto data = kj::heapArray<kj::byte>(bytes);
  for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<kj::byte>(mark + i);
  message.getRoot<capnp::AnyPointer>().setAs<capnp::Data>(data);
}

kj::Array<kj::byte> frame_bytes(std::size_t bytes, kj::byte mark) {
  capnp::MallocMessageBuilder message;
  fill(message, bytes, mark);
  auto words = capnp::messageToFlatArray(message);
  return kj::heapArray<kj::byte>(words.asBytes());
}

void send_frame(link_stream& stream, std::size_t bytes, kj::byte mark,
                kj::ArrayPtr<const int> fds = nullptr) {
  capnp::MallocMessageBuilder message;
  fill(message, bytes, mark);
  stream.send(fds, message.getSegmentsForOutput());
}

void send_finish(link_stream& stream) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initFinish().setQuestionId(1);
  stream.send(nullptr, message.getSegmentsForOutput());
}

struct got_frame {
  bool end = false;
  std::size_t bytes = 0;
  kj::Array<kj::AutoCloseFd> fds;
};

got_frame next(link_stream& stream, loop& on, kj::byte mark) {
  auto frame = stream.receive({}).wait(on.io.waitScope);
  KJ_IF_MAYBE (got, frame) {
    const auto data = got->reader->getRoot<capnp::AnyPointer>().getAs<capnp::Data>();
    for (std::size_t i = 0; i < data.size(); ++i) {
      KJ_REQUIRE(data[i] == static_cast<kj::byte>(mark + i), "a byte has changed", i);
    }
    return {false, data.size(), kj::mv(got->fds)};
  }
  return {true, 0, nullptr};
}

stream_limits holding_back() {
  stream_limits limits;
  limits.hold_back_us = 1000;
  return limits;
}

struct two_streams {
  explicit two_streams(loop& on, stream_limits limits = {}, kj::Maybe<kj::Timer&> timer = nullptr)
      : sockets(on), left(*sockets.left, limits, timer), right(*sockets.right, limits, timer) {}
  socket_pair sockets;
  link_stream left;
  link_stream right;
};

ino_t inode_of(int fd) {
  struct stat about {};
  KJ_SYSCALL(::fstat(fd, &about));
  return about.st_ino;
}

struct pipe_fds {
  pipe_fds() {
    int both[2];
    KJ_SYSCALL(::pipe2(both, O_CLOEXEC));
    read = kj::AutoCloseFd(both[0]);
    write = kj::AutoCloseFd(both[1]);
  }
  kj::AutoCloseFd read;
  kj::AutoCloseFd write;
};

}  // namespace

TEST_CASE("frames that arrive byte by byte are read whole") {
  loop on;
  socket_pair sockets(on);
  link_stream stream(*sockets.right);
  for (std::size_t bytes : {0, 8, 100, 1000}) {
    const auto raw = frame_bytes(bytes, 3);
    auto reading = stream.receive({});
    for (std::size_t i = 0; i < raw.size(); ++i) {
      REQUIRE_FALSE(reading.poll(on.io.waitScope));
      sockets.left->write(raw.begin() + i, 1).wait(on.io.waitScope);
    }
    const auto frame = reading.wait(on.io.waitScope);
    REQUIRE(frame != nullptr);
  }
  CHECK(stream.meter().frames_in == 4);
}

TEST_CASE("frames of every size around the buffers' own sizes are read whole") {
  loop on;
  two_streams both(on);
  kj::byte mark = 0;
  for (std::size_t bytes :
       {1,    900,  980,  1000,  1007,  1008,  1009,  1024,  4000,   4080,    4096,   8170,
        8192, 9000, 9216, 32700, 32752, 32768, 41000, 65536, 100000, 1 << 20, 5 << 20}) {
    send_frame(both.left, 16, mark);
    send_frame(both.left, bytes, ++mark);
    send_frame(both.left, 16, mark);
    CHECK(next(both.right, on, static_cast<kj::byte>(mark - 1)).bytes == 16);
    CHECK(next(both.right, on, mark).bytes == bytes);
    CHECK(next(both.right, on, mark).bytes == 16);
  }
  CHECK(both.right.meter().frames_in == both.left.meter().frames_out);
  CHECK(both.right.meter().bytes_in == both.left.meter().bytes_out);
  CHECK(both.right.meter().frame_bytes_largest == both.left.meter().frame_bytes_largest);
  CHECK(both.left.meter().bytes_queued == 0);
}

TEST_CASE("the small frames of a turn leave in one write and arrive in few reads") {
  loop on;
  two_streams both(on);
  for (kj::byte i = 0; i < 50; ++i) send_frame(both.left, 64, i);
  CHECK(both.left.meter().writes == 0);
  CHECK(both.left.meter().bytes_queued > 0);
  for (kj::byte i = 0; i < 50; ++i) CHECK(next(both.right, on, i).bytes == 64);
  CHECK(both.left.meter().writes == 1);
  CHECK(both.right.meter().reads == 2);  // one fills the small buffer, one the large
  CHECK(both.left.meter().bytes_queued == 0);
}

TEST_CASE("frames in several segments travel as they are") {
  loop on;
  two_streams both(on);
  capnp::MallocMessageBuilder message(1, capnp::AllocationStrategy::FIXED_SIZE);
  auto list = message.getRoot<capnp::AnyPointer>().initAs<capnp::List<capnp::Text>>(300);
  for (capnp::uint i = 0; i < 300; ++i) list.set(i, "twelve bytes");
  REQUIRE(message.getSegmentsForOutput().size() > 100);
  both.left.send(nullptr, message.getSegmentsForOutput());
  auto frame = both.right.receive({}).wait(on.io.waitScope);
  KJ_IF_MAYBE (got, frame) {
    const auto read = got->reader->getRoot<capnp::AnyPointer>().getAs<capnp::List<capnp::Text>>();
    REQUIRE(read.size() == 300);
    for (const auto text : read) CHECK(text == "twelve bytes");
    CHECK(got->reader->getSegment(100000) == nullptr);
  } else {
    FAIL("no frame");
  }
}

TEST_CASE("descriptors arrive with their own frame, also between coalesced small ones") {
  loop on;
  two_streams both(on);
  std::vector<pipe_fds> pipes(3);
  const int one[] = {pipes[0].write};
  const int two[] = {pipes[1].write, pipes[2].write};
  send_frame(both.left, 64, 1);
  send_frame(both.left, 64, 2);
  send_frame(both.left, 64, 3, one);
  send_frame(both.left, 64, 4);
  send_frame(both.left, 64, 5, two);
  send_frame(both.left, 64, 6, one);
  send_frame(both.left, 64, 7);
  for (kj::byte mark = 1; mark <= 7; ++mark) {
    const auto got = next(both.right, on, mark);
    CHECK(got.bytes == 64);
    if (mark == 3 || mark == 6) {
      REQUIRE(got.fds.size() == 1);
      CHECK(inode_of(got.fds[0]) == inode_of(pipes[0].write));
    } else if (mark == 5) {
      REQUIRE(got.fds.size() == 2);
      CHECK(inode_of(got.fds[0]) == inode_of(pipes[1].write));
      CHECK(inode_of(got.fds[1]) == inode_of(pipes[2].write));
    } else {
      CHECK(got.fds.size() == 0);
    }
  }
  CHECK(both.left.meter().fds_out == 4);
  CHECK(both.right.meter().fds_in == 4);
}

TEST_CASE("descriptors travel both ways, with big frames, and behind a full socket") {
  loop on;
  two_streams both(on);
  pipe_fds pipe;
  const int one[] = {pipe.write};
  for (int i = 0; i < 20; ++i) {
    send_frame(both.left, 100000, 1);
    send_frame(both.left, 100, 2, one);
    send_frame(both.right, 100000, 3, one);
  }
  pipe.write = nullptr;  // the queue has its own
  for (int i = 0; i < 20; ++i) {
    CHECK(next(both.right, on, 1).fds.size() == 0);
    CHECK(next(both.right, on, 2).fds.size() == 1);
    CHECK(next(both.left, on, 3).fds.size() == 1);
  }
}

TEST_CASE("a frame may carry as many descriptors as the limit says, the kernel closes the others") {
  loop on;
  stream_limits limits;
  limits.fds_per_message = 4;
  two_streams both(on, limits);
  pipe_fds pipe;
  for (std::size_t count : {3, 4, 5}) {
    const std::vector<int> fds(count, pipe.write.get());
    send_frame(both.left, 64, 1, kj::arrayPtr(fds.data(), fds.size()));
    CHECK(next(both.right, on, 1).fds.size() == std::min<std::size_t>(count, 4));
  }
}

TEST_CASE("a lone Finish waits for the next frame and rides with it") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  two_streams both(on, holding_back(), timer);
  send_finish(both.left);
  on.settle();
  CHECK(both.left.meter().writes == 0);
  send_frame(both.left, 64, 1);
  on.settle();
  CHECK(both.left.meter().writes == 1);
  CHECK(both.left.meter().bytes_queued == 0);
}

TEST_CASE("a lone Finish leaves alone after the bounded delay and not before") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  two_streams both(on, holding_back(), timer);
  send_finish(both.left);
  on.settle();
  timer.advanceTo(kj::origin<kj::TimePoint>() + 999 * kj::MICROSECONDS);
  on.settle();
  CHECK(both.left.meter().writes == 0);
  timer.advanceTo(kj::origin<kj::TimePoint>() + 1000 * kj::MICROSECONDS);
  on.settle();
  CHECK(both.left.meter().writes == 1);
}

TEST_CASE("without a timer, or with the default delay of zero, nothing is held back") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  two_streams without(on, holding_back());
  two_streams zero(on, {}, timer);
  send_finish(without.left);
  send_finish(zero.left);
  on.settle();
  CHECK(without.left.meter().writes == 1);
  CHECK(zero.left.meter().writes == 1);
}

TEST_CASE("a delay above the limit is cut to the limit") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  stream_limits limits;
  limits.hold_back_us = hold_back_us_max * 10;
  two_streams both(on, limits, timer);
  send_finish(both.left);
  timer.advanceTo(kj::origin<kj::TimePoint>() + (hold_back_us_max - 1) * kj::MICROSECONDS);
  on.settle();
  CHECK(both.left.meter().writes == 0);
  timer.advanceTo(kj::origin<kj::TimePoint>() + hold_back_us_max * kj::MICROSECONDS);
  on.settle();
  CHECK(both.left.meter().writes == 1);
}

TEST_CASE("many lone Finishes do not pile up") {
  loop on;
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  two_streams both(on, holding_back(), timer);
  for (int i = 0; i < 1000; ++i) {
    send_finish(both.left);
    on.io.waitScope.poll();
  }
  on.settle();
  CHECK(both.left.meter().bytes_queued <= output_queue::held_bytes_max);
}

TEST_CASE("a peer that does not read costs at most the queue's limit, then its connection") {
  loop on;
  stream_limits limits;
  limits.queue_bytes = 1 << 20;
  two_streams both(on, limits);
  auto reading = both.left.receive({});
  int frames = 0;
  while (both.left.close_reason() == nullptr && frames < 1000) {
    send_frame(both.left, 64 * 1024, 1);
    ++frames;
  }
  CHECK(frames > 16);
  CHECK(frames < 1000);
  CHECK(both.left.meter().bytes_queued_peak <= limits.queue_bytes);
  CHECK(both.left.meter().bytes_queued_peak > limits.queue_bytes - 66 * 1024);
  const auto text = failure_of(kj::mv(reading), on);
  const auto info = parse_error(text.c_str(), kj::Exception::Type::FAILED);
  CHECK(info.kind == schema::ErrorKind::PROTOCOL_VIOLATION);
  REQUIRE(info.find("fault") != nullptr);
  CHECK(*info.find("limit") == "stream_queue_bytes_max");
  on.settle();
  CHECK(both.left.meter().bytes_queued == 0);
}

TEST_CASE("who waits for a shorter queue is told when the peer has read, or will not any more") {
  loop on;
  auto pipe = kj::newTwoWayPipe();
  link_stream stream(*pipe.ends[0]);
  const auto bytes = frame_bytes(1000, 1).size();
  send_frame(stream, 1000, 1);
  CHECK(stream.unread_obstacle(bytes + 1) == nullptr);
  auto read = KJ_ASSERT_NONNULL(stream.unread_obstacle(bytes)).eagerlyEvaluate(nullptr);
  auto never_read = KJ_ASSERT_NONNULL(stream.unread_obstacle(1)).eagerlyEvaluate(nullptr);
  on.settle();
  CHECK(!read.poll(on.io.waitScope));
  auto room = kj::heapArray<kj::byte>(bytes);
  pipe.ends[1]->read(room.begin(), room.size()).wait(on.io.waitScope);
  CHECK(read.poll(on.io.waitScope));
  CHECK(never_read.poll(on.io.waitScope));
  CHECK(stream.unread_obstacle(1) == nullptr);

  send_frame(stream, 1000, 1);
  auto gone = KJ_ASSERT_NONNULL(stream.unread_obstacle(1)).eagerlyEvaluate(nullptr);
  on.settle();
  CHECK(!gone.poll(on.io.waitScope));
  pipe.ends[1] = nullptr;
  on.settle();
  CHECK(gone.poll(on.io.waitScope));
  CHECK(stream.unread_obstacle(1) == nullptr);
}

TEST_CASE("a queue exactly as long as its limit is fine") {
  loop on;
  socket_pair sockets(on);
  const auto bytes = frame_bytes(1000, 1).size();
  for (int excess : {-1, 0, 1}) {
    // A pipe takes nothing unless it is read, so that all of it queues.
    auto pipe = kj::newTwoWayPipe();
    stream_limits limits;
    limits.queue_bytes = 10 * bytes - static_cast<std::uint64_t>(excess);
    link_stream stream(*pipe.ends[0], limits);
    for (int i = 0; i < 10; ++i) send_frame(stream, 1000, 1);
    CHECK((stream.close_reason() == nullptr) == (excess <= 0));
  }
}

TEST_CASE("what queued for a slow reader arrives in order once it reads") {
  loop on;
  two_streams both(on);
  for (int i = 0; i < 200; ++i) {
    send_frame(both.left, 20000, static_cast<kj::byte>(i));
    send_frame(both.left, 64, static_cast<kj::byte>(i + 1));
    on.io.waitScope.poll();
  }
  CHECK(both.left.meter().bytes_queued > 1000000);
  for (int i = 0; i < 200; ++i) {
    CHECK(next(both.right, on, static_cast<kj::byte>(i)).bytes == 20000);
    CHECK(next(both.right, on, static_cast<kj::byte>(i + 1)).bytes == 64);
  }
  CHECK(both.left.meter().bytes_queued == 0);
}

TEST_CASE("end() sends what is there and then ends the stream cleanly") {
  loop on;
  for (bool pipe : {false, true}) {
    socket_pair sockets(on);
    auto pipes = kj::newCapabilityPipe();
    link_stream left(pipe ? *pipes.ends[0] : *sockets.left);
    link_stream right(pipe ? *pipes.ends[1] : *sockets.right);
    send_frame(left, 500000, 1);
    send_frame(left, 64, 2);
    left.end().wait(on.io.waitScope);
    CHECK(next(right, on, 1).bytes == 500000);
    CHECK(next(right, on, 2).bytes == 64);
    CHECK(next(right, on, 0).end);
  }
}

TEST_CASE("the last words of a peer are read before its end, although writes to it fail") {
  loop on;
  socket_pair sockets(on);
  link_stream stream(*sockets.right);
  int asked = 0;
  stream.on_close([&](kj::Exception) -> kj::Promise<kj::Exception> {
    ++asked;
    return reason_at_once(KJ_EXCEPTION(DISCONNECTED, "chosen"));
  });
  {
    link_stream peer(*sockets.left);
    send_frame(peer, 64, 1);
    send_frame(peer, 64, 2);
    on.settle();
  }
  sockets.left = nullptr;
  send_frame(stream, 100000, 9);  // fails: nobody reads
  on.settle();
  CHECK(asked == 0);
  CHECK(next(stream, on, 1).bytes == 64);
  CHECK(next(stream, on, 2).bytes == 64);
  CHECK(failure_of(stream.receive({}), on) == "chosen");
  CHECK(failure_of(stream.receive({}), on) == "chosen");
  CHECK(asked == 1);
}

TEST_CASE("a peer that stops reading but stays open does not hang the stream") {
  loop on;
  socket_pair sockets(on);
  link_stream stream(*sockets.right);
  stream.on_close([](kj::Exception) -> kj::Promise<kj::Exception> {
    return reason_at_once(KJ_EXCEPTION(DISCONNECTED, "chosen"));
  });
  auto reading = stream.receive({});
  sockets.left->abortRead();
  send_frame(stream, 100000, 9);
  CHECK(failure_of(kj::mv(reading), on) == "chosen");
}

TEST_CASE("an end inside a frame is named") {
  loop on;
  const auto raw = frame_bytes(20000, 1);
  for (std::size_t part : {std::size_t{1}, std::size_t{7}, std::size_t{8}, raw.size() - 1}) {
    socket_pair sockets(on);
    link_stream stream(*sockets.right);
    sockets.left->write(raw.begin(), part).wait(on.io.waitScope);
    sockets.left = nullptr;
    CHECK(failure_of(stream.receive({}), on) ==
          "the other side closed the connection in the middle of a frame");
  }
}

TEST_CASE("abort fails the pending read and later ones with its reason, and asks nobody") {
  loop on;
  two_streams both(on);
  int asked = 0;
  both.right.on_close([&](kj::Exception cause) -> kj::Promise<kj::Exception> {
    ++asked;
    return reason_at_once(kj::mv(cause));
  });
  auto reading = both.right.receive({});
  both.right.abort(KJ_EXCEPTION(FAILED, "enough"));
  both.right.abort(KJ_EXCEPTION(FAILED, "too late"));
  CHECK(failure_of(kj::mv(reading), on) == "enough");
  CHECK(failure_of(both.right.receive({}), on) == "enough");
  CHECK(asked == 0);
}

TEST_CASE("abort also ends the wait for an answer that never comes") {
  loop on;
  two_streams both(on);
  both.right.on_close([](kj::Exception) -> kj::Promise<kj::Exception> { return kj::NEVER_DONE; });
  auto reading = both.right.receive({});
  both.left.end().wait(on.io.waitScope);
  on.settle();
  CHECK_FALSE(reading.poll(on.io.waitScope));
  both.right.abort(KJ_EXCEPTION(FAILED, "enough"));
  CHECK(failure_of(kj::mv(reading), on) == "enough");
}

TEST_CASE("an owner whose answer fails gets the raw cause") {
  loop on;
  two_streams both(on);
  both.right.on_close([](kj::Exception) -> kj::Promise<kj::Exception> {
    kj::throwFatalException(KJ_EXCEPTION(FAILED, "no idea"));
  });
  both.left.end().wait(on.io.waitScope);
  CHECK(failure_of(both.right.receive({}), on) == "the other side closed the connection");
}

TEST_CASE("a stream may go while a read of it is pending, and while it waits for its owner") {
  loop on;
  for (bool closing : {false, true}) {
    socket_pair sockets(on);
    auto stream = kj::heap<link_stream>(*sockets.right);
    stream->on_close([](kj::Exception) -> kj::Promise<kj::Exception> { return kj::NEVER_DONE; });
    auto reading = stream->receive({});
    on.settle();
    if (closing) sockets.left = nullptr;
    on.settle();
    send_frame(*stream, 1000000, 1);
    stream = nullptr;
    CHECK(reading.poll(on.io.waitScope));
    CHECK_FALSE(failure_of(kj::mv(reading), on).empty());
  }
}
