// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/datum_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

std::string_view view(kj::ArrayPtr<const char> text) {
  return {text.begin(), text.size()};
}

kj::ArrayPtr<const kj::byte> bytes(const std::string& text) {
  return kj::StringPtr(text.c_str(), text.size()).asBytes();
}

capnp::uint count(const datum& value) {
  return static_cast<capnp::uint>(value.items.size());
}

void set_number(const datum& value, schema::Value::Builder target) {
  const char* begin = value.text.data();
  const char* end = begin + value.text.size();
  if (begin != end && *begin == '+') ++begin;
  std::int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(begin, end, whole);
      error == std::errc() && at == end) {
    return target.setInt(whole);
  }
  double real = 0;
  const auto [at, error] = std::from_chars(begin, end, real);
  if (error != std::errc() || at != end) {
    throw usage(fmt::format("'{}' is not a number", value.text));
  }
  target.setFloat(real);
}

/// UTF-8 without NUL is text; anything else is bytes.
datum text_or_bytes(const std::string& content) {
  const bool plain = wire::escape_line(content).size() == content.size();
  const bool printable = plain || [&]() {
    std::string without_breaks = content;
    std::erase_if(without_breaks, [](char c) { return c == '\n' || c == '\t' || c == '\r'; });
    return wire::escape_line(without_breaks).size() == without_breaks.size();
  }();
  return printable ? datum::of_text(content) : datum::of_data(content);
}

named_value parse_field(const std::string& word, value_reader& reader) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw usage(fmt::format("'{}' is no NAME=VALUE", word),
                "as in user=alice, cert=@file.pem, password=-, or count:=3");
  }
  if (word[equals - 1] == ':') {
    if (equals == 1) throw usage(fmt::format("'{}' has no name", word));
    return {word.substr(0, equals - 1), parse_datum(word.substr(equals + 1))};
  }
  named_value field{word.substr(0, equals), {}};
  std::string text = word.substr(equals + 1);
  if (text == "-") {
    field.value = text_or_bytes(reader.standard_input());
  } else if (text.substr(0, 1) == "@") {
    field.value = text_or_bytes(reader.file(text.substr(1)));
  } else {
    if (text.substr(0, 2) == "\\@" || text == "\\-") text.erase(0, 1);
    field.value = datum::of_text(text);
  }
  return field;
}

}  // namespace

datum from_value(schema::Value::Reader value) {
  switch (value.which()) {
    case schema::Value::NULL_:
      return {};
    case schema::Value::TEXT:
      return datum::of_text(view(value.getText()));
    case schema::Value::BOOL:
      return datum::of_bool(value.getBool());
    case schema::Value::INT:
      return datum::of_int(value.getInt());
    case schema::Value::FLOAT:
      return datum::of_real(value.getFloat());
    case schema::Value::DATA:
      return datum::of_data(view(value.getData().asChars()));
    case schema::Value::LIST: {
      datum list = datum::of_list();
      for (auto item : value.getList()) list.items.push_back(from_value(item));
      return list;
    }
    case schema::Value::MAP:
      return from_fields(value.getMap());
  }
  return datum::of_word("unknown");
}

datum from_fields(capnp::List<schema::Field>::Reader fields) {
  datum record = datum::of_record();
  for (auto field : fields) {
    record.add(std::string(view(field.getName())), from_value(field.getValue()));
  }
  return record;
}

void to_value(const datum& value, schema::Value::Builder target) {
  switch (value.type) {
    case datum::kind::null:
      return target.setNull();
    case datum::kind::boolean:
      return target.setBool(value.text == "true");
    case datum::kind::number:
      return set_number(value, target);
    case datum::kind::text:
    case datum::kind::word:
      return target.setText(capnp::Text::Reader(value.text.c_str(), value.text.size()));
    case datum::kind::data:
      return target.setData(bytes(value.text));
    case datum::kind::capability:
      throw usage(fmt::format("{} is a capability, which a request cannot carry", value.text),
                  "pass it to a method with `call`");
    case datum::kind::list: {
      auto list = target.initList(count(value));
      for (capnp::uint i = 0; i < count(value); ++i) to_value(value.items[i], list[i]);
      return;
    }
    case datum::kind::record: {
      auto map = target.initMap(count(value));
      for (capnp::uint i = 0; i < count(value); ++i) {
        map[i].setName(value.names[i].c_str());
        to_value(value.items[i], map[i].initValue());
      }
      return;
    }
  }
}

std::string cell_text(const datum& value) {
  switch (value.type) {
    case datum::kind::text:
    case datum::kind::word:
    case datum::kind::number:
    case datum::kind::capability:
      return value.text;
    case datum::kind::data:
      return base64(value.text);
    default:
      return to_json(value);
  }
}

std::vector<named_value> parse_fields(const std::vector<std::string>& words, value_reader& reader) {
  std::vector<named_value> fields;
  for (const auto& word : words) {
    named_value field = parse_field(word, reader);
    const bool twice = std::any_of(fields.begin(), fields.end(), [&](const named_value& other) {
      return other.name == field.name;
    });
    if (twice) throw usage(fmt::format("'{}' is given twice", field.name));
    fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace bulkhead::cli
