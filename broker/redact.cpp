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

/// Where the value behind a name begins: past quotes, spaces and one '=' or ':'. npos: none
/// follows.
std::size_t value_after(std::string_view line, std::size_t at) {
  const auto skip = [&](std::string_view bytes) {
    while (at < line.size() && bytes.find(line[at]) != std::string_view::npos) ++at;
  };
  skip("\"' \t");
  if (at >= line.size() || (line[at] != '=' && line[at] != ':')) return std::string_view::npos;
  ++at;
  skip("\"' \t");
  return at < line.size() ? at : std::string_view::npos;
}

std::size_t value_end(std::string_view line, std::size_t from) {
  while (from < line.size() && !is_value_end(line[from])) ++from;
  return from;
}

}  // namespace

std::string redact_secrets(std::string_view line) {
  std::string result;
  std::size_t at = 0;
  while (at < line.size()) {
    if (line.substr(at, 11) == "-----BEGIN ") return result.append(redacted_mark);
    if (!is_word(line[at])) {
      result += line[at++];
      continue;
    }
    auto end = at;
    while (end < line.size() && is_word(line[end])) ++end;
    const auto word = line.substr(at, end - at);
    if (is_token(word)) {
      result.append(redacted_mark);
      at = value_end(line, end);
      continue;
    }
    result.append(word);
    at = end;
    auto secret = std::string_view::npos;
    if (names_a_secret(word)) {
      secret = value_after(line, end);
    } else if (is_scheme(word) && end < line.size() && line[end] == ' ') {
      secret = end + 1;
    }
    if (secret == std::string_view::npos) continue;
    auto stop = value_end(line, secret);
    // "authorization: Bearer abc": the scheme is no secret, what follows it is.
    if (is_scheme(line.substr(secret, stop - secret)) && stop < line.size() && line[stop] == ' ') {
      secret = stop + 1;
      stop = value_end(line, secret);
    }
    if (stop == secret) continue;
    result.append(line.substr(end, secret - end)).append(redacted_mark);
    at = stop;
  }
  return result;
}

}  // namespace bulkhead
