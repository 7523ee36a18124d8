// SPDX-License-Identifier: Apache-2.0
#include "broker/option_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

using declarations = capnp::List<schema::FieldSpec>::Reader;

constexpr std::string_view any_other = "*";

template <class Number>
bool is_number(std::string_view text) {
  Number value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size();
}

bool is_duration(std::string_view text) {
  struct unit {
    std::string_view name;
    std::int64_t ms;
  };
  static constexpr std::array<unit, 6> units{
      {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto name = text.substr(digits);
  const auto found = std::find_if(units.begin(), units.end(),
                                  [name](const unit& each) { return each.name == name; });
  std::int64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + digits, count);
  return digits > 0 && problem == std::errc() && found != units.end() &&
         count <= std::numeric_limits<std::int64_t>::max() / found->ms;
}

bool is_map(std::string_view text) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto equals = text.substr(0, comma).find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

const char* words_for(schema::FieldType type) {
  switch (type) {
    case schema::FieldType::BOOL:
      return "it is true or false";
    case schema::FieldType::INT:
      return "it is a whole number";
    case schema::FieldType::FLOAT:
      return "it is a number";
    case schema::FieldType::MAP:
      return "it is a map, as in a=1,b=2";
    case schema::FieldType::DURATION_MS:
      return "it is a time, as in 250ms, 30s or 5m";
    default:
      return "";
  }
}

std::string names_of(declarations declared) {
  std::string names;
  for (const auto each : declared) {
    if (each.getName() == any_other.data()) continue;
    names += (names.empty() ? "" : ", ") + wire::escape_line(text(each.getName()));
  }
  return names.empty() ? "it takes none" : "it takes " + names;
}

void check_one(declarations declared, const option& given) {
  const auto shown = wire::escape_line(given.name);
  bool takes_others = false;
  for (const auto each : declared) {
    if (each.getName() == any_other.data()) takes_others = true;
    if (text(each.getName()) != given.name || given.name == any_other) continue;
    if (reads_as(each.getType(), given.value)) return;
    refuse(error_kind::invalid_argument, fmt::format("option '{}' is ill-typed", shown),
           words_for(each.getType()));
  }
  if (!takes_others)
    refuse(error_kind::invalid_argument, fmt::format("the plugin has no option '{}'", shown),
           names_of(declared));
}

}  // namespace

bool reads_as(schema::FieldType type, std::string_view text) {
  switch (type) {
    case schema::FieldType::BOOL:
      return text == "true" || text == "false";
    case schema::FieldType::INT:
      return is_number<std::int64_t>(text);
    case schema::FieldType::FLOAT:
      return is_number<double>(text);
    case schema::FieldType::DURATION_MS:
      return is_duration(text);
    case schema::FieldType::MAP:
      return is_map(text);
    default:
      return true;
  }
}

void check_options(schema::PluginInfo::Reader declared, const std::vector<option>& given) {
  if (declared.hasOptions()) check_options(declared.getOptions(), given);
}

void check_options(declarations declared, const std::vector<option>& given) {
  for (const auto& each : given) check_one(declared, each);
  for (const auto each : declared) {
    const auto name = text(each.getName());
    const bool there = std::any_of(given.begin(), given.end(),
                                   [&name](const option& one) { return one.name == name; });
    if (!each.getRequired() || there) continue;
    const auto shown = wire::escape_line(name);
    refuse(error_kind::invalid_argument, fmt::format("option '{}' is missing", shown),
           wire::escape_line(text(each.getSummary())), fmt::format("--option {}=...", shown));
  }
}

}  // namespace bulkhead
