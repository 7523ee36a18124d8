// SPDX-License-Identifier: Apache-2.0
//
// A value of any shape, between text and Cap'n Proto: what `call` reads and prints, and what every
// command prints as JSON. One model, so that the two notations mean the same:
//
//     (name = "a", ids = [1, 2], kind = fast, key = 0x"00 ff", next = $1)      Cap'n Proto text
//     {"name": "a", "ids": [1, 2], "kind": "fast", "next": "$1"}               JSON
//
// `parse` takes both, also mixed, and says where it stopped. `$1` names a capability that an
// earlier result of the session held. Numbers keep all their digits: they are text until a schema
// says which type they have. Depth is at most `datum_depth_max`. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

inline constexpr unsigned datum_depth_max = 64;  ///< as Cap'n Proto's own nesting limit

struct datum {
  enum class kind : std::uint8_t {
    null,
    boolean,     // text: "true" or "false"
    number,      // text: its digits
    text,        // text
    data,        // text: the bytes
    word,        // text: an enumerator, or any bare name
    capability,  // text: "$1", or what stands for one
    list,        // items
    record,      // names and items
  };

  kind type = kind::null;
  std::string text;
  std::vector<datum> items;
  std::vector<std::string> names;  ///< of a record, one per item
  std::size_t offset = 0;          ///< where it began in the text that was parsed
  bool json = false;               ///< parsed inside braces: text for a Data field is base64

  static datum of_bool(bool value);
  static datum of_int(std::int64_t value);
  static datum of_uint(std::uint64_t value);
  static datum of_real(double value);
  static datum of_text(std::string_view value);
  static datum of_data(std::string_view value);
  static datum of_word(std::string_view value);
  static datum of_list();
  static datum of_record();

  /// Adds to a record. Returns the item, valid until the next one is added.
  datum& add(std::string name, datum item);

  /// The item of that name in a record, or nothing.
  const datum* find(std::string_view name) const;
};

/// Reads one value, or a record without its brackets (`a = 1, b = 2`). Throws `failure` (usage)
/// that says where and why.
datum parse_datum(std::string_view text);

/// As JSON, on one line. Data is base64, an enumerator and a capability text, a number that JSON
/// cannot say ("nan", "inf") text.
std::string to_json(const datum& value);

/// As Cap'n Proto text; on one line when that has at most `columns`, else broken and indented.
std::string to_capnp_text(const datum& value, std::size_t columns = 100);

/// `text` as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

std::string base64(std::string_view bytes);

/// The reverse; false when it is not base64.
bool from_base64(std::string_view text, std::string& bytes);

}  // namespace bulkhead::cli
