// SPDX-License-Identifier: Apache-2.0
//
// Amounts as people write them: "64", "256K", "300M", "2G", "1.5G" is not one.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace bulkhead::wire {

/// Units are powers of 1024: K, M, G, T, also written KiB and so on. Nothing for what is no amount,
/// or too large a one.
inline std::optional<std::uint64_t> parse_amount(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end == text.data()) return std::nullopt;
  auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty()) return value;
  constexpr std::string_view units = "KMGT";
  const auto power = units.find(unit[0]);
  if (power == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "iB"))
    return std::nullopt;
  const auto shift = 10 * (power + 1);
  if (value > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return value << shift;
}

}  // namespace bulkhead::wire
