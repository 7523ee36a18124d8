// SPDX-License-Identifier: Apache-2.0
//
// A plugin's own interface, known by the schema nodes that it shipped: which methods it has, and
// how they read. The nodes come from an untrusted process: loading them validates them and fails
// with a named error, and everything printed of them is escaped.
#pragma once

#include <capnp/schema-loader.h>
#include <capnp/schema.h>

#include <string>
#include <vector>

namespace bulkhead::cli {

/// The methods of an interface and of those it extends, by name.
std::vector<capnp::InterfaceSchema::Method> all_methods(capnp::InterfaceSchema schema);

/// Their names.
std::vector<std::string> method_names(capnp::InterfaceSchema schema);

/// "evaluate (expression :Text) -> (value :Float64)".
std::string signature(capnp::InterfaceSchema::Method method);

/// "List(Text)".
std::string type_text(capnp::Type type);

/// What stands in `$help(...)`, or nothing.
std::string help_of(capnp::InterfaceSchema::Method method);

/// True when the field carries `$secret`.
bool is_secret(capnp::StructSchema::Field field);

/// An interface loaded from nodes, and all that it refers to. Schemas taken from it are valid as
/// long as it lives.
class loaded_interface {
 public:
  /// Throws `failure` when the nodes are malformed or do not hold `id`.
  loaded_interface(capnp::List<capnp::schema::Node>::Reader nodes, std::uint64_t id);

  capnp::InterfaceSchema schema() const { return schema_; }

 private:
  capnp::SchemaLoader loader_;
  capnp::InterfaceSchema schema_;
};

}  // namespace bulkhead::cli
