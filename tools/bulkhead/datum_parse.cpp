// SPDX-License-Identifier: Apache-2.0
//
// The reader of both notations: one recursive descent over the text. JSON's brackets and commas are
// Cap'n Proto's; only records differ: `(a = 1)` against `{"a": 1}`.
#include <fmt/format.h>

#include <array>

#include "tools/bulkhead/datum.hpp"
#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& text, std::uint32_t code) {
  if (code < 0x80U) {
    text += static_cast<char>(code);
  } else if (code < 0x800U) {
    text += static_cast<char>(0xC0U | (code >> 6U));
    text += static_cast<char>(0x80U | (code & 0x3FU));
  } else if (code < 0x10000U) {
    text += static_cast<char>(0xE0U | (code >> 12U));
    text += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
    text += static_cast<char>(0x80U | (code & 0x3FU));
  } else {
    text += static_cast<char>(0xF0U | (code >> 18U));
    text += static_cast<char>(0x80U | ((code >> 12U) & 0x3FU));
    text += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
    text += static_cast<char>(0x80U | (code & 0x3FU));
  }
}

class parser {
 public:
  explicit parser(std::string_view text) : text_(text) {}

  datum whole() {
    skip_blanks();
    datum value;
    if (bare_record()) {
      value.type = datum::kind::record;
      read_pairs(value, '\0', 1);
    } else {
      value = read(0);
    }
    skip_blanks();
    if (at_ < text_.size()) fail("something is left behind the value");
    return value;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    constexpr std::size_t shown_max = 24;
    const std::string_view rest = text_.substr(at_, shown_max);
    throw usage(rest.empty() ? fmt::format("cannot read the arguments at their end: {}", what)
                             : fmt::format("cannot read the arguments at column {}, near '{}': {}",
                                           at_ + 1, wire::escape_line(rest), what),
                R"(write them as Cap'n Proto text (a = 1, b = "x") or as JSON {"a": 1, "b": "x"})");
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  bool take(char c) {
    skip_blanks();
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  /// True when the text begins with `name =`, or is empty.
  bool bare_record() const {
    std::size_t i = at_;
    if (i == text_.size()) return true;
    while (i < text_.size() && is_name(text_[i])) ++i;
    if (i == at_ || is_digit(text_[at_])) return false;
    while (i < text_.size() && text_[i] == ' ') ++i;
    return i < text_.size() && text_[i] == '=';
  }

  std::string read_name() {
    const std::size_t begin = at_;
    while (is_name(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  datum read(unsigned depth) {
    skip_blanks();
    if (depth > datum_depth_max) fail("it is nested too deeply");
    datum value;
    value.offset = at_;
    value.json = json_;
    const char c = peek();
    if (c == '(' || c == '{') {
      ++at_;
      value.type = datum::kind::record;
      const bool outer_json = json_;
      json_ = c == '{';
      read_pairs(value, c == '(' ? ')' : '}', depth + 1);
      json_ = outer_json;
    } else if (c == '[') {
      ++at_;
      value.type = datum::kind::list;
      read_items(value, depth + 1);
    } else if (c == '"') {
      value.type = datum::kind::text;
      value.text = read_string();
    } else if (c == '$') {
      ++at_;
      value.type = datum::kind::capability;
      value.text = "$" + read_name();
      if (value.text.size() == 1) fail("a capability's name is missing behind '$'");
    } else if (c == '-' || c == '+' || c == '.' || is_digit(c)) {
      read_number(value);
    } else if (is_name(c)) {
      read_word(value);
    } else {
      fail(at_ == text_.size() ? "a value is missing" : "no value begins so");
    }
    return value;
  }

  void read_items(datum& list, unsigned depth) {
    if (take(']')) return;
    do {
      skip_blanks();
      if (peek() == ']') break;  // a comma may end the list
      list.items.push_back(read(depth));
    } while (take(','));
    if (!take(']')) fail("',' or ']' is missing");
  }

  /// Pairs up to `end`, which is '\0' for the end of the text.
  void read_pairs(datum& record, char end, unsigned depth) {
    const auto at_end = [&]() {
      skip_blanks();
      return end == '\0' ? at_ == text_.size() : peek() == end;
    };
    while (!at_end()) {
      const std::size_t begin = at_;
      std::string name = peek() == '"' ? read_string() : read_name();
      if (name.empty()) fail("a field's name is missing");
      if (!take('=') && !take(':')) fail("'=' or ':' is missing behind a field's name");
      if (record.find(name) != nullptr) {
        at_ = begin;
        fail("the field is there twice");
      }
      record.add(std::move(name), read(depth));
      if (!take(',') && !at_end()) fail("',' is missing between two fields");
    }
    if (end != '\0') ++at_;
  }

  void read_number(datum& value) {
    value.type = datum::kind::number;
    if (text_.substr(at_, 3) == "0x\"") {
      at_ += 2;
      return read_hex_data(value);
    }
    const std::size_t begin = at_;
    if (peek() == '-' || peek() == '+') ++at_;
    if (text_.substr(at_, 3) == "inf") {
      at_ += 3;
    } else {
      // Digits, hexadecimal ones, a point, an exponent: the schema's type says what is allowed.
      while (
          is_name(peek()) || peek() == '.' ||
          ((peek() == '-' || peek() == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E'))) {
        ++at_;
      }
    }
    value.text = std::string(text_.substr(begin, at_ - begin));
    if (value.text.find_first_of("0123456789i") == std::string::npos) fail("no digit is there");
  }

  void read_hex_data(datum& value) {
    value.type = datum::kind::data;
    int high = -1;
    for (++at_; at_ < text_.size() && peek() != '"'; ++at_) {
      if (peek() == ' ') continue;
      const int digit = hex_digit(peek());
      if (digit < 0) fail("no hexadecimal digit");
      if (high < 0) {
        high = digit;
      } else {
        value.text += static_cast<char>(high * 16 + digit);
        high = -1;
      }
    }
    if (at_ == text_.size() || high >= 0) fail("the bytes end too early");
    ++at_;
  }

  void read_word(datum& value) {
    value.text = read_name();
    value.type = datum::kind::word;
    if (value.text == "true" || value.text == "false") value.type = datum::kind::boolean;
    if (value.text == "null" || value.text == "void") value.type = datum::kind::null;
    if (value.text == "nan" || value.text == "inf") value.type = datum::kind::number;
  }

  std::string read_string() {
    std::string text;
    for (++at_; at_ < text_.size() && text_[at_] != '"';) {
      if (text_[at_] == '\\') {
        ++at_;
        read_escape(text);
      } else {
        text += text_[at_++];
      }
    }
    if (at_ == text_.size()) fail("a quote is not closed");
    ++at_;
    return text;
  }

  std::uint32_t read_hex(unsigned digits) {
    std::uint32_t code = 0;
    for (unsigned i = 0; i < digits; ++i) {
      const int digit = hex_digit(peek());
      if (digit < 0) fail("no hexadecimal digit");
      code = code * 16 + static_cast<std::uint32_t>(digit);
      ++at_;
    }
    return code;
  }

  void read_escape(std::string& text) {
    constexpr std::string_view letters = "abfnrtv0";
    constexpr std::string_view meanings("\a\b\f\n\r\t\v\0", 8);
    const char c = peek();
    if (at_ < text_.size()) ++at_;
    if (c == 'u') {
      std::uint32_t code = read_hex(4);
      if (code >= 0xD800U && code < 0xDC00U && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        const std::uint32_t low = read_hex(4);
        if (low < 0xDC00U || low > 0xDFFFU) fail("half of a surrogate pair");
        code = 0x10000U + ((code - 0xD800U) << 10U) + (low - 0xDC00U);
      }
      if (code >= 0xD800U && code < 0xE000U) fail("half of a surrogate pair");
      append_utf8(text, code);
    } else if (c == 'x') {
      text += static_cast<char>(read_hex(2));
    } else if (const auto found = letters.find(c); found != letters.npos && c != '\0') {
      text += meanings[found];
    } else if (c != '\0') {
      text += c;  // quotes, backslash, slash
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool json_ = false;
};

}  // namespace

datum parse_datum(std::string_view text) {
  return parser(text).whole();
}

}  // namespace bulkhead::cli
