// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/suggest.hpp"

#include <algorithm>
#include <numeric>

namespace bulkhead::wire {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
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
  std::size_t best_distance = suggest_distance_max + 1;
  for (const auto& name : names) {
    if (std::max(typed.size(), name.size()) > suggest_bytes_max) continue;
    const std::size_t distance = edit_distance(typed, name);
    if (distance < best_distance && distance * 2 <= std::max(typed.size(), name.size())) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace bulkhead::wire
