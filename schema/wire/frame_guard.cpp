// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/frame_guard.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace bulkhead::wire {

namespace {

static_assert(std::endian::native == std::endian::little, "frames are little-endian");

std::uint32_t word32_at(kj::ArrayPtr<const kj::byte> bytes, std::size_t index) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.begin() + index * sizeof value, sizeof value);
  return value;
}

frame_check fault_of(frame_fault fault, std::uint64_t amount) {
  return {frame_check::verdict::fault, fault, amount};
}

frame_check more(std::uint64_t bytes) {
  return {frame_check::verdict::need_more, frame_fault::none, bytes};
}

}  // namespace

frame_check check_frame(kj::ArrayPtr<const kj::byte> prefix, const stream_limits& limits) {
  if (prefix.size() < sizeof(std::uint32_t)) return more(sizeof(std::uint64_t));
  const std::uint64_t segments = std::uint64_t{word32_at(prefix, 0)} + 1;
  if (segments > limits.segments) return fault_of(frame_fault::too_many_segments, segments);
  const std::uint64_t table_bytes = (segments / 2 + 1) * sizeof(std::uint64_t);
  if (table_bytes > limits.frame_bytes) return fault_of(frame_fault::too_big, table_bytes);
  if (prefix.size() < table_bytes) return more(table_bytes);
  std::uint64_t words = 0;
  for (std::uint64_t i = 0; i < segments; ++i) words += word32_at(prefix, i + 1);
  if (word32_at(prefix, 1) == 0) return fault_of(frame_fault::empty, 0);
  const std::uint64_t frame_bytes = table_bytes + words * sizeof(std::uint64_t);
  if (frame_bytes > limits.frame_bytes) return fault_of(frame_fault::too_big, frame_bytes);
  return {frame_check::verdict::frame, frame_fault::none, frame_bytes};
}

const char* fault_name(frame_fault fault) {
  switch (fault) {
    case frame_fault::none:
      return "none";
    case frame_fault::too_many_segments:
      return "too_many_segments";
    case frame_fault::too_big:
      return "too_big";
    case frame_fault::empty:
      return "empty";
  }
  return "unknown";
}

std::string describe_fault(const frame_check& check, const stream_limits& limits) {
  switch (check.fault) {
    case frame_fault::none:
      break;
    case frame_fault::too_many_segments:
      return fmt::format("a frame of {} segments, {} allowed", check.amount, limits.segments);
    case frame_fault::too_big:
      return fmt::format("a frame of {} bytes, {} allowed", check.amount, limits.frame_bytes);
    case frame_fault::empty:
      return "a frame without a root pointer";
  }
  return "no fault";
}

}  // namespace bulkhead::wire
