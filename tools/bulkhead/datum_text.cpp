// SPDX-License-Identifier: Apache-2.0
//
// The writer of Cap'n Proto text. What it writes, `parse_datum` reads; names too come from plugins
// and are escaped, though of an honest schema they need none.
#include <fmt/format.h>

#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/datum.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::size_t indent_step = 2;

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else {
      result += c;
    }
  }
  return wire::escape_line(result) + "\"";
}

std::string hex_bytes(std::string_view bytes) {
  std::string result = "0x\"";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    result += fmt::format("{}{:02x}", i == 0 ? "" : " ", static_cast<unsigned char>(bytes[i]));
  }
  return result + "\"";
}

std::string on_one_line(const datum& value) {
  switch (value.type) {
    case datum::kind::null:
      return value.text.empty() ? "null" : value.text;
    case datum::kind::text:
      return quoted(value.text);
    case datum::kind::data:
      return hex_bytes(value.text);
    case datum::kind::boolean:
    case datum::kind::number:
    case datum::kind::word:
    case datum::kind::capability:
      return wire::escape_line(value.text);
    case datum::kind::list:
    case datum::kind::record:
      break;
  }
  const bool is_list = value.type == datum::kind::list;
  std::string text(1, is_list ? '[' : '(');
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) text += ", ";
    if (!is_list) text += wire::escape_line(value.names[i]) + " = ";
    text += on_one_line(value.items[i]);
  }
  return text + (is_list ? "]" : ")");
}

/// `used` columns of the line are taken by what stands before the value.
std::string broken(const datum& value, std::size_t indent, std::size_t used, std::size_t columns) {
  std::string line = on_one_line(value);
  const bool is_record = value.type == datum::kind::record;
  if (value.items.empty() || used + character_count(line) + 1 <= columns) return line;
  const std::string margin(indent + indent_step, ' ');
  std::string text(1, is_record ? '(' : '[');
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    const std::string name = is_record ? wire::escape_line(value.names[i]) + " = " : std::string();
    text.append("\n").append(margin).append(name);
    text += broken(value.items[i], indent + indent_step, margin.size() + name.size(), columns);
    if (i + 1 < value.items.size()) text += ",";
  }
  return text + "\n" + std::string(indent, ' ') + (is_record ? ")" : "]");
}

}  // namespace

std::string to_capnp_text(const datum& value, std::size_t columns) {
  return broken(value, 0, 0, columns);
}

}  // namespace bulkhead::cli
