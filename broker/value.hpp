// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values of request-style calls, for services that embed the broker. They mirror
// schema/plugin.capnp (Value, Field) in plain C++.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bulkhead {

struct field;

/// Bytes that are not text.
struct bytes {
  std::string content;
  friend bool operator==(const bytes&, const bytes&) = default;
};

/// Null, a bool, an integer, a number, a text, bytes, a list or a map.
struct value {
  using list = std::vector<value>;
  using map = std::vector<field>;

  // Defined where `field` is complete. Implicit, so that fields read as {{"user", "ada"}, {"n",
  // 1}}.
  value();
  value(bool content);          // NOLINT(google-explicit-constructor)
  value(int content);           // NOLINT(google-explicit-constructor)
  value(std::int64_t content);  // NOLINT(google-explicit-constructor)
  value(double content);        // NOLINT(google-explicit-constructor)
  value(const char* content);   // NOLINT(google-explicit-constructor)
  value(std::string content);   // NOLINT(google-explicit-constructor)
  value(bytes content);         // NOLINT(google-explicit-constructor)
  value(list content);          // NOLINT(google-explicit-constructor)
  value(map content);           // NOLINT(google-explicit-constructor)
  value(const value& other);
  value(value&& other) noexcept;
  value& operator=(const value& other);
  value& operator=(value&& other) noexcept;
  ~value();

  /// The text, or null when it is something else.
  const std::string* text() const;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, bytes, list, map> content;
  bool secret = false;
};

struct field {
  std::string name;
  bulkhead::value value;
};

using fields = std::vector<field>;

bool operator==(const field& left, const field& right);
bool operator==(const value& left, const value& right);

/// The value of the field of that name, or null.
const value* find(const fields& among, std::string_view name);

}  // namespace bulkhead
