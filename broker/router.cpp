// SPDX-License-Identifier: Apache-2.0
#include "broker/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead {
namespace {

bool is_segment_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

}  // namespace

bool is_reserved_path(std::string_view path) {
  constexpr std::array<std::string_view, 4> reserved{"sys/", "auth/", "audit/", "identity/"};
  return std::any_of(reserved.begin(), reserved.end(),
                     [path](std::string_view each) { return path.starts_with(each); });
}

std::optional<std::string> normalise_mount_path(std::string_view path, std::string& problem) {
  std::string normal(path);
  if (!normal.empty() && normal.back() != '/') normal += '/';
  if (normal.empty()) {
    problem = "it is empty";
  } else if (normal.size() > mount_path_bytes_max) {
    problem = fmt::format("it is longer than {} bytes", mount_path_bytes_max);
  } else if (is_reserved_path(normal)) {
    problem = "sys/, auth/, audit/ and identity/ are kept for the broker";
  }
  if (!problem.empty()) return std::nullopt;
  std::string_view rest(normal);
  while (!rest.empty()) {
    const auto segment = rest.substr(0, rest.find('/'));
    if (segment.empty() || segment == "." || segment == ".." ||
        !std::all_of(segment.begin(), segment.end(), is_segment_byte)) {
      problem = "it is made of segments of letters, digits, '_', '.', '-', each ended by a slash";
      return std::nullopt;
    }
    rest.remove_prefix(segment.size() + 1);
  }
  return normal;
}

}  // namespace bulkhead
