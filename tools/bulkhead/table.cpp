// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "schema/wire/error_text.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::string_view gap = "  ";

std::string_view sequence(tint colour_of) {
  switch (colour_of) {
    case tint::good:
      return "\x1b[32m";
    case tint::warn:
      return "\x1b[33m";
    case tint::bad:
      return "\x1b[31m";
    case tint::faint:
      return "\x1b[2m";
    case tint::heading:
      return "\x1b[1m";
    case tint::none:
      break;
  }
  return {};
}

}  // namespace

std::string tinted(std::string_view text, tint colour_of, bool colour) {
  if (!colour || colour_of == tint::none || text.empty()) return std::string(text);
  return fmt::format("{}{}\x1b[0m", sequence(colour_of), text);
}

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

table::table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

void table::add(std::vector<std::string> cells, tint state_tint) {
  cells.resize(headings_.size());
  for (auto& cell : cells) cell = wire::escape_line(cell);
  rows_.push_back({std::move(cells), state_tint});
}

std::string table::render(bool colour) const {
  std::vector<std::size_t> widths;
  widths.reserve(headings_.size());
  for (const auto& heading : headings_) widths.push_back(character_count(heading));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], character_count(row.cells[i]));
    }
  }
  const auto line = [&](const std::vector<std::string>& cells, auto tint_of) {
    std::string text;
    std::size_t pending = 0;  // blanks, written only before something else
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!cells[i].empty()) {
        text.append(pending, ' ');
        text += tinted(cells[i], tint_of(i), colour);
        pending = 0;
      }
      pending += widths[i] - character_count(cells[i]) + gap.size();
    }
    return text + "\n";
  };
  std::string text = line(headings_, [](std::size_t) { return tint::heading; });
  for (const auto& row : rows_) {
    text += line(row.cells, [&](std::size_t i) {
      return headings_[i] == "STATE" ? row.state_tint : tint::none;
    });
  }
  return text;
}

std::string short_duration(std::uint64_t ms) {
  constexpr std::uint64_t second = 1000;
  constexpr std::uint64_t minute = 60 * second;
  constexpr std::uint64_t hour = 60 * minute;
  constexpr std::uint64_t day = 24 * hour;
  if (ms < second) return fmt::format("{} ms", ms);
  if (ms < minute) return fmt::format("{} s", ms / second);
  if (ms < hour) return fmt::format("{} m {} s", ms / minute, ms % minute / second);
  if (ms < day) return fmt::format("{} h {} m", ms / hour, ms % hour / minute);
  return fmt::format("{} d {} h", ms / day, ms % day / hour);
}

std::string short_bytes(std::uint64_t bytes) {
  constexpr double step = 1024;
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double scaled = static_cast<double>(bytes);
  std::size_t unit = 0;
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  while (scaled >= step && unit + 1 < std::size(units)) {
    scaled /= step;
    ++unit;
  }
  return fmt::format("{:.1f} {}", scaled, units[unit]);
}

std::string utc_time(std::int64_t unix_ms) {
  const std::int64_t ms = ((unix_ms % 1000) + 1000) % 1000;
  const std::time_t seconds = static_cast<std::time_t>((unix_ms - ms) / 1000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{} ms", unix_ms);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ms);
}

}  // namespace bulkhead::cli
