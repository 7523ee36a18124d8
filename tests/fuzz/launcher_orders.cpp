// SPDX-License-Identifier: Apache-2.0
//
// What the launcher takes for an order keeps its promises: every text that it speaks of ends inside
// the message. The first byte is the number of descriptors, the rest is the message.
#include <cstring>
#include <memory>
#include <vector>

#include "actors/launcher/orders.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::launcher;
using bulkhead::fuzz::require;

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t descriptors = data[0];
  const std::size_t bytes = size - 1;
  // To the byte, so that one that is read behind the end is seen.
  const std::unique_ptr<std::byte[]> message(new std::byte[bytes]);
  if (bytes > 0) std::memcpy(message.get(), data + 1, bytes);
  const auto kind = valid_order(message.get(), bytes, descriptors);
  if (kind != order_kind::start) return 0;
  const auto& order = *reinterpret_cast<const start_order*>(message.get());
  require(size_of(order) == bytes, "a start is as long as it says");
  const std::size_t texts = std::size_t{order.arguments} + order.environment + order.placements;
  const char* end = order.text.data() + order.text_bytes;
  for (std::size_t i = 0; i < texts; ++i) {
    const char* text = text_of(order, i);
    require(text >= order.text.data() && text + std::strlen(text) < end, "a text ends inside");
  }
  require(descriptors == start_fds + std::size_t{order.placements}, "each descriptor has its use");
  return 0;
}
