// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/waivers.hpp"

#include <fmt/format.h>

#include <cerrno>

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

std::string_view way_to_have(const confinement_report& found, wall missing) {
  constexpr std::string_view any = "make the machine offer it";
  if (missing != wall::own_uid || !found.as_root) return any;
  switch (found[missing].error_number) {
    case EINVAL:
      return "map the uids 2000203776 to 2147352575 into this container";
    case EUSERS:
      return "stop other brokers, which hold all uids there are for plugins";
    case EROFS:
    case ENOENT:
    case EACCES:
    case EPERM:
    case ELOOP:
      return "let root, and nobody else, write /run, and in it /run/bulkhead-users (mode 0600), "
             "which tells which uids are taken";
    default:
      return any;
  }
}

}  // namespace bulkhead
