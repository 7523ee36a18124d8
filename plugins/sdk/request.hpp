// SPDX-License-Identifier: Apache-2.0
//
// What a handler of the request style gets and gives. A `request` has been checked before the
// handler sees it: its path matched a declared pattern, its fields are declared, converted and
// within bounds, and defaults are filled in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/sdk/value.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

using operation = schema::Operation;

/// The word for an operation: "read", "write", ...
std::string_view operation_name(operation what);

/// One checked request. The reference that a handler gets stays good until the promise that the
/// handler returned is done.
class request {
 public:
  operation what = operation::READ;
  std::string path;  ///< As the caller wrote it, relative to the mount.
  std::vector<std::pair<std::string, std::string>>
      captures;   ///< What {x} and {x*} of the pattern matched.
  fields values;  ///< The declared fields.
  fields rest;    ///< The others, where others() was declared.

  /// What the pattern's {name} or {name*} matched.
  const std::string& capture(std::string_view name) const;

  /// True when the field was given or has a default.
  bool has(std::string_view name) const { return values.has(name); }
  /// The field of that name and type. Fails the call when it is not there: test optional fields
  /// with has() first.
  const std::string& text(std::string_view name) const;
  bool boolean(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const bytes& data(std::string_view name) const;
  const value::list& list(std::string_view name) const;
  const fields& map(std::string_view name) const;
  std::int64_t duration_ms(std::string_view name) const { return integer(name); }

 private:
  template <class T>
  const T& get(std::string_view name) const;
};

/// An answer. A handler may return `fields` alone, which converts.
class response {
 public:
  response() = default;
  response(fields what) : values(std::move(what)) {}  // NOLINT(google-explicit-constructor)

  /// The answer to `list`.
  static response of_keys(std::vector<std::string> keys);
  /// Adds a remark for people: it worked, but. Returns *this, for chains.
  response& warn(std::string remark);

  fields values;
  std::vector<std::string> keys;
  std::vector<std::string> warnings;
  std::string help;
};

/// Copies an answer into a message.
void write_response(const response& from, schema::Response::Builder to);

}  // namespace bulkhead::sdk
