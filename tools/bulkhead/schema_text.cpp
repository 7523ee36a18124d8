// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/schema_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

using which = capnp::schema::Type;

constexpr std::size_t interfaces_max = 256;  // a hostile schema may name very many

constexpr std::uint64_t secret_id = 0xf257a22f5b7b47c0;  // schema/annotations.capnp
constexpr std::uint64_t help_id = 0xb443fd7a72c69a3e;

std::string name_of(kj::StringPtr name) {
  return wire::escape_line(name.cStr());
}

void collect(capnp::InterfaceSchema schema, std::set<std::uint64_t>& seen,
             std::vector<capnp::InterfaceSchema::Method>& methods) {
  if (seen.size() >= interfaces_max || !seen.insert(schema.getProto().getId()).second) return;
  for (auto method : schema.getMethods()) methods.push_back(method);
  for (auto base : schema.getSuperclasses()) collect(base, seen, methods);
}

/// Parameters or results: their fields, or the struct's name where it has one of its own.
std::string struct_text(capnp::StructSchema schema) {
  if (schema.isStreamResult()) return "stream";
  if (schema.getProto().getScopeId() != 0) return name_of(schema.getShortDisplayName());
  std::string text;
  for (auto field : schema.getFields()) {
    text += fmt::format("{}{} :{}", text.empty() ? "" : ", ", name_of(field.getProto().getName()),
                        type_text(field.getType()));
  }
  return "(" + text + ")";
}

}  // namespace

std::vector<capnp::InterfaceSchema::Method> all_methods(capnp::InterfaceSchema schema) {
  std::set<std::uint64_t> seen;
  std::vector<capnp::InterfaceSchema::Method> methods;
  collect(schema, seen, methods);
  std::sort(methods.begin(), methods.end(), [](const auto& a, const auto& b) {
    return kj::StringPtr(a.getProto().getName()) < kj::StringPtr(b.getProto().getName());
  });
  return methods;
}

std::vector<std::string> method_names(capnp::InterfaceSchema schema) {
  std::vector<std::string> names;
  for (const auto& method : all_methods(schema)) {
    names.push_back(name_of(method.getProto().getName()));
  }
  return names;
}

std::string signature(capnp::InterfaceSchema::Method method) {
  return fmt::format("{} {} -> {}", name_of(method.getProto().getName()),
                     struct_text(method.getParamType()), struct_text(method.getResultType()));
}

std::string type_text(capnp::Type type) {
  switch (type.which()) {
    case which::VOID:
      return "Void";
    case which::BOOL:
      return "Bool";
    case which::INT8:
      return "Int8";
    case which::INT16:
      return "Int16";
    case which::INT32:
      return "Int32";
    case which::INT64:
      return "Int64";
    case which::UINT8:
      return "UInt8";
    case which::UINT16:
      return "UInt16";
    case which::UINT32:
      return "UInt32";
    case which::UINT64:
      return "UInt64";
    case which::FLOAT32:
      return "Float32";
    case which::FLOAT64:
      return "Float64";
    case which::TEXT:
      return "Text";
    case which::DATA:
      return "Data";
    case which::LIST:
      return "List(" + type_text(type.asList().getElementType()) + ")";
    case which::ENUM:
      return name_of(type.asEnum().getShortDisplayName());
    case which::STRUCT:
      return name_of(type.asStruct().getShortDisplayName());
    case which::INTERFACE:
      return name_of(type.asInterface().getShortDisplayName());
    case which::ANY_POINTER:
      return "AnyPointer";
  }
  return "a type of a newer version";
}

std::string help_of(capnp::InterfaceSchema::Method method) {
  for (auto annotation : method.getProto().getAnnotations()) {
    if (annotation.getId() == help_id && annotation.getValue().isText()) {
      return wire::escape_line(annotation.getValue().getText().cStr());
    }
  }
  return {};
}

bool is_secret(capnp::StructSchema::Field field) {
  for (auto annotation : field.getProto().getAnnotations()) {
    if (annotation.getId() == secret_id) return true;
  }
  return false;
}

loaded_interface::loaded_interface(capnp::List<capnp::schema::Node>::Reader nodes,
                                   std::uint64_t id) {
  try {
    for (auto node : nodes) loader_.load(node);
    schema_ = loader_.get(id).asInterface();
  } catch (const kj::Exception& exception) {
    throw failure(exit_code::failed, "the plugin's schema cannot be used",
                  wire::escape_line(exception.getDescription().cStr()),
                  "report it to the plugin's author");
  }
}

}  // namespace bulkhead::cli
