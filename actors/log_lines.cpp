// SPDX-License-Identifier: Apache-2.0
#include "actors/log_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

struct character {
  std::size_t bytes = 1;
  char32_t code = 0;
  bool valid = false;
};

/// The first character of `text`, which is not empty. Overlong forms, surrogates and codes above
/// U+10FFFF are invalid.
character decode(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first < 0x80U) return {1, first, true};
  struct form {
    unsigned mask, lead;
    std::size_t bytes;
    char32_t lowest;
  };
  static constexpr std::array forms = {form{0xE0U, 0xC0U, 2, 0x80}, form{0xF0U, 0xE0U, 3, 0x800},
                                       form{0xF8U, 0xF0U, 4, 0x10000}};
  for (const auto& form : forms) {
    if ((first & form.mask) != form.lead) continue;
    if (text.size() < form.bytes) break;
    char32_t code = first & ~form.mask;
    for (std::size_t i = 1; i < form.bytes; ++i) {
      if ((byte(i) & 0xC0U) != 0x80U) return {};
      code = (code << 6U) | (byte(i) & 0x3FU);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < form.lowest || code > 0x10FFFF || surrogate) return {};
    return {form.bytes, code, true};
  }
  return {};
}

/// Also what cannot be seen, or makes text look like another: zero-width characters, marks of
/// direction, tags, and the soft hyphen.
bool acts_on_a_terminal(char32_t code) {
  struct range {
    char32_t first, last;
  };
  static constexpr std::array ranges = {
      range{0x00, 0x1F},     range{0x7F, 0x9F},     range{0xAD, 0xAD},       range{0x61C, 0x61C},
      range{0x180E, 0x180E}, range{0x200B, 0x200F}, range{0x2028, 0x202E},   range{0x2060, 0x206F},
      range{0xFEFF, 0xFEFF}, range{0xFFF9, 0xFFFB}, range{0xE0000, 0xE007F},
  };
  return std::any_of(ranges.begin(), ranges.end(),
                     [code](const range& each) { return code >= each.first && code <= each.last; });
}

/// The character as it is shown.
std::string shown(const character& c, std::string_view text) {
  if (!c.valid) return fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
  if (c.code == '\t') return "\\t";
  if (!acts_on_a_terminal(c.code)) return std::string{text.substr(0, c.bytes)};
  if (c.code < 0x80) return fmt::format("\\x{:02x}", static_cast<unsigned>(c.code));
  return fmt::format("\\u{:04x}", static_cast<unsigned>(c.code));
}

}  // namespace

std::string printable(std::string_view raw, std::size_t bytes_max) {
  const std::size_t room = std::max(bytes_max, log_line_bytes_min);
  const std::size_t room_with_mark = room - log_cut_mark.size();
  std::string text;
  std::size_t fits_with_mark = 0;
  while (!raw.empty()) {
    const auto next = decode(raw);
    const auto piece = shown(next, raw);
    if (text.size() + piece.size() > room) {
      text.resize(fits_with_mark);
      text += log_cut_mark;
      return text;
    }
    text += piece;
    if (text.size() <= room_with_mark) fits_with_mark = text.size();
    raw.remove_prefix(next.bytes);
  }
  return text;
}

line_splitter::line_splitter(log_line_limits limits) : limits_{limits} {
  limits_.line_bytes_max = std::max(limits_.line_bytes_max, log_line_bytes_min);
}

std::vector<std::string> line_splitter::feed(std::string_view bytes, instant now) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const auto part = bytes.substr(0, newline);
    const bool ends = newline != std::string_view::npos;
    bytes.remove_prefix(ends ? newline + 1 : bytes.size());
    if (skipping_) {
      skipping_ = !ends;
      continue;
    }
    // One byte above the limit is kept, so that `printable` sees that the line is too long.
    line_.append(part.substr(0, limits_.line_bytes_max + 1 - line_.size()));
    const bool too_long = line_.size() > limits_.line_bytes_max;
    skipping_ = too_long && !ends;
    if (ends || too_long) end_line(now, lines);
  }
  return lines;
}

std::vector<std::string> line_splitter::finish(instant now) {
  std::vector<std::string> lines;
  if (!line_.empty()) end_line(now, lines);
  tell_drops(lines);
  skipping_ = false;
  return lines;
}

void line_splitter::end_line(instant now, std::vector<std::string>& lines) {
  std::string line = std::exchange(line_, {});
  if (line.size() <= limits_.line_bytes_max && !line.empty() && line.back() == '\r') {
    line.pop_back();
  }
  if (!may_pass(now)) {
    ++dropped_;
    ++untold_;
    return;
  }
  tell_drops(lines);
  lines.push_back(printable(line, limits_.line_bytes_max));
}

/// A bucket of one second: each line costs a share of it, time fills it.
bool line_splitter::may_pass(instant now) {
  if (limits_.lines_per_s_max == 0) return true;
  const std::chrono::nanoseconds cost =
      std::chrono::nanoseconds{1s} / static_cast<std::int64_t>(limits_.lines_per_s_max);
  if (!seen_any_) credit_ = 1s;
  if (seen_any_) credit_ = std::min<std::chrono::nanoseconds>(1s, credit_ + (now - last_));
  seen_any_ = true;
  last_ = now;
  if (credit_ < cost) return false;
  credit_ -= cost;
  return true;
}

void line_splitter::tell_drops(std::vector<std::string>& lines) {
  if (untold_ == 0) return;
  lines.push_back(fmt::format("[{} line{} dropped: more than {} per second]", untold_,
                              untold_ == 1 ? "" : "s", limits_.lines_per_s_max));
  untold_ = 0;
}

}  // namespace bulkhead
