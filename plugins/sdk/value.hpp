// SPDX-License-Identifier: Apache-2.0
//
// The values of requests and responses, as a plugin author handles them: owned, copyable, ordinary
// C++.
//
// A `value` is null, text, bool, a 64-bit integer, a float, bytes, a list or a map, and may be
// marked secret. `fields` is a list of named values that keeps its order, because people read
// answers in the order in which the plugin wrote them. Both map one to one onto `Value` and `Field`
// of schema/plugin.capnp; see convert.hpp for the way there and back.
//
// A value knows nothing of the connection it came from and stays good after the request is gone.
// Look-up in `fields` is linear: a request holds at most 256 of them. Only maps that a plugin
// builds itself can be larger.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace bulkhead::sdk {

class value;
struct named_value;

/// Bytes, as opposed to text.
using bytes = std::vector<unsigned char>;

/// Named values in the order in which they were added; names are unique.
class fields {
 public:
  // Defined where `named_value` is complete.
  fields();
  fields(std::initializer_list<named_value> entries);
  fields(const fields& other);
  fields(fields&& other) noexcept;
  fields& operator=(const fields& other);
  fields& operator=(fields&& other) noexcept;
  ~fields();

  /// Adds a value, or replaces the one of that name. Returns *this, for chains.
  fields& set(std::string name, value what);
  /// The value of that name, or nullptr. Valid until the next change.
  const value* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Removes a value; true when it was there.
  bool erase(std::string_view name);

  bool empty() const { return entries_.empty(); }
  std::size_t size() const;
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  bool operator==(const fields& other) const;

 private:
  std::vector<named_value> entries_;
};

/// One value. Comparable; two values are equal when kind and content are, secret or not.
class value {
 public:
  using list = std::vector<value>;
  using storage =
      std::variant<std::monostate, std::string, bool, std::int64_t, double, bytes, list, fields>;

  value() = default;
  value(std::string text) : what_(std::move(text)) {}         // NOLINT(google-explicit-constructor)
  value(std::string_view text) : what_(std::string(text)) {}  // NOLINT(google-explicit-constructor)
  value(const char* text) : what_(std::string(text)) {}       // NOLINT(google-explicit-constructor)
  value(bytes data) : what_(std::move(data)) {}               // NOLINT(google-explicit-constructor)
  value(list items) : what_(std::move(items)) {}              // NOLINT(google-explicit-constructor)
  value(fields entries) : what_(std::move(entries)) {}        // NOLINT(google-explicit-constructor)
  template <class T>
  requires std::is_arithmetic_v<T> value(T number) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::is_same_v<T, bool>) {
      what_ = number;
    } else if constexpr (std::is_floating_point_v<T>) {
      what_ = static_cast<double>(number);
    } else {
      what_ = static_cast<std::int64_t>(number);
    }
  }

  bool is_null() const { return std::holds_alternative<std::monostate>(what_); }
  /// The content when it is of that kind, else nullptr. Kinds: std::string, bool, std::int64_t,
  /// double, bytes, list, fields.
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&what_);
  }
  const storage& content() const { return what_; }
  /// "text", "int", "map", ...: for messages.
  std::string_view kind_name() const;

  /// Marks the value as a secret: shown to whoever asked to read it, logged by nobody.
  value& mark_secret(bool secret = true) {
    secret_ = secret;
    return *this;
  }
  bool is_secret() const { return secret_; }

  bool operator==(const value& other) const { return what_ == other.what_; }

 private:
  storage what_;
  bool secret_ = false;
};

/// A value that is marked secret.
inline value secret(value what) {
  what.mark_secret();
  return what;
}

struct named_value {
  std::string name;
  value what;
  bool operator==(const named_value& other) const = default;
};

}  // namespace bulkhead::sdk
