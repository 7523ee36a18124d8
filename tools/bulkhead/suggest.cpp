// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::cli {

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names) {
  const std::string name = nearest(typed, names);
  return name.empty() ? std::string() : fmt::format("did you mean '{}'?", name);
}

std::string join_names(const std::vector<std::string>& names, std::size_t names_max) {
  std::string joined;
  for (std::size_t i = 0; i < std::min(names.size(), names_max); ++i) {
    joined += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > names_max) joined += fmt::format(", and {} more", names.size() - names_max);
  return joined;
}

}  // namespace bulkhead::cli
