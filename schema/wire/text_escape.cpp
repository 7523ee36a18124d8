// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/text_escape.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <iterator>

#include "schema/wire/error_text.hpp"

namespace bulkhead::wire {

namespace {

struct sequence {
  std::size_t bytes = 0;  // 0: no UTF-8
  std::uint32_t code = 0;
};

bool continuation(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<std::uint8_t>(text[at]) & 0xc0U) == 0x80U;
}

// Decodes the sequence at `at` strictly: no overlong forms, surrogates, or codes above U+10FFFF.
sequence decode(std::string_view text, std::size_t at) {
  const auto lead = static_cast<std::uint8_t>(text[at]);
  if (lead < 0x80) return {1, lead};
  std::size_t bytes = 0;
  std::uint32_t code = 0;
  std::uint32_t least = 0;
  if ((lead & 0xe0U) == 0xc0U) {
    bytes = 2, code = lead & 0x1fU, least = 0x80;
  } else if ((lead & 0xf0U) == 0xe0U) {
    bytes = 3, code = lead & 0x0fU, least = 0x800;
  } else if ((lead & 0xf8U) == 0xf0U) {
    bytes = 4, code = lead & 0x07U, least = 0x10000;
  } else {
    return {};
  }
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!continuation(text, at + i)) return {};
    code = (code << 6U) | (static_cast<std::uint8_t>(text[at + i]) & 0x3fU);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < least || code > 0x10ffff || surrogate) return {};
  return {bytes, code};
}

// Control characters, line separators, and marks that reorder or hide text.
bool harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
         code == 0x061c || code == 0xfeff;
}

bool plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("_./:,+-").find(c) != std::string_view::npos;
}

}  // namespace

std::string escape_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto found = decode(text, at);
    const std::size_t bytes = found.bytes == 0 ? 1 : found.bytes;
    if (found.bytes != 0 && !harmful(found.code)) {
      line.append(text.substr(at, bytes));
    } else {
      for (std::size_t i = 0; i < bytes; ++i) {
        fmt::format_to(std::back_inserter(line), "\\x{:02x}",
                       static_cast<std::uint8_t>(text[at + i]));
      }
    }
    at += bytes;
  }
  return line;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && continuation(text, bytes_max)) --bytes_max;
  return text.substr(0, bytes_max);
}

std::string percent_encode(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (char c : text) {
    if (plain(c)) {
      encoded += c;
    } else {
      fmt::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<std::uint8_t>(c));
    }
  }
  return encoded;
}

std::string percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::uint8_t byte = 0;
    if (text[at] == '%' && at + 2 < text.size()) {
      const auto digits = text.substr(at + 1, 2);
      const auto end = digits.data() + digits.size();
      if (std::from_chars(digits.data(), end, byte, 16).ptr == end && digits.size() == 2) {
        decoded += static_cast<char>(byte);
        at += 2;
        continue;
      }
    }
    decoded += text[at];
  }
  return decoded;
}

}  // namespace bulkhead::wire
