// SPDX-License-Identifier: Apache-2.0
//
// From `datum` into a Cap'n Proto message, by the schema.
#include <capnp/any.h>
#include <capnp/schema.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/schema_text.hpp"
#include "tools/bulkhead/suggest.hpp"

namespace bulkhead::cli {
namespace {

using capnp::DynamicList;
using capnp::DynamicStruct;
using capnp::DynamicValue;
using which = capnp::schema::Type;

std::string_view kind_text(const datum& value) {
  switch (value.type) {
    case datum::kind::null:
      return "null";
    case datum::kind::boolean:
      return "a boolean";
    case datum::kind::number:
      return "a number";
    case datum::kind::text:
      return "text";
    case datum::kind::data:
      return "bytes";
    case datum::kind::word:
      return "a name";
    case datum::kind::capability:
      return "a capability";
    case datum::kind::list:
      return "a list";
    case datum::kind::record:
      return "a record";
  }
  return "a value";
}

[[noreturn]] void mismatch(const std::string& path, capnp::Type type, const datum& value) {
  const bool shows = value.type == datum::kind::number || value.type == datum::kind::word;
  throw usage(fmt::format("'{}' is {}{}, and {} was expected", path, kind_text(value),
                          shows ? " (" + value.text + ")" : std::string(), type_text(type)));
}

template <typename Int>
Int integer(const std::string& path, capnp::Type type, const datum& value) {
  std::string_view digits = value.text;
  bool readable = value.type == datum::kind::number || value.type == datum::kind::text;
  const bool negative = !digits.empty() && digits.front() == '-';
  if (negative || (!digits.empty() && digits.front() == '+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.substr(0, 2) == "0x") {
    base = 16;
    digits.remove_prefix(2);
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  readable = readable && error != std::errc::invalid_argument &&
             end == digits.data() + digits.size() && !digits.empty();
  if (!readable) mismatch(path, type, value);
  constexpr auto max = static_cast<std::uint64_t>(std::numeric_limits<Int>::max());
  const std::uint64_t limit = !negative ? max : std::is_signed_v<Int> ? max + 1 : 0;
  if (error == std::errc::result_out_of_range || magnitude > limit) {
    throw usage(fmt::format("'{}' is {}, out of the range of {} ({} to {})", path, value.text,
                            type_text(type), +std::numeric_limits<Int>::min(),
                            +std::numeric_limits<Int>::max()));
  }
  return static_cast<Int>(negative ? std::uint64_t{0} - magnitude : magnitude);
}

double real(const std::string& path, capnp::Type type, const datum& value) {
  if (value.type == datum::kind::number || value.type == datum::kind::text) {
    if (value.text == "nan") return std::numeric_limits<double>::quiet_NaN();
    double number = 0;
    std::string_view digits = value.text;
    if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc() && end == digits.data() + digits.size()) return number;
  }
  mismatch(path, type, value);
}

std::string bytes_of(const std::string& path, capnp::Type type, const datum& value) {
  if (value.type == datum::kind::data) return value.text;
  if (value.type != datum::kind::text) mismatch(path, type, value);
  if (!value.json) return value.text;
  std::string bytes;
  if (!from_base64(value.text, bytes)) {
    throw usage(fmt::format("'{}' is not base64, which JSON writes bytes in", path));
  }
  return bytes;
}

capnp::DynamicEnum enumerator(const std::string& path, capnp::Type type, const datum& value) {
  const auto schema = type.asEnum();
  if (value.type == datum::kind::number) {
    return {schema, integer<std::uint16_t>(path, type, value)};
  }
  if (value.type != datum::kind::word && value.type != datum::kind::text) {
    mismatch(path, type, value);
  }
  KJ_IF_MAYBE (found, schema.findEnumerantByName(value.text.c_str())) return *found;
  std::vector<std::string> names;
  for (auto each : schema.getEnumerants()) names.emplace_back(each.getProto().getName().cStr());
  std::string remedy = did_you_mean(value.text, names);
  remedy += (remedy.empty() ? "" : " ") + ("one of: " + join_names(names));
  throw usage(fmt::format("'{}' of {} has no '{}'", path, type_text(type), value.text), remedy);
}

class filler {
 public:
  explicit filler(const capability_finder& find) : find_(find) {}

  void fill(DynamicStruct::Builder target, const datum& value, const std::string& path) {
    if (value.type == datum::kind::null) return;
    if (value.type != datum::kind::record) mismatch(path, target.getSchema(), value);
    for (std::size_t i = 0; i < value.names.size(); ++i) {
      const std::string below = path.empty() ? value.names[i] : path + "." + value.names[i];
      KJ_IF_MAYBE (field, target.getSchema().findFieldByName(value.names[i].c_str())) {
        fill_field(target, *field, value.items[i], below);
      } else {
        unknown_field(target.getSchema(), value.names[i], path);
      }
    }
  }

 private:
  [[noreturn]] static void unknown_field(capnp::StructSchema schema, const std::string& name,
                                         const std::string& path) {
    std::vector<std::string> names;
    for (auto each : schema.getFields()) names.emplace_back(each.getProto().getName().cStr());
    std::string remedy = did_you_mean(name, names);
    if (!names.empty()) remedy += (remedy.empty() ? "" : " ") + ("fields: " + join_names(names));
    throw usage(path.empty() ? fmt::format("there is no argument '{}'", name)
                             : fmt::format("'{}' has no field '{}'", path, name),
                names.empty() ? "it takes no arguments" : remedy);
  }

  void fill_field(DynamicStruct::Builder target, capnp::StructSchema::Field field,
                  const datum& value, const std::string& path) {
    const auto type = field.getType();
    if (field.getProto().isGroup()) {
      return fill(target.init(field).as<DynamicStruct>(), value, path);
    }
    if (value.type == datum::kind::null) return target.clear(field);
    switch (type.which()) {
      case which::STRUCT:
        return fill(target.init(field).as<DynamicStruct>(), value, path);
      case which::LIST:
        if (value.type != datum::kind::list) mismatch(path, type, value);
        return fill_list(target.init(field, count(value)).as<DynamicList>(), value, path);
      case which::INTERFACE:
        return target.set(field, capability(path, type, value));
      case which::ANY_POINTER:
        return fill_any(target.get(field).as<capnp::AnyPointer>(), value, path);
      default:
        set_plain(type, value, path,
                  [&](const DynamicValue::Reader& plain) { target.set(field, plain); });
    }
  }

  void fill_list(DynamicList::Builder target, const datum& value, const std::string& path) {
    const auto type = target.getSchema().getElementType();
    for (capnp::uint i = 0; i < count(value); ++i) {
      const datum& item = value.items[i];
      const std::string below = fmt::format("{}[{}]", path, i);
      switch (type.which()) {
        case which::STRUCT:
          fill(target[i].as<DynamicStruct>(), item, below);
          break;
        case which::LIST:
          if (item.type != datum::kind::list) mismatch(below, type, item);
          fill_list(target.init(i, count(item)).as<DynamicList>(), item, below);
          break;
        case which::INTERFACE:
          target.set(i, capability(below, type, item));
          break;
        case which::ANY_POINTER:
          throw usage(fmt::format("'{}': lists of AnyPointer cannot be written here", below));
        default:
          set_plain(type, item, below,
                    [&](const DynamicValue::Reader& plain) { target.set(i, plain); });
      }
    }
  }

  static capnp::uint count(const datum& value) {
    return static_cast<capnp::uint>(value.items.size());
  }

  capnp::DynamicCapability::Client capability(const std::string& path, capnp::Type type,
                                              const datum& value) {
    const bool named = value.type == datum::kind::capability ||
                       (value.type == datum::kind::text && value.text.substr(0, 1) == "$");
    if (!named) mismatch(path, type, value);
    return find_(value.text, type.asInterface())
        .castAs<capnp::DynamicCapability>(type.asInterface());
  }

  void fill_any(capnp::AnyPointer::Builder target, const datum& value, const std::string& path) {
    switch (value.type) {
      case datum::kind::capability:
        return target.setAs<capnp::Capability>(find_(value.text, {}));
      case datum::kind::text:
        return target.setAs<capnp::Text>(value.text.c_str());
      case datum::kind::data:
        return target.setAs<capnp::Data>(
            kj::StringPtr(value.text.c_str(), value.text.size()).asBytes());
      default:
        throw usage(
            fmt::format("'{}' is of type AnyPointer, which can be text, bytes or a "
                        "capability here",
                        path));
    }
  }

  template <typename Set>
  static void set_plain(capnp::Type type, const datum& value, const std::string& path, Set set) {
    switch (type.which()) {
      case which::VOID:
        if (value.type != datum::kind::null) mismatch(path, type, value);
        return set(capnp::VOID);
      case which::BOOL:
        if (value.type != datum::kind::boolean) mismatch(path, type, value);
        return set(value.text == "true");
      case which::INT8:
        return set(integer<std::int8_t>(path, type, value));
      case which::INT16:
        return set(integer<std::int16_t>(path, type, value));
      case which::INT32:
        return set(integer<std::int32_t>(path, type, value));
      case which::INT64:
        return set(integer<std::int64_t>(path, type, value));
      case which::UINT8:
        return set(integer<std::uint8_t>(path, type, value));
      case which::UINT16:
        return set(integer<std::uint16_t>(path, type, value));
      case which::UINT32:
        return set(integer<std::uint32_t>(path, type, value));
      case which::UINT64:
        return set(integer<std::uint64_t>(path, type, value));
      case which::FLOAT32:
      case which::FLOAT64:
        return set(real(path, type, value));
      case which::TEXT:
        if (value.type != datum::kind::text) mismatch(path, type, value);
        return set(capnp::Text::Reader(value.text.c_str(), value.text.size()));
      case which::DATA: {
        const std::string bytes = bytes_of(path, type, value);
        return set(capnp::Data::Reader(kj::StringPtr(bytes.c_str(), bytes.size()).asBytes()));
      }
      case which::ENUM:
        return set(enumerator(path, type, value));
      default:
        throw usage(fmt::format("'{}' is of a type that cannot be written here", path));
    }
  }

  const capability_finder& find_;
};

}  // namespace

void fill_struct(DynamicStruct::Builder target, const datum& value, const capability_finder& find) {
  filler(find).fill(target, value, {});
}

}  // namespace bulkhead::cli
