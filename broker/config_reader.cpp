// SPDX-License-Identifier: Apache-2.0
#include "broker/config_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "broker/error.hpp"
#include "schema/wire/error_text.hpp"
#include "schema/wire/suggest.hpp"

namespace bulkhead {
namespace {

constexpr std::int64_t config_span_ms_max = 24LL * 60 * 60 * 1000;

}  // namespace

std::string suggestion(std::string_view typed, const std::vector<std::string>& names) {
  const auto name = wire::nearest(typed, names);
  return name.empty() ? fmt::format("one of: {}", fmt::join(names, ", "))
                      : fmt::format("did you mean '{}'?", name);
}

void config_reader::refuse(const toml::source_region& where, const std::string& what,
                           std::string remedy) const {
  throw error(error_kind::invalid_argument, fmt::format("{}:{}: {}", file_, where.begin.line, what),
              {}, std::move(remedy));
}

void config_reader::each(const toml::table& table, const std::string& what,
                         const fields& known) const {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const auto found = known.find(name);
    if (found == known.end()) {
      std::vector<std::string> names;
      names.reserve(known.size());
      for (const auto& one : known) names.push_back(one.first);
      refuse(key.source(), fmt::format("{} '{}' is not known", what, wire::escape_line(name)),
             suggestion(name, names));
    }
    found->second(node);
  }
}

const toml::table& config_reader::table(const toml::node& node, const std::string& name) const {
  if (!node.is_table()) refuse(node, fmt::format("{} is no table", name));
  return *node.as_table();
}

std::string config_reader::text(const toml::node& node, const std::string& name) const {
  const auto* value = node.as_string();
  if (value == nullptr) refuse(node, fmt::format("{} is no text", name), "put it in quotes");
  return value->get();
}

bool config_reader::flag(const toml::node& node, const std::string& name) const {
  const auto* value = node.as_boolean();
  if (value == nullptr) refuse(node, fmt::format("{} is neither true nor false", name));
  return value->get();
}

std::int64_t config_reader::number(const toml::node& node, const std::string& name,
                                   std::int64_t least, std::int64_t most) const {
  const auto* value = node.as_integer();
  if (value == nullptr) refuse(node, fmt::format("{} is no whole number", name));
  if (value->get() < least || value->get() > most)
    refuse(node, fmt::format("{} is {}; it is {} to {}", name, value->get(), least, most));
  return value->get();
}

std::chrono::milliseconds config_reader::span(const toml::node& node,
                                              const std::string& name) const {
  return std::chrono::milliseconds(number(node, name, 0, config_span_ms_max));
}

std::vector<std::string> config_reader::names(const toml::node& node,
                                              const std::string& name) const {
  if (!node.is_array()) refuse(node, fmt::format("{} is no list", name), "as in [\"a\", \"b\"]");
  std::vector<std::string> result;
  for (const auto& each : *node.as_array()) result.push_back(text(each, name));
  return result;
}

std::size_t config_reader::choice(const toml::node& node, const std::string& name,
                                  const std::vector<std::string>& choices) const {
  const auto value = text(node, name);
  const auto found = std::find(choices.begin(), choices.end(), value);
  if (found == choices.end())
    refuse(node, fmt::format("the {} '{}' is not known", name, wire::escape_line(value)),
           suggestion(value, choices));
  return static_cast<std::size_t>(found - choices.begin());
}

}  // namespace bulkhead
