// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/field.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "plugins/sdk/convert.hpp"
#include "plugins/sdk/error.hpp"

namespace bulkhead::sdk {
namespace {

constexpr std::array<std::string_view, 9> type_names{"text", "bool", "int",      "float", "data",
                                                     "list", "map",  "duration", "any"};

std::string_view name_of(field_type type) {
  auto at = static_cast<std::size_t>(type);
  return at < type_names.size() ? type_names.at(at) : "any";
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t result = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return result;
}

std::optional<double> parse_float(std::string_view text) {
  double result = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return result;
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  struct unit {
    std::string_view name;
    std::int64_t ms;
  };
  static constexpr std::array<unit, 6> units{
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"", 1}}};
  auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  auto count = parse_integer(text.substr(0, digits));
  if (!count) return std::nullopt;
  for (const auto& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (*count > std::numeric_limits<std::int64_t>::max() / unit.ms) return std::nullopt;
    return *count * unit.ms;
  }
  return std::nullopt;
}

std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto comma = std::min(text.find(','), text.size());
    parts.push_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::optional<value> parse_map(std::string_view text) {
  fields result;
  for (auto part : split_at_commas(text)) {
    auto equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    result.set(std::string(part.substr(0, equals)), part.substr(equals + 1));
  }
  return value(std::move(result));
}

template <class T>
std::optional<value> wrap(std::optional<T> parsed) {
  if (!parsed) return std::nullopt;
  return value(*parsed);
}

std::optional<value> from_text(field_type type, const std::string& text) {
  switch (type) {
    case field_type::BOOL:
      if (text == "true") return value(true);
      if (text == "false") return value(false);
      return std::nullopt;
    case field_type::INT:
      return wrap(parse_integer(text));
    case field_type::FLOAT:
      return wrap(parse_float(text));
    case field_type::DATA:
      return value(bytes(text.begin(), text.end()));
    case field_type::LIST: {
      value::list items;
      for (auto part : split_at_commas(text)) items.emplace_back(part);
      return value(std::move(items));
    }
    case field_type::MAP:
      return parse_map(text);
    case field_type::DURATION_MS:
      return wrap(parse_duration_ms(text));
    default:
      return value(text);
  }
}

bool is_of(field_type type, const value& given) {
  switch (type) {
    case field_type::TEXT:
      return given.get_if<std::string>() != nullptr;
    case field_type::BOOL:
      return given.get_if<bool>() != nullptr;
    case field_type::INT:
    case field_type::DURATION_MS:
      return given.get_if<std::int64_t>() != nullptr;
    case field_type::FLOAT:
      return given.get_if<double>() != nullptr;
    case field_type::DATA:
      return given.get_if<bytes>() != nullptr;
    case field_type::LIST:
      return given.get_if<value::list>() != nullptr;
    case field_type::MAP:
      return given.get_if<fields>() != nullptr;
    default:
      return true;
  }
}

}  // namespace

field::field(std::string name, field_type type) : name_(std::move(name)), type_(type) {}

field& field::required() {
  required_ = true;
  return *this;
}

field& field::or_else(value fallback) {
  fallback_ = std::move(fallback);
  return *this;
}

field& field::secret() {
  secret_ = true;
  return *this;
}

field& field::help(std::string sentence) {
  help_ = std::move(sentence);
  return *this;
}

field& field::between(std::int64_t lowest, std::int64_t highest) {
  lowest_ = lowest;
  highest_ = highest;
  return *this;
}

field& field::one_of(std::vector<std::string> allowed) {
  allowed_ = std::move(allowed);
  return *this;
}

value field::convert(value given) const {
  if (is_of(type_, given)) return given;
  if (const auto* text = given.get_if<std::string>()) {
    if (auto result = from_text(type_, *text)) return *std::move(result);
    throw error(error_kind::INVALID_ARGUMENT,
                "field '" + name_ + "' does not read as " + std::string(name_of(type_)));
  }
  if (const auto* whole = given.get_if<std::int64_t>(); whole && type_ == field_type::FLOAT) {
    return static_cast<double>(*whole);
  }
  throw error(error_kind::INVALID_ARGUMENT, "field '" + name_ + "' must be " +
                                                std::string(name_of(type_)) + ", not " +
                                                std::string(given.kind_name()));
}

void field::check_bounds(const value& given) const {
  bool outside = false;
  if (const auto* whole = given.get_if<std::int64_t>()) {
    outside = *whole < lowest_ || *whole > highest_;
  } else if (const auto* real = given.get_if<double>()) {
    // Written so that a NaN is outside.
    outside = !(*real >= static_cast<double>(lowest_) && *real <= static_cast<double>(highest_));
  }
  if (outside) {
    throw error(
        error_kind::INVALID_ARGUMENT, "field '" + name_ + "' is out of range",
        "it must lie between " + std::to_string(lowest_) + " and " + std::to_string(highest_));
  }
  const auto* text = given.get_if<std::string>();
  if (text == nullptr || allowed_.empty()) return;
  if (std::find(allowed_.begin(), allowed_.end(), *text) != allowed_.end()) return;
  std::string choices;
  for (const auto& choice : allowed_) choices += (choices.empty() ? "" : ", ") + choice;
  throw error(error_kind::INVALID_ARGUMENT,
              "field '" + name_ + "' has a value that is not allowed" +
                  (secret_ ? "" : did_you_mean(*text, allowed_)),
              "it must be one of " + choices);
}

value field::accept(value given) const {
  bool was_secret = given.is_secret();
  auto result = convert(std::move(given));
  check_bounds(result);
  result.mark_secret(secret_ || was_secret);
  return result;
}

accepted_fields accept_fields(const std::vector<field>& declared, const fields& given,
                              const std::string& where) {
  accepted_fields result;
  const bool takes_others =
      std::any_of(declared.begin(), declared.end(), [](const field& f) { return f.is_rest(); });
  for (const auto& entry : given) {
    auto found = std::find_if(declared.begin(), declared.end(), [&](const field& f) {
      return !f.is_rest() && f.name() == entry.name;
    });
    if (found != declared.end()) {
      // A null is the same as a field that is not there.
      if (!entry.what.is_null()) result.declared.set(entry.name, found->accept(entry.what));
    } else if (takes_others) {
      result.others.set(entry.name, entry.what);
    } else {
      std::vector<std::string> names;
      names.reserve(declared.size());
      for (const auto& f : declared) names.push_back(f.name());
      std::string list;
      for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
      throw error(error_kind::INVALID_ARGUMENT,
                  where + " has no field '" + entry.name + "'" + did_you_mean(entry.name, names),
                  list.empty() ? "it takes no fields" : "its fields are " + list);
    }
  }
  for (const auto& f : declared) {
    if (f.is_rest() || result.declared.has(f.name())) continue;
    if (f.is_required()) {
      throw error(error_kind::INVALID_ARGUMENT, where + " needs the field '" + f.name() + "'",
                  f.summary(), "add " + f.name() + "=...");
    }
    if (!f.fallback().is_null()) result.declared.set(f.name(), f.accept(f.fallback()));
  }
  return result;
}

void write_specs(const std::vector<field>& declared, capnp::List<schema::FieldSpec>::Builder to) {
  unsigned at = 0;
  for (const auto& f : declared) {
    auto spec = to[at++];
    spec.setName(f.name().c_str());
    spec.setType(f.type());
    spec.setSummary(f.summary().c_str());
    spec.setRequired(f.is_required());
    spec.setSecret(f.is_secret());
    if (!f.fallback().is_null()) write_value(f.fallback(), spec.initDefault());
  }
}

}  // namespace bulkhead::sdk
