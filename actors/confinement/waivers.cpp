// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/waivers.hpp"

#include <fmt/format.h>

namespace bulkhead {

std::vector<std::string_view> walls_to_waive(const confinement_report& found, wall missing) {
  const auto required = required_walls(found.of) & ~found.waived;
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < wall_count; ++at) {
    const auto which = static_cast<wall>(at);
    const auto state = found[which].state;
    // What is off was not come to.
    const bool absent = state == wall_state::unavailable || state == wall_state::failed;
    if (which == missing || (required.test(at) && absent)) words.push_back(to_string(which));
  }
  return words;
}

std::string waiver_flags(const confinement_report& found, wall missing) {
  return fmt::format("--waive {}", fmt::join(walls_to_waive(found, missing), " --waive "));
}

}  // namespace bulkhead
