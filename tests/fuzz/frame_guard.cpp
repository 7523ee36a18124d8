// SPDX-License-Identifier: Apache-2.0
//
// Whatever the guard calls a frame lies within the bytes and can be read by libcapnp to its end;
// and it says the same however few bytes it has, as soon as it says anything.
#include <capnp/any.h>
#include <capnp/message.h>

#include <cstring>

#include "schema/wire/frame_guard.hpp"
#include "schema/wire/frame_reader.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::wire;
using bulkhead::fuzz::require;

namespace {

void read_all(kj::ArrayPtr<const kj::byte> bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.begin(), bytes.size());
  frame_reader reader(kj::mv(words), {});
  std::size_t segments = 0;
  while (reader.getSegment(static_cast<capnp::uint>(segments)) != nullptr) ++segments;
  try {
    reader.getRoot<capnp::AnyPointer>().targetSize();
  } catch (const kj::Exception&) {
    // Nothing vouches for what is inside a frame.
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = kj::arrayPtr(data, size);
  const stream_limits limits;
  const auto whole = check_frame(bytes, limits);
  using verdict = frame_check::verdict;
  require(!describe_fault(whole, limits).empty(), "every verdict has words");
  if (whole.result == verdict::need_more) {
    require(whole.amount > size, "who asks for more does not have it");
    return 0;
  }
  if (whole.result == verdict::frame) {
    require(whole.amount % sizeof(capnp::word) == 0, "a frame is of whole words");
    require(whole.amount <= limits.frame_bytes, "a frame is within its limit");
    if (whole.amount <= size) read_all(bytes.slice(0, whole.amount));
  }
  for (std::size_t fewer = 0; fewer < size && fewer < 64; ++fewer) {
    const auto part = check_frame(bytes.slice(0, fewer), limits);
    require(part.result == verdict::need_more ||
                (part.result == whole.result && part.fault == whole.fault),
            "fewer bytes do not change the verdict");
  }
  return 0;
}
