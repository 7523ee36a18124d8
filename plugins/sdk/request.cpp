// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/request.hpp"

#include "plugins/sdk/convert.hpp"
#include "plugins/sdk/error.hpp"
#include "schema/wire/enum_word.hpp"

namespace bulkhead::sdk {
namespace {

[[noreturn]] void asked_for(std::string_view what, std::string_view name) {
  throw error(error_kind::PLUGIN_ERROR,
              "this plugin's handler asked for the " + std::string(what) + " '" +
                  std::string(name) + "', which the request does not have",
              "it is not declared with that type, or optional and not given",
              "report it to the plugin's author");
}

void write_texts(const std::vector<std::string>& from, capnp::List<capnp::Text>::Builder to) {
  unsigned at = 0;
  for (const auto& text : from) to.set(at++, capnp::Text::Reader(text.c_str(), text.size()));
}

}  // namespace

std::string_view operation_name(operation what) {
  return wire::enum_word(what);
}

const std::string& request::capture(std::string_view name) const {
  for (const auto& entry : captures) {
    if (entry.first == name) return entry.second;
  }
  asked_for("capture", name);
}

template <class T>
const T& request::get(std::string_view name) const {
  const auto* found = values.find(name);
  const T* content = found == nullptr ? nullptr : found->get_if<T>();
  if (content == nullptr) asked_for("field", name);
  return *content;
}

const std::string& request::text(std::string_view name) const {
  return get<std::string>(name);
}
bool request::boolean(std::string_view name) const {
  return get<bool>(name);
}
std::int64_t request::integer(std::string_view name) const {
  return get<std::int64_t>(name);
}
double request::number(std::string_view name) const {
  return get<double>(name);
}
const bytes& request::data(std::string_view name) const {
  return get<bytes>(name);
}
const value::list& request::list(std::string_view name) const {
  return get<value::list>(name);
}
const fields& request::map(std::string_view name) const {
  return get<fields>(name);
}

response response::of_keys(std::vector<std::string> keys) {
  response result;
  result.keys = std::move(keys);
  return result;
}

response& response::warn(std::string remark) {
  warnings.push_back(std::move(remark));
  return *this;
}

void write_response(const response& from, schema::Response::Builder to) {
  if (!from.values.empty()) {
    write_fields(from.values, to.initFields(static_cast<unsigned>(from.values.size())));
  }
  if (!from.keys.empty()) {
    write_texts(from.keys, to.initKeys(static_cast<unsigned>(from.keys.size())));
  }
  if (!from.warnings.empty()) {
    write_texts(from.warnings, to.initWarnings(static_cast<unsigned>(from.warnings.size())));
  }
  if (!from.help.empty()) to.setHelp(capnp::Text::Reader(from.help.c_str(), from.help.size()));
}

}  // namespace bulkhead::sdk
