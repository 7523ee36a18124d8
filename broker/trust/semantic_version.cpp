// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/semantic_version.hpp"

#include <algorithm>
#include <charconv>

namespace bulkhead::trust {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool has_leading_zero(std::string_view digits) {
  return digits.size() > 1 && digits.front() == '0';
}

/// Everything up to `mark`, which is dropped; all of it when there is none.
std::string_view cut(std::string_view& text, char mark) {
  const auto end = std::min(text.find(mark), text.size());
  const auto part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::vector<std::string_view> split(std::string_view text, char mark) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(mark); end != std::string_view::npos; end = text.find(mark)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

bool read_number(std::string_view text, std::uint32_t& to) {
  if (!is_digits(text) || has_leading_zero(text)) return false;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), to);
  return problem == std::errc() && end == text.data() + text.size();
}

std::weak_ordering compare_parts(const std::string& a, const std::string& b) {
  const bool a_counts = is_digits(a);
  const bool b_counts = is_digits(b);
  if (a_counts != b_counts) {
    return a_counts ? std::weak_ordering::less : std::weak_ordering::greater;
  }
  // Numbers without leading zeros: the longer one is the greater.
  if (a_counts && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

}  // namespace

std::optional<semantic_version> parse_version(std::string_view text) {
  if (text.size() > version_bytes_max) return std::nullopt;
  semantic_version result;
  const bool has_build = text.find('+') != std::string_view::npos;
  std::string_view build = text;
  std::string_view rest = cut(build, '+');
  const bool has_prerelease = rest.find('-') != std::string_view::npos;
  const std::string_view core = cut(rest, '-');
  const auto numbers = split(core, '.');
  if (numbers.size() != 3 || !read_number(numbers[0], result.major_number) ||
      !read_number(numbers[1], result.minor_number) ||
      !read_number(numbers[2], result.patch_number)) {
    return std::nullopt;
  }
  if (has_prerelease) {
    for (const auto part : split(rest, '.')) {
      if (!is_identifier(part) || (is_digits(part) && has_leading_zero(part))) return std::nullopt;
      result.prerelease.emplace_back(part);
    }
  }
  if (has_build) {
    for (const auto part : split(build, '.')) {
      if (!is_identifier(part)) return std::nullopt;
    }
    result.build = build;
  }
  return result;
}

std::weak_ordering compare(const semantic_version& a, const semantic_version& b) {
  if (const auto order = a.major_number <=> b.major_number; std::is_neq(order)) return order;
  if (const auto order = a.minor_number <=> b.minor_number; std::is_neq(order)) return order;
  if (const auto order = a.patch_number <=> b.patch_number; std::is_neq(order)) return order;
  if (a.stable() || b.stable()) return a.stable() <=> b.stable();
  const std::size_t common = std::min(a.prerelease.size(), b.prerelease.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto order = compare_parts(a.prerelease[i], b.prerelease[i]);
    if (std::is_neq(order)) return order;
  }
  return a.prerelease.size() <=> b.prerelease.size();
}

}  // namespace bulkhead::trust
