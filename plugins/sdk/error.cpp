// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/error.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace bulkhead::sdk {

namespace {

kj::String text_of(error_kind kind, std::string what, std::string why, std::string remedy) {
  wire::error_info info;
  info.kind = kind;
  info.what = std::move(what);
  info.why = std::move(why);
  info.remedy = std::move(remedy);
  return kj::str(wire::format_error(info));
}

}  // namespace

error::error(error_kind kind, std::string what, std::string why, std::string remedy)
    : kj::Exception(wire::kind_type(kind), "plugin", 0,
                    text_of(kind, std::move(what), std::move(why), std::move(remedy))),
      kind_(kind) {}

error_kind kind_of(const kj::Exception& exception) {
  // From the plugin's side of the link one hop is the broker, which may use every kind.
  return wire::parse_error(exception).kind;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  left = left.substr(0, 256);
  right = right.substr(0, 256);
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      auto above = row[j + 1];
      auto replace = diagonal + (left[i] == right[j] ? 0 : 1);
      row[j + 1] = std::min({replace, above + 1, row[j] + 1});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace bulkhead::sdk
