// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/value.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::sdk {

fields::fields() = default;
fields::fields(const fields& other) = default;
fields::fields(fields&& other) noexcept = default;
fields& fields::operator=(const fields& other) = default;
fields& fields::operator=(fields&& other) noexcept = default;
fields::~fields() = default;

std::size_t fields::size() const {
  return entries_.size();
}

fields::fields(std::initializer_list<named_value> entries) {
  for (const auto& entry : entries) set(entry.name, entry.what);
}

fields& fields::set(std::string name, value what) {
  for (auto& entry : entries_) {
    if (entry.name == name) {
      entry.what = std::move(what);
      return *this;
    }
  }
  entries_.push_back({std::move(name), std::move(what)});
  return *this;
}

const value* fields::find(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry.name == name) return &entry.what;
  }
  return nullptr;
}

bool fields::erase(std::string_view name) {
  auto at = std::find_if(entries_.begin(), entries_.end(),
                         [&](const named_value& entry) { return entry.name == name; });
  if (at == entries_.end()) return false;
  entries_.erase(at);
  return true;
}

bool fields::operator==(const fields& other) const {
  return entries_ == other.entries_;
}

std::string_view value::kind_name() const {
  static constexpr std::array<std::string_view, 8> names{"null",  "text", "bool", "int",
                                                         "float", "data", "list", "map"};
  return names.at(what_.index());
}

}  // namespace bulkhead::sdk
