// SPDX-License-Identifier: Apache-2.0
#include "broker/store/key_check.hpp"

#include <fmt/format.h>

#include <charconv>

namespace bulkhead {
namespace {

/// Takes `word` off the front.
bool take(std::string_view& text, std::string_view word) {
  if (text.substr(0, word.size()) != word) return false;
  text.remove_prefix(word.size());
  return true;
}

bool take_number(std::string_view& text, std::uint64_t& number, int base) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (problem != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

std::string print_key_check(const key_check& check) {
  auto text =
      fmt::format("bulkhead-key-check 1\nplain {} {}\nkeys", check.plain_after, check.plain_until);
  for (const auto id : check.keys) text += fmt::format(" {:016x}", id);
  return text + "\n";
}

std::optional<key_check> parse_key_check(std::string_view text) {
  key_check check;
  const bool head = take(text, "bulkhead-key-check 1\nplain ") &&
                    take_number(text, check.plain_after, 10) && take(text, " ") &&
                    take_number(text, check.plain_until, 10) && take(text, "\nkeys");
  if (!head) return std::nullopt;
  while (take(text, " ")) {
    std::uint64_t id = 0;
    if (!take_number(text, id, 16)) return std::nullopt;
    check.keys.push_back(id);
  }
  if (text != "\n" || check.keys.empty()) return std::nullopt;
  return check;
}

}  // namespace bulkhead
