// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/frame_reader.hpp"

#include <cstdint>
#include <cstring>

namespace bulkhead::wire {

namespace {

std::uint32_t table_entry(const capnp::word* frame, std::size_t index) {
  std::uint32_t value = 0;
  std::memcpy(&value, reinterpret_cast<const kj::byte*>(frame) + index * sizeof value,
              sizeof value);
  return value;
}

}  // namespace

frame_reader::frame_reader(kj::Array<capnp::word> frame, capnp::ReaderOptions options)
    : MessageReader(options), frame_(kj::mv(frame)) {}

frame_reader::~frame_reader() noexcept(false) = default;

kj::ArrayPtr<const capnp::word> frame_reader::getSegment(capnp::uint id) {
  // Segment 0 is asked for once per message; the others when a far pointer leads there, and
  // libcapnp remembers the answer. So the table is walked, not indexed.
  const std::size_t segments = std::size_t{table_entry(frame_.begin(), 0)} + 1;
  if (id >= segments) return nullptr;
  std::size_t start = segments / 2 + 1;
  for (std::size_t i = 0; i < id; ++i) start += table_entry(frame_.begin(), i + 1);
  return frame_.slice(start, start + table_entry(frame_.begin(), id + 1));
}

}  // namespace bulkhead::wire
