// SPDX-License-Identifier: Apache-2.0
//
// What a plugin writes to its log comes out as lines that are short enough and do nothing to a
// terminal, however it is cut into reads. The first byte chooses the limit of a line and the size
// of the reads.
#include <string>
#include <string_view>

#include "actors/log_lines.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead;
using fuzz::require;

namespace {

std::vector<std::string> lines_of(std::string_view text, std::size_t at_once, std::size_t most) {
  line_splitter splitter({.line_bytes_max = most, .lines_per_s_max = 0});
  std::vector<std::string> lines;
  const auto take = [&lines](std::vector<std::string>&& more) {
    lines.insert(lines.end(), more.begin(), more.end());
  };
  for (std::size_t at = 0; at < text.size(); at += at_once) {
    take(splitter.feed(text.substr(at, at_once), instant{}));
  }
  take(splitter.finish(instant{}));
  return lines;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t most = log_line_bytes_min + (data[0] & 0x0fU) * 8;
  const std::size_t at_once = 1 + (data[0] >> 4U);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto lines = lines_of(text, at_once, most);
  for (const auto& line : lines) {
    require(line.size() <= most, "a line is within its limit");
    require(printable(line, most) == line, "a line has nothing left to escape");
    for (const char each : line) {
      require(static_cast<unsigned char>(each) >= ' ' && each != '\x7f', "a line is printable");
    }
  }
  require(lines == lines_of(text, size, most), "it does not matter how it was read");
  return 0;
}
