// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/refusal.hpp"

#include <fmt/format.h>

namespace bulkhead::trust {

std::string quoted(std::string_view text) {
  constexpr std::size_t shown_bytes_max = 64;
  std::string result = "'";
  for (const char c : text.substr(0, shown_bytes_max)) {
    if (c >= ' ' && c <= '~') {
      result += c;
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return result + (text.size() > shown_bytes_max ? "...'" : "'");
}

}  // namespace bulkhead::trust
