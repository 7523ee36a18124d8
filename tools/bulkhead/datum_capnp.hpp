// SPDX-License-Identifier: Apache-2.0
//
// Between `datum` and Cap'n Proto values whose types are known at run time only: the arguments of a
// call go in, its result comes out. Errors name the field and what was expected of it.
//
// Reading shows every field of a struct (of a union the one that is set), so that JSON has stable
// keys: null structs and capabilities are null, null texts and lists are empty. Fields annotated
// `$secret` are shown as (secret) unless asked for.
#pragma once

#include <capnp/dynamic.h>

#include <functional>
#include <string>

#include "tools/bulkhead/datum.hpp"

namespace bulkhead::cli {

/// The capability of that name ("$1"), to be passed where `wanted` is expected (an empty schema
/// when that is not known). Throws `failure` for unknown names.
using capability_finder = std::function<capnp::Capability::Client(const std::string& name,
                                                                  capnp::InterfaceSchema wanted)>;

/// Sets the fields of `target` that `value` (a record, or null) names. Throws `failure` (usage).
void fill_struct(capnp::DynamicStruct::Builder target, const datum& value,
                 const capability_finder& find);

struct reading_options {
  /// The name under which a capability is kept; without it, "<capability>".
  std::function<std::string(capnp::DynamicCapability::Client)> name_capability;
  bool reveal_secrets = true;
  bool snake_case = false;  ///< field and enumerator names: for the broker's own structs
};

datum read_struct(capnp::DynamicStruct::Reader source, const reading_options& options = {});
datum read_value(const capnp::DynamicValue::Reader& source, const reading_options& options = {});

/// One of the broker's own structs, with names in snake_case: what `-o json` prints.
template <typename Reader>
datum read_contract(Reader source) {
  reading_options options;
  options.snake_case = true;
  return read_struct(capnp::DynamicStruct::Reader(source), options);
}

/// "callsInFlight" -> "calls_in_flight".
std::string snake_case(std::string_view name);

}  // namespace bulkhead::cli
