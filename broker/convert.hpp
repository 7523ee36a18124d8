// SPDX-License-Identifier: Apache-2.0
#pragma once

// Between the plain C++ of the embedding API and the messages of the wire. Hostile depth is
// bounded: a list or map nested deeper than `value_depth_max` reads as null.

#include <kj/exception.h>

#include "broker/broker.hpp"
#include "schema/admin.capnp.h"
#include "schema/plugin.capnp.h"

namespace bulkhead {

inline constexpr unsigned value_depth_max = 32;

void write_value(const value& from, schema::Value::Builder to);
value read_value(schema::Value::Reader from, unsigned depth = 0);
void write_fields(const fields& from, capnp::List<schema::Field>::Builder to);
fields read_fields(capnp::List<schema::Field>::Reader from, unsigned depth = 0);
response read_response(schema::Response::Reader from);

mount_spec read_spec(schema::MountSpec::Reader from);
/// Fails with invalid_argument, naming it, for a field that is not known.
tune_request read_tune(schema::TuneRequest::Reader from);
void write_spec(const mount_spec& from, schema::MountSpec::Builder to);
void write_options(const std::vector<option>& from, capnp::List<schema::Option>::Builder to);
void write_supervision(const restart_limits& from, schema::Supervision::Builder to);
void write_life(const life_rules& from, schema::Life::Builder to);
void write_calls(const call_rules& from, schema::CallRules::Builder to);

/// As the embedding API throws it. Reads the text's parts; a plugin's own words count as the
/// plugin's.
error to_error(const kj::Exception& from);
/// As it travels.
kj::Exception to_exception(const error& from);
/// The exception of a kind, with its text in three parts.
kj::Exception exception(error_kind kind, std::string what, std::string why = {},
                        std::string remedy = {});

std::string text(capnp::Text::Reader from);

}  // namespace bulkhead
