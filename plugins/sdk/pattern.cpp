// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/pattern.hpp"

#include <algorithm>
#include <stdexcept>

namespace bulkhead::sdk {
namespace {

std::string_view take_segment(std::string_view& path) {
  auto slash = std::min(path.find('/'), path.size());
  auto segment = path.substr(0, slash);
  path.remove_prefix(std::min(slash + 1, path.size()));
  return segment;
}

}  // namespace

pattern::pattern(std::string text) : text_(std::move(text)) {
  std::string_view left = text_;
  while (!left.empty()) {
    auto part = take_segment(left);
    auto bad = [&](const char* why) {
      throw std::invalid_argument("path pattern '" + text_ + "': " + why);
    };
    if (part.empty()) bad("an empty segment");
    if (!segments_.empty() && segments_.back().kind == segment_kind::rest) bad("{x*} must be last");
    if (part.front() != '{') {
      if (part.find_first_of("{}*") != std::string_view::npos) bad("a brace inside a segment");
      segments_.push_back({segment_kind::literal, std::string(part)});
    } else {
      if (part.size() < 3 || part.back() != '}') bad("a brace that does not close");
      auto name = part.substr(1, part.size() - 2);
      bool rest = name.back() == '*';
      if (rest) name.remove_suffix(1);
      if (name.empty() || name.find_first_of("{}*") != std::string_view::npos) bad("a bad name");
      segments_.push_back({rest ? segment_kind::rest : segment_kind::capture, std::string(name)});
    }
    rank_ += static_cast<char>(segments_.back().kind);
  }
}

std::optional<pattern::captures> pattern::match(std::string_view path) const {
  captures result;
  for (const auto& segment : segments_) {
    if (segment.kind == segment_kind::rest) {
      result.emplace_back(segment.name, std::string(path));
      return result;
    }
    if (path.empty()) return std::nullopt;
    auto part = take_segment(path);
    if (part.empty()) return std::nullopt;
    if (segment.kind == segment_kind::capture) {
      result.emplace_back(segment.name, std::string(part));
    } else if (part != segment.name) {
      return std::nullopt;
    }
  }
  if (!path.empty()) return std::nullopt;
  return result;
}

}  // namespace bulkhead::sdk
