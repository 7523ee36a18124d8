// SPDX-License-Identifier: Apache-2.0
// Is this message an order? Pure: looks at bytes, and says yes or no.
//
// The broker is trusted more than a plugin, and yet its orders are checked as if it were not: the
// launcher has root's powers, and what a broker that was taken over can make it do ends here. After
// a yes each member of the message is within its bounds, each text ends inside it, and the number
// of descriptors is the one that the message speaks of.
#pragma once

#include <cstddef>

#include "actors/launcher/protocol.hpp"

namespace bulkhead::launcher {

/// The kind of the order that `bytes` holds, when it is a valid one; 0 otherwise. `bytes` are
/// aligned as a start_order is.
order_kind valid_order(const std::byte* bytes, std::size_t size, std::size_t descriptors);

/// The `n`th of the texts of a valid start: the arguments, then the environment, then the
/// placements.
const char* text_of(const start_order& order, std::size_t n);

/// Where the `n`th placement goes.
inline const char* place_of(const start_order& order, std::size_t n) {
  return text_of(order, std::size_t{order.arguments} + order.environment + n);
}

/// The length of the message that carries this start.
inline std::size_t size_of(const start_order& order) {
  return offsetof(start_order, text) + order.text_bytes;
}

}  // namespace bulkhead::launcher
