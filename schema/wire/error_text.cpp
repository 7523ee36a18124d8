// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/error_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <iterator>

#include "schema/wire/text_escape.hpp"

namespace bulkhead::wire {

namespace {

using schema::ErrorKind;
using exception_type = kj::Exception::Type;

constexpr std::string_view hop_prefix = "remote exception: ";
constexpr std::string_view cut_mark = " [cut]";
constexpr std::size_t format_bytes_min = 256;

struct kind_row {
  ErrorKind kind;
  std::string_view name;
  exception_type type;
  bool plugin;
};

constexpr std::array<kind_row, 20> kinds{{
    {ErrorKind::UNKNOWN, "unknown", exception_type::FAILED, false},
    {ErrorKind::INVALID_ARGUMENT, "invalid_argument", exception_type::FAILED, true},
    {ErrorKind::NOT_FOUND, "not_found", exception_type::FAILED, true},
    {ErrorKind::ALREADY_EXISTS, "already_exists", exception_type::FAILED, true},
    {ErrorKind::PERMISSION_DENIED, "permission_denied", exception_type::FAILED, true},
    {ErrorKind::CONFLICT, "conflict", exception_type::FAILED, true},
    {ErrorKind::FAILED_PRECONDITION, "failed_precondition", exception_type::FAILED, true},
    {ErrorKind::UNSUPPORTED, "unsupported", exception_type::UNIMPLEMENTED, true},
    {ErrorKind::OVERLOADED, "overloaded", exception_type::OVERLOADED, true},
    {ErrorKind::DEADLINE_EXCEEDED, "deadline_exceeded", exception_type::OVERLOADED, false},
    {ErrorKind::PLUGIN_ERROR, "plugin_error", exception_type::FAILED, true},
    {ErrorKind::PLUGIN_CRASHED, "plugin_crashed", exception_type::DISCONNECTED, false},
    {ErrorKind::PLUGIN_UNAVAILABLE, "plugin_unavailable", exception_type::DISCONNECTED, false},
    {ErrorKind::QUARANTINED, "quarantined", exception_type::FAILED, false},
    {ErrorKind::START_FAILED, "start_failed", exception_type::FAILED, false},
    {ErrorKind::UNMOUNTED, "unmounted", exception_type::DISCONNECTED, false},
    {ErrorKind::STORAGE, "storage", exception_type::FAILED, false},
    {ErrorKind::PROTOCOL_VIOLATION, "protocol_violation", exception_type::FAILED, false},
    {ErrorKind::BROKER_STOPPING, "broker_stopping", exception_type::DISCONNECTED, false},
    {ErrorKind::INTERNAL, "internal", exception_type::FAILED, false},
}};

const kind_row& row_of(ErrorKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kinds.size() ? kinds[index] : kinds[0];
}

ErrorKind kind_by_type(exception_type type, bool plugin) {
  switch (type) {
    case exception_type::UNIMPLEMENTED:
      return ErrorKind::UNSUPPORTED;
    case exception_type::OVERLOADED:
      return ErrorKind::OVERLOADED;
    case exception_type::FAILED:
    case exception_type::DISCONNECTED:
      break;
  }
  return plugin ? ErrorKind::PLUGIN_ERROR : ErrorKind::UNKNOWN;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string_view next_part(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const auto part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

bool is_key(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char each) {
    return (each >= 'a' && each <= 'z') || (each >= '0' && each <= '9') || each == '_';
  });
}

void read_detail(std::string_view line, error_info& info, bool& has_kind) {
  while (!line.empty()) {
    const auto pair = next_part(line, ' ');
    const auto equals = pair.find('=');
    const auto key = pair.substr(0, equals);
    if (equals == std::string_view::npos || !is_key(key)) continue;
    auto value = percent_decode(pair.substr(equals + 1));
    if (key == "kind" && !has_kind) {
      info.kind = kind_from_name(value);
      has_kind = true;
    } else {
      info.detail.emplace_back(key, std::move(value));
    }
  }
}

std::string detail_line(const error_info& info, std::size_t bytes_max) {
  auto line = fmt::format("detail: kind={}", kind_name(info.kind));
  for (const auto& [key, value] : info.detail) {
    auto pair = fmt::format(" {}={}", percent_encode(key), percent_encode(value));
    // A pair is whole or not there: half a value would lie.
    if (line.size() + pair.size() <= bytes_max) line += pair;
  }
  return line;
}

std::string fit(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  if (bytes_max < cut_mark.size()) return {};
  return std::string(utf8_prefix(text, bytes_max - cut_mark.size())).append(cut_mark);
}

}  // namespace

const std::string* error_info::find(std::string_view key) const {
  for (const auto& [name, value] : detail) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string format_error(const error_info& info, std::size_t bytes_max) {
  bytes_max = std::max(bytes_max, format_bytes_min);
  // The line for programs comes first when room is short, but may take no more than half of it.
  const auto last = detail_line(info, bytes_max / 2);
  std::size_t room = bytes_max - last.size() - 1;
  auto text = fit(escape_line(info.what), room);
  room -= text.size();
  const auto add = [&](std::string_view label, const std::string& value) {
    if (value.empty() || room < label.size() + cut_mark.size()) return;
    auto line = std::string(label) + fit(escape_line(value), room - label.size());
    room -= line.size();
    text += line;
  };
  add("\nwhy: ", info.why);
  add("\ntry: ", info.remedy);
  return text + "\n" + last;
}

error_info parse_error(kj::StringPtr text, kj::Exception::Type type, unsigned plugin_hops) {
  error_info info;
  info.plugin_hops = plugin_hops;
  std::string_view rest(text.cStr(), text.size());
  while (take_prefix(rest, hop_prefix)) ++info.hops;
  bool has_kind = false;
  bool first = true;
  while (!rest.empty()) {
    auto line = next_part(rest, '\n');
    if (first) {
      info.what = line;
    } else if (take_prefix(line, "why: ")) {
      info.why = line;
    } else if (take_prefix(line, "try: ")) {
      info.remedy = line;
    } else if (take_prefix(line, "detail: ")) {
      read_detail(line, info, has_kind);
    } else if (line.substr(0, 9) != "context: " && !line.empty()) {
      // A foreign text of many lines. (libcapnp appends its own "context:" lines.)
      info.what.append("; ").append(line);
    }
    first = false;
  }
  if (!has_kind) info.kind = kind_by_type(type, info.from_plugin());
  if (info.from_plugin() && !plugin_may_use(info.kind)) info.kind = ErrorKind::PLUGIN_ERROR;
  return info;
}

error_info parse_error(const kj::Exception& exception, unsigned plugin_hops) {
  return parse_error(exception.getDescription(), exception.getType(), plugin_hops);
}

kj::Exception make_exception(const error_info& info) {
  const auto text = format_error(info);
  return {kind_type(info.kind), __FILE__, __LINE__, kj::str(text.c_str())};
}

kj::Exception clean_exception(const kj::Exception& exception, unsigned plugin_hops) {
  const auto info = parse_error(exception, plugin_hops);
  // Prefixes are a claim of the other side above the one that this side has added: a few will do.
  constexpr unsigned hops_max = 8;
  std::string text;
  for (unsigned i = 0; i < std::min(info.hops, hops_max); ++i) text += hop_prefix;
  text += format_error(info, error_text_bytes_max - text.size());
  return {kind_type(info.kind), exception.getFile(), exception.getLine(), kj::str(text.c_str())};
}

std::string_view kind_name(ErrorKind kind) {
  return row_of(kind).name;
}

ErrorKind kind_from_name(std::string_view name) {
  for (const auto& row : kinds) {
    if (row.name == name) return row.kind;
  }
  return ErrorKind::UNKNOWN;
}

kj::Exception::Type kind_type(ErrorKind kind) {
  return row_of(kind).type;
}

bool plugin_may_use(ErrorKind kind) {
  return row_of(kind).plugin;
}

}  // namespace bulkhead::wire
