// SPDX-License-Identifier: Apache-2.0
#include "broker/redact.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace bulkhead {
namespace {

// Parts of names, in lower case and without '-' and '_'.
constexpr std::array secret_names = {
    std::string_view("password"),   std::string_view("passwd"),
    std::string_view("passphrase"), std::string_view("secret"),
    std::string_view("token"),      std::string_view("apikey"),
    std::string_view("accesskey"),  std::string_view("privatekey"),
    std::string_view("credential"), std::string_view("authorization")};

// How tokens of common issuers begin; a word must be this long to be taken for one.
constexpr std::array token_beginnings = {
    std::string_view("hvs."),  std::string_view("hvb."),        std::string_view("ghp_"),
    std::string_view("gho_"),  std::string_view("github_pat_"), std::string_view("glpat-"),
    std::string_view("xoxb-"), std::string_view("AKIA"),        std::string_view("eyJ"),
    std::string_view("sk-")};
constexpr std::size_t token_bytes_min = 16;

bool is_word(char byte) {
  return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '_' || byte == '-' ||
         byte == '.';
}

bool is_value_end(char byte) {
  return byte == ' ' || byte == '\t' || byte == ',' || byte == ';' || byte == '&' || byte == '"' ||
         byte == '\'' || byte == ')' || byte == '}';
}

bool names_a_secret(std::string_view word) {
  std::string plain;
  for (const char byte : word)
    if (byte != '_' && byte != '-')
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
  return std::any_of(secret_names.begin(), secret_names.end(),
                     [&](std::string_view name) { return plain.find(name) != std::string::npos; });
}

bool is_scheme(std::string_view word) {
  return word == "Bearer" || word == "bearer" || word == "Basic" || word == "basic";
}

bool is_token(std::string_view word) {
  return word.size() >= token_bytes_min &&
         std::any_of(token_beginnings.begin(), token_beginnings.end(),
                     [&](std::string_view begin) { return word.substr(0, begin.size()) == begin; });
}

bool is_quote(char byte) {
  return byte == '"' || byte == '\'';
}

/// A value in a line, without the quotes around it. Empty: there is none.
struct span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Past spaces, and tabs as the log shows them.
std::size_t skip_blanks(std::string_view line, std::size_t at) {
  for (;;) {
    if (at < line.size() && (line[at] == ' ' || line[at] == '\t'))
      ++at;
    else if (line.substr(at, 2) == "\\t")
      at += 2;
    else
      return at;
  }
}

std::size_t skip(std::string_view line, std::size_t at, std::string_view bytes) {
  return std::min(line.find_first_not_of(bytes, at), line.size());
}

std::size_t plain_end(std::string_view line, std::size_t from) {
  while (from < line.size() && !is_value_end(line[from])) ++from;
  return from;
}

/// Where the quote that closes begins, with its backslashes: one behind as many as the one that
/// opened, for the quotes of a text within a text are escaped.
std::size_t quoted_end(std::string_view line, std::size_t from, char quote,
                       std::size_t backslashes) {
  std::size_t seen = 0;
  for (auto at = from; at < line.size(); ++at) {
    if (line[at] == quote && seen == backslashes) return at - seen;
    seen = line[at] == '\\' ? seen + 1 : 0;
  }
  return line.size();
}

/// The value at `at`, in quotes or without.
span value_at(std::string_view line, std::size_t at) {
  const auto open = skip(line, at, "\\");
  if (open == line.size() || !is_quote(line[open])) return {at, plain_end(line, at)};
  const auto quote = line[open];
  const auto begin = skip(line, open, line.substr(open, 1));
  const bool pair = begin - open == 2;
  // "" with nothing behind it is an empty value, else quotes that are doubled.
  if (pair && (begin == line.size() || is_value_end(line[begin]))) return {begin, begin};
  return {begin, quoted_end(line, begin, quote, open - at)};
}

/// The value behind a name that ends at `at`: past the name's own closing quote and a '=', ':', or
/// what is made of them.
span value_after(std::string_view line, std::size_t at) {
  const auto quote = skip(line, at, "\\");
  if (quote < line.size() && is_quote(line[quote])) at = skip(line, quote, "\"'");
  at = skip_blanks(line, at);
  if (at == line.size() || (line[at] != '=' && line[at] != ':')) return {};
  return value_at(line, skip_blanks(line, skip(line, at, "=:>")));
}

/// "Bearer abc": the scheme is no secret, what follows it is.
span past_scheme(std::string_view line, span value) {
  const auto word = line.substr(value.begin, value.end - value.begin);
  if (!is_scheme(word) || value.end == line.size() || line[value.end] != ' ') return value;
  return value_at(line, value.end + 1);
}

constexpr std::string_view pem_begin = "-----BEGIN ";
constexpr std::string_view pem_end = "-----END ";

/// Whether a PEM block is open behind the line, when `open` says whether one is before it.
bool open_behind(std::string_view line, bool open) {
  const auto begin = line.rfind(pem_begin);
  const auto end = line.rfind(pem_end);
  if (begin == std::string_view::npos) return open && end == std::string_view::npos;
  return end == std::string_view::npos || end < begin;
}

/// Whether the lines begin within a PEM block: its end comes first.
bool begin_within_block(const std::vector<std::string>& lines) {
  for (const auto& line : lines) {
    const auto begin = line.find(pem_begin);
    const auto end = line.find(pem_end);
    if (begin != end) return end < begin;
  }
  return false;
}

}  // namespace

std::string redact_secrets(std::string_view line) {
  std::string result;
  std::size_t at = 0;
  while (at < line.size()) {
    if (line.substr(at, pem_begin.size()) == pem_begin) return result.append(redacted_mark);
    if (!is_word(line[at])) {
      result += line[at++];
      continue;
    }
    auto end = at;
    while (end < line.size() && is_word(line[end])) ++end;
    const auto word = line.substr(at, end - at);
    if (is_token(word)) {
      result.append(redacted_mark);
      at = plain_end(line, end);
      continue;
    }
    result.append(word);
    at = end;
    span secret;
    if (names_a_secret(word)) {
      secret = past_scheme(line, value_after(line, end));
    } else if (is_scheme(word)) {
      secret = past_scheme(line, {end - word.size(), end});
      if (secret.end == end) continue;  // the scheme alone
    }
    if (secret.begin == secret.end) continue;
    result.append(line.substr(end, secret.begin - end)).append(redacted_mark);
    at = secret.end;
  }
  return result;
}

std::vector<std::string> redact_last(const std::vector<std::string>& lines, std::size_t count) {
  const auto before = lines.size() - std::min(count, lines.size());
  std::vector<std::string> result;
  bool within = begin_within_block(lines);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i >= before)
      result.push_back(within ? std::string(redacted_mark) : redact_secrets(lines[i]));
    within = open_behind(lines[i], within);
  }
  return result;
}

}  // namespace bulkhead
