// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/convert.hpp"

#include "plugins/sdk/error.hpp"

namespace bulkhead::sdk {
namespace {

std::string to_string(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

void check_depth(unsigned depth) {
  if (depth > value_depth_max) {
    throw error(error_kind::INVALID_ARGUMENT, "a value is nested too deeply",
                "at most 24 lists and maps may stand inside each other");
  }
}

fields read_fields_at(capnp::List<schema::Field>::Reader from, unsigned depth);

value read_value_at(schema::Value::Reader from, unsigned depth) {
  check_depth(depth);
  value result;
  switch (from.which()) {
    case schema::Value::NULL_:
      break;
    case schema::Value::TEXT:
      result = value(to_string(from.getText()));
      break;
    case schema::Value::BOOL:
      result = value(from.getBool());
      break;
    case schema::Value::INT:
      result = value(from.getInt());
      break;
    case schema::Value::FLOAT:
      result = value(from.getFloat());
      break;
    case schema::Value::DATA:
      result = value(bytes(from.getData().begin(), from.getData().end()));
      break;
    case schema::Value::LIST: {
      value::list items;
      for (auto item : from.getList()) items.push_back(read_value_at(item, depth + 1));
      result = value(std::move(items));
      break;
    }
    case schema::Value::MAP:
      result = value(read_fields_at(from.getMap(), depth + 1));
      break;
    default:
      throw error(error_kind::INVALID_ARGUMENT,
                  "a value is of a kind that this plugin does not know",
                  "the caller speaks a newer protocol");
  }
  result.mark_secret(from.getSecret());
  return result;
}

fields read_fields_at(capnp::List<schema::Field>::Reader from, unsigned depth) {
  check_depth(depth);
  fields result;
  for (auto field : from) {
    auto name = to_string(field.getName());
    if (result.has(name)) {
      throw error(error_kind::INVALID_ARGUMENT, "field '" + name + "' is given twice");
    }
    result.set(std::move(name), read_value_at(field.getValue(), depth + 1));
  }
  return result;
}

void write_fields_at(const fields& from, capnp::List<schema::Field>::Builder to, unsigned depth);

void write_value_at(const value& from, schema::Value::Builder to, unsigned depth) {
  check_depth(depth);
  to.setSecret(from.is_secret());
  if (const auto* text = from.get_if<std::string>()) {
    auto place = to.initText(static_cast<unsigned>(text->size()));
    std::copy(text->begin(), text->end(), place.begin());
  } else if (const auto* flag = from.get_if<bool>()) {
    to.setBool(*flag);
  } else if (const auto* number = from.get_if<std::int64_t>()) {
    to.setInt(*number);
  } else if (const auto* real = from.get_if<double>()) {
    to.setFloat(*real);
  } else if (const auto* data = from.get_if<bytes>()) {
    to.setData(kj::arrayPtr(data->data(), data->size()));
  } else if (const auto* items = from.get_if<value::list>()) {
    auto place = to.initList(static_cast<unsigned>(items->size()));
    unsigned at = 0;
    for (const auto& item : *items) write_value_at(item, place[at++], depth + 1);
  } else if (const auto* entries = from.get_if<fields>()) {
    write_fields_at(*entries, to.initMap(static_cast<unsigned>(entries->size())), depth + 1);
  } else {
    to.setNull();
  }
}

void write_fields_at(const fields& from, capnp::List<schema::Field>::Builder to, unsigned depth) {
  check_depth(depth);
  unsigned at = 0;
  for (const auto& entry : from) {
    auto place = to[at++];
    auto name = place.initName(static_cast<unsigned>(entry.name.size()));
    std::copy(entry.name.begin(), entry.name.end(), name.begin());
    write_value_at(entry.what, place.initValue(), depth + 1);
  }
}

}  // namespace

value read_value(schema::Value::Reader from) {
  return read_value_at(from, 0);
}
fields read_fields(capnp::List<schema::Field>::Reader from) {
  return read_fields_at(from, 0);
}
void write_value(const value& from, schema::Value::Builder to) {
  write_value_at(from, to, 0);
}
void write_fields(const fields& from, capnp::List<schema::Field>::Builder to) {
  write_fields_at(from, to, 0);
}

}  // namespace bulkhead::sdk
