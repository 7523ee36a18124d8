// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/datum.hpp"

#include <fmt/format.h>

#include <cmath>

namespace bulkhead::cli {
namespace {

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

datum leaf(datum::kind type, std::string text) {
  datum value;
  value.type = type;
  value.text = std::move(text);
  return value;
}

/// Bytes of the UTF-8 sequence at the start of `text`; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  std::size_t length = 0;
  if (first < 0x80U) return 1;
  if (first >= 0xC2U && first < 0xE0U) length = 2;
  if (first >= 0xE0U && first < 0xF0U) length = 3;
  if (first >= 0xF0U && first < 0xF5U) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xE0U && second < 0xA0U) || (first == 0xF0U && second < 0x90U);
  const bool beyond = (first == 0xEDU && second >= 0xA0U) || (first == 0xF4U && second >= 0x90U);
  return overlong || beyond ? 0 : length;
}

/// True when the digits are a number in JSON's grammar (no hexadecimal, no leading plus or zero).
bool is_json_number(std::string_view digits) {
  if (!digits.empty() && digits.front() == '-') digits.remove_prefix(1);
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return false;
  if (digits.size() > 1 && digits.front() == '0' && digits[1] >= '0' && digits[1] <= '9') {
    return false;
  }
  return digits.find_first_not_of("0123456789.eE+-") == std::string_view::npos &&
         digits.back() >= '0' && digits.back() <= '9';
}

}  // namespace

datum datum::of_bool(bool value) {
  return leaf(kind::boolean, value ? "true" : "false");
}
datum datum::of_int(std::int64_t value) {
  return leaf(kind::number, std::to_string(value));
}
datum datum::of_uint(std::uint64_t value) {
  return leaf(kind::number, std::to_string(value));
}
datum datum::of_real(double value) {
  if (std::isnan(value)) return leaf(kind::number, "nan");
  return leaf(kind::number, fmt::format("{}", value));
}
datum datum::of_text(std::string_view value) {
  return leaf(kind::text, std::string(value));
}
datum datum::of_data(std::string_view value) {
  return leaf(kind::data, std::string(value));
}
datum datum::of_word(std::string_view value) {
  return leaf(kind::word, std::string(value));
}
datum datum::of_list() {
  return leaf(kind::list, {});
}
datum datum::of_record() {
  return leaf(kind::record, {});
}

datum& datum::add(std::string name, datum item) {
  names.push_back(std::move(name));
  items.push_back(std::move(item));
  return items.back();
}

const datum* datum::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return &items[i];
  }
  return nullptr;
}

std::string json_string(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = utf8_length(text);
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (c == '\n') {
      json += "\\n";
    } else if (c == '\t') {
      json += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20U || c == '\x7f') {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else if (length == 0) {
      json += "\xEF\xBF\xBD";
    } else {
      json += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return json + "\"";
}

std::string base64(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8U | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? base64_digits[group >> (18U - 6U * j) & 0x3FU] : '=';
    }
  }
  return text;
}

bool from_base64(std::string_view text, std::string& bytes) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return false;
  bytes.clear();
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const auto digit = base64_digits.find(c);
    if (digit == std::string_view::npos) return false;
    group = (group << 6U | static_cast<std::uint32_t>(digit)) & 0xFFFFU;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(group >> bits & 0xFFU);
    }
  }
  return true;
}

std::string to_json(const datum& value) {
  switch (value.type) {
    case datum::kind::null:
      return "null";
    case datum::kind::boolean:
      return value.text;
    case datum::kind::number:
      return is_json_number(value.text) ? value.text : json_string(value.text);
    case datum::kind::data:
      return json_string(base64(value.text));
    case datum::kind::text:
    case datum::kind::word:
    case datum::kind::capability:
      return json_string(value.text);
    case datum::kind::list:
    case datum::kind::record:
      break;
  }
  const bool is_list = value.type == datum::kind::list;
  std::string json(1, is_list ? '[' : '{');
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) json += ",";
    if (!is_list) json += json_string(value.names[i]) + ":";
    json += to_json(value.items[i]);
  }
  return json + (is_list ? "]" : "}");
}

}  // namespace bulkhead::cli
