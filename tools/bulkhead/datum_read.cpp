// SPDX-License-Identifier: Apache-2.0
//
// From a Cap'n Proto message into `datum`.
#include <capnp/schema.h>
#include <fmt/format.h>

#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/schema_text.hpp"

namespace bulkhead::cli {
namespace {

using capnp::DynamicValue;

constexpr std::uint16_t no_discriminant = capnp::schema::Field::NO_DISCRIMINANT;

std::string named(kj::StringPtr name, const reading_options& options) {
  return options.snake_case ? snake_case(name.cStr()) : std::string(name.cStr());
}

datum void_datum() {
  datum value;
  value.text = "void";
  return value;
}

std::string_view view(kj::ArrayPtr<const char> text) {
  return {text.begin(), text.size()};
}

datum read_field(const capnp::DynamicStruct::Reader& source, capnp::StructSchema::Field field,
                 const reading_options& options) {
  if (!options.reveal_secrets && is_secret(field)) return datum::of_word("(secret)");
  const auto type = field.getType().which();
  const bool nullable = !field.getProto().isGroup() && (type == capnp::schema::Type::STRUCT ||
                                                        type == capnp::schema::Type::INTERFACE ||
                                                        type == capnp::schema::Type::ANY_POINTER);
  if (nullable && !source.has(field)) return {};
  return read_value(source.get(field), options);
}

}  // namespace

std::string snake_case(std::string_view name) {
  std::string result;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper) result += '_';
    result += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return result;
}

datum read_struct(capnp::DynamicStruct::Reader source, const reading_options& options) {
  datum record = datum::of_record();
  const auto active = source.which();
  for (auto field : source.getSchema().getFields()) {
    if (field.getProto().getDiscriminantValue() != no_discriminant) {
      KJ_IF_MAYBE (set, active) {
        if (*set != field) continue;
      } else {
        continue;
      }
    }
    record.add(named(field.getProto().getName(), options), read_field(source, field, options));
  }
  return record;
}

datum read_value(const DynamicValue::Reader& source, const reading_options& options) {
  switch (source.getType()) {
    case DynamicValue::UNKNOWN:
      return datum::of_word("unknown");
    case DynamicValue::VOID:
      return void_datum();
    case DynamicValue::BOOL:
      return datum::of_bool(source.as<bool>());
    case DynamicValue::INT:
      return datum::of_int(source.as<std::int64_t>());
    case DynamicValue::UINT:
      return datum::of_uint(source.as<std::uint64_t>());
    case DynamicValue::FLOAT:
      return datum::of_real(source.as<double>());
    case DynamicValue::TEXT:
      return datum::of_text(view(source.as<capnp::Text>()));
    case DynamicValue::DATA:
      return datum::of_data(view(source.as<capnp::Data>().asChars()));
    case DynamicValue::LIST: {
      datum list = datum::of_list();
      for (auto item : source.as<capnp::DynamicList>()) {
        list.items.push_back(read_value(item, options));
      }
      return list;
    }
    case DynamicValue::ENUM: {
      const auto value = source.as<capnp::DynamicEnum>();
      KJ_IF_MAYBE (known, value.getEnumerant()) {
        return datum::of_word(named(known->getProto().getName(), options));
      }
      return datum::of_uint(value.getRaw());
    }
    case DynamicValue::STRUCT:
      return read_struct(source.as<capnp::DynamicStruct>(), options);
    case DynamicValue::CAPABILITY: {
      datum value = datum::of_word("<capability>");
      value.type = datum::kind::capability;
      if (options.name_capability) {
        value.text = options.name_capability(source.as<capnp::DynamicCapability>());
      }
      return value;
    }
    case DynamicValue::ANY_POINTER: {
      const auto pointer = source.as<capnp::AnyPointer>();
      if (pointer.isNull()) return {};
      if (!pointer.isCapability()) return datum::of_word("<any>");
      datum value = datum::of_word("<capability>");
      value.type = datum::kind::capability;
      if (options.name_capability) {
        auto capability = pointer.getAs<capnp::Capability>();
        value.text = options.name_capability(
            capability.castAs<capnp::DynamicCapability>(capnp::InterfaceSchema()));
      }
      return value;
    }
  }
  return {};
}

}  // namespace bulkhead::cli
