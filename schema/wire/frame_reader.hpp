// SPDX-License-Identifier: Apache-2.0
//
// A message that owns the frame it reads. libcapnp's own FlatArrayMessageReader refers to memory
// that somebody else keeps; here one object holds both, which saves two allocations per message
// on the hot path. The frame must have passed `check_frame`: the table is believed.
#pragma once

#include <capnp/message.h>
#include <kj/array.h>

namespace bulkhead::wire {

class frame_reader final : public capnp::MessageReader {
 public:
  /// `frame` is one whole frame that the guard has passed, table included.
  frame_reader(kj::Array<capnp::word> frame, capnp::ReaderOptions options);
  ~frame_reader() noexcept(false) override;
  KJ_DISALLOW_COPY(frame_reader);

  kj::ArrayPtr<const capnp::word> getSegment(capnp::uint id) override;

 private:
  kj::Array<capnp::word> frame_;
};

}  // namespace bulkhead::wire
