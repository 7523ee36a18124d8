// SPDX-License-Identifier: Apache-2.0
//
// Between `datum` and schema::Value, the values of request-style calls. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/plugin.capnp.h"
#include "tools/bulkhead/datum.hpp"

namespace bulkhead::cli {

datum from_value(schema::Value::Reader value);

/// A record of the fields.
datum from_fields(capnp::List<schema::Field>::Reader fields);

/// Numbers become `int` when they are whole and fit, else `float`. Throws `failure` (usage) for
/// capabilities.
void to_value(const datum& value, schema::Value::Builder target);

/// A value as a cell of a table: text as it is, bytes as base64, the rest as JSON.
std::string cell_text(const datum& value);

/// A named argument of read, write, list or delete.
struct named_value {
  std::string name;
  datum value;
};

/// Where `k=-` and `k=@FILE` read from. Throws `failure` when it cannot.
struct value_reader {
  virtual ~value_reader() = default;
  virtual std::string file(const std::string& path) = 0;
  virtual std::string standard_input() = 0;
};

/// Reads `k=v` (text), `k=@FILE`, `k=-` (text if UTF-8, else bytes), `k:=JSON` (typed). `k=\@x` and
/// `k=\-` are the plain texts. Throws `failure` (usage); a name that comes twice is one.
std::vector<named_value> parse_fields(const std::vector<std::string>& words, value_reader& reader);

}  // namespace bulkhead::cli
