// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::cli {

unsigned edit_distance(std::string_view a, std::string_view b) {
  std::vector<unsigned> before_last(b.size() + 1);
  std::vector<unsigned> last(b.size() + 1);
  std::vector<unsigned> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<unsigned>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = static_cast<unsigned>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const unsigned changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view typed, const std::vector<std::string>& names) {
  std::string best;
  unsigned best_distance = suggest_distance_max + 1;
  for (const auto& name : names) {
    const unsigned distance = edit_distance(typed, name);
    if (distance < best_distance && distance * 2 < std::max(typed.size(), name.size()) + 1) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

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
