// SPDX-License-Identifier: Apache-2.0
#include "broker/value.hpp"

#include <algorithm>

namespace bulkhead {

value::value() = default;
value::value(bool content) : content(content) {}
value::value(int content) : content(std::int64_t{content}) {}
value::value(std::int64_t content) : content(content) {}
value::value(double content) : content(content) {}
value::value(const char* content) : content(std::string(content)) {}
value::value(std::string content) : content(std::move(content)) {}
value::value(bytes content) : content(std::move(content)) {}
value::value(list content) : content(std::move(content)) {}
value::value(map content) : content(std::move(content)) {}
value::value(const value& other) = default;
value::value(value&& other) noexcept = default;
value& value::operator=(const value& other) = default;
value& value::operator=(value&& other) noexcept = default;
value::~value() = default;

const std::string* value::text() const {
  return std::get_if<std::string>(&content);
}

bool operator==(const field& left, const field& right) {
  return left.name == right.name && left.value == right.value;
}

bool operator==(const value& left, const value& right) {
  return left.secret == right.secret && left.content == right.content;
}

const value* find(const fields& among, std::string_view name) {
  const auto found = std::find_if(among.begin(), among.end(),
                                  [name](const field& each) { return each.name == name; });
  return found == among.end() ? nullptr : &found->value;
}

}  // namespace bulkhead
