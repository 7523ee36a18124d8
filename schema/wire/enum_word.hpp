// SPDX-License-Identifier: Apache-2.0
//
// The word for an enumerator of a contract, as the contract spells it: "read", "stdout", "ready".
#pragma once

#include <capnp/schema.h>

#include <string_view>

namespace bulkhead::wire {

/// "unknown" for an enumerator of a newer version.
template <typename Enum>
std::string_view enum_word(Enum value) {
  const auto known = capnp::Schema::from<Enum>().getEnumerants();
  const auto index = static_cast<capnp::uint>(value);
  if (index >= known.size()) return "unknown";
  const auto name = known[index].getProto().getName();
  return {name.begin(), name.size()};
}

}  // namespace bulkhead::wire
