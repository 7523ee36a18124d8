// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/rpc_frame.hpp"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>

#include <cstdint>
#include <cstring>

namespace bulkhead::wire {

namespace {

constexpr std::uint16_t no_message = 0xffff;

// The discriminant is the first field of rpc::Message's data section. The root is a struct pointer
// in the first word: two tag bits (0), then a signed offset of 30 bits in words.
std::uint16_t discriminant(frame_segments segments) {
  if (segments.size() == 0 || segments[0].size() < 2) return no_message;
  const auto first = segments[0];
  std::uint32_t pointer = 0;
  std::memcpy(&pointer, first.begin(), sizeof pointer);
  if ((pointer & 3U) != 0) return no_message;
  const std::int64_t at = 1 + std::int64_t{static_cast<std::int32_t>(pointer) >> 2};
  if (at < 1 || at >= static_cast<std::int64_t>(first.size())) return no_message;
  std::uint16_t which = no_message;
  std::memcpy(&which, first.begin() + at, sizeof which);
  return which;
}

}  // namespace

bool may_wait(frame_segments segments) {
  const auto which = discriminant(segments);
  return which == capnp::rpc::Message::FINISH || which == capnp::rpc::Message::RELEASE;
}

bool is_call(frame_segments segments) {
  return discriminant(segments) == capnp::rpc::Message::CALL;
}

kj::Maybe<kj::Exception> abort_reason(frame_segments segments) {
  if (discriminant(segments) != capnp::rpc::Message::ABORT) return nullptr;
  kj::String text = kj::str("");
  kj::runCatchingExceptions([&]() {
    capnp::SegmentArrayMessageReader reader(segments);
    text = kj::str(reader.getRoot<capnp::rpc::Message>().getAbort().getReason());
  });
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::mv(text));
}

}  // namespace bulkhead::wire
