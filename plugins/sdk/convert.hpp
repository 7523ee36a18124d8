// SPDX-License-Identifier: Apache-2.0
//
// Between the SDK's values and those of schema/plugin.capnp. Plugin authors rarely need it: the SDK
// converts at its edge.
#pragma once

#include "plugins/sdk/value.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

/// Deepest nesting of lists and maps in one value that is accepted or written; deeper is
/// `invalidArgument`.
inline constexpr unsigned value_depth_max = 24;

/// Copies a value out of a message. Throws `error` (invalidArgument) for a kind of value that this
/// version does not know, for names that repeat, and beyond `value_depth_max`.
value read_value(schema::Value::Reader from);
fields read_fields(capnp::List<schema::Field>::Reader from);

/// Copies a value into a message.
void write_value(const value& from, schema::Value::Builder to);
void write_fields(const fields& from, capnp::List<schema::Field>::Builder to);

}  // namespace bulkhead::sdk
