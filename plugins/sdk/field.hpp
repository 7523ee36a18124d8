// SPDX-License-Identifier: Apache-2.0
//
// Declarations of fields: what an operation of a path takes, and what options a mount takes.
//
//     sdk::integer("version").between(1, 1000).help("Which version; the newest when absent.")
//     sdk::text("password").required().secret()
//
// From the declaration comes everything else: the check before the handler runs, the conversion (a
// command line sends text, so text that reads as the declared type is taken), the default, the help
// text, and the FieldSpec that `hello` ships for completion.
//
// Conversions, all of them exact or refused: text to bool (true, false), to int, to float, to
// durationMs ("250ms", "30s", "5m", "2h", "7d"; a bare number is milliseconds), to data (its
// bytes), to list (split at commas), to map ("a=1,b=2"); int to float; int to durationMs.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "plugins/sdk/value.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

using field_type = schema::FieldType;

/// One declared field. A value type; the setters return *this, for chains.
class field {
 public:
  field(std::string name, field_type type);

  /// The caller must give it.
  field& required();
  /// What the handler sees when the caller gives nothing.
  field& or_else(value fallback);
  /// Its value is a secret: marked so on the way in and in the specification.
  field& secret();
  /// One sentence.
  field& help(std::string sentence);
  /// Bounds of an int, a float (rounded inwards) or a durationMs, both included.
  field& between(std::int64_t lowest, std::int64_t highest);
  /// The texts that are allowed.
  field& one_of(std::vector<std::string> allowed);

  const std::string& name() const { return name_; }
  field_type type() const { return type_; }
  const std::string& summary() const { return help_; }
  bool is_required() const { return required_; }
  bool is_secret() const { return secret_; }
  const value& fallback() const { return fallback_; }
  /// True for the declaration that others() makes.
  bool is_rest() const { return name_ == "*"; }

  /// The value as the declared type. Throws `error` (invalidArgument) that names the field, never
  /// its value.
  value accept(value given) const;

 private:
  value convert(value given) const;
  void check_bounds(const value& given) const;

  std::string name_;
  field_type type_;
  bool required_ = false;
  bool secret_ = false;
  std::string help_;
  value fallback_;
  std::int64_t lowest_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t highest_ = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string> allowed_;
};

inline field text(std::string name) {
  return {std::move(name), field_type::TEXT};
}
inline field boolean(std::string name) {
  return {std::move(name), field_type::BOOL};
}
inline field integer(std::string name) {
  return {std::move(name), field_type::INT};
}
inline field number(std::string name) {
  return {std::move(name), field_type::FLOAT};
}
inline field data(std::string name) {
  return {std::move(name), field_type::DATA};
}
inline field list(std::string name) {
  return {std::move(name), field_type::LIST};
}
inline field map(std::string name) {
  return {std::move(name), field_type::MAP};
}
inline field duration_ms(std::string name) {
  return {std::move(name), field_type::DURATION_MS};
}
inline field any(std::string name) {
  return {std::move(name), field_type::ANY};
}
/// Declares that fields of any other name are welcome too: they arrive in request::others(). Ships
/// as a FieldSpec named "*".
inline field others(std::string sentence) {
  field rest("*", field_type::ANY);
  rest.help(std::move(sentence));
  return rest;
}

/// What came of checking the fields of one call: those declared, with defaults filled in, and the
/// others.
struct accepted_fields {
  fields declared;
  fields others;
};

/// Checks `given` against the declarations. `where` names the operation, for messages, as in "write
/// data/{path*}". Throws `error` (invalidArgument): unknown field (with the nearest declared name),
/// missing field, unusable value.
accepted_fields accept_fields(const std::vector<field>& declared, const fields& given,
                              const std::string& where);

/// Declarations as they travel in `hello`.
void write_specs(const std::vector<field>& declared, capnp::List<schema::FieldSpec>::Builder to);

}  // namespace bulkhead::sdk
