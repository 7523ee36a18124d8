// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/release_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "actors/spawner.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/images/image.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/refusal.hpp"
#include "broker/trust/manifest.hpp"
#include "broker/trust/semantic_version.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

[[noreturn]] void invalid_release(std::string what, std::string why, std::string remedy = {}) {
  refuse(error_kind::invalid_argument, std::move(what), std::move(why), std::move(remedy));
}

/// People paste capitals; a release is kept with none.
std::optional<trust::digest> digest_of_any_case(std::string text) {
  for (auto& letter : text)
    if (letter >= 'A' && letter <= 'F') letter = static_cast<char>(letter - 'A' + 'a');
  return trust::digest_from_hex(text);
}

bool holds_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

void check_words(const std::vector<std::string>& words, const char* of) {
  if (words.size() > release_words_max)
    invalid_release(
        fmt::format("there are too many {}", of),
        fmt::format("{}, the limit is {} (release_words_max)", words.size(), release_words_max));
  for (const auto& each : words)
    if (each.size() > release_word_bytes_max || holds_nul(each))
      invalid_release(fmt::format("one of the {} is not usable", of),
                      fmt::format("each has at most {} bytes (release_word_bytes_max), and no NUL",
                                  release_word_bytes_max));
}

bool is_variable_name(std::string_view name) {
  const auto is_letter = [](char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
  };
  return !name.empty() && is_letter(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char byte) { return is_letter(byte) || (byte >= '0' && byte <= '9'); });
}

/// By it bytes that nobody has checked would come into the process.
bool steers_the_loader(std::string_view name) {
  return name.starts_with("LD_") || name == "GLIBC_TUNABLES" || name == "GCONV_PATH";
}

void check_environment(const std::vector<std::string>& environment) {
  std::set<std::string> names;
  for (const auto& own : process_spec::plugin_environment())
    names.insert(own.substr(0, own.find('=')));
  for (const auto& each : environment) {
    const auto equals = each.find('=');
    const auto name = each.substr(0, equals);
    if (equals == std::string::npos || !is_variable_name(name))
      invalid_release(fmt::format("'{}' is no variable", wire::escape_line(name)),
                      "a variable is NAME=value, and a name is [A-Za-z_][A-Za-z0-9_]*");
    if (steers_the_loader(name))
      invalid_release(fmt::format("the variable {} is not allowed", name),
                      "it makes the loader take in code that no release covers");
    if (!names.insert(name).second || name.starts_with("BULKHEAD_"))
      invalid_release(fmt::format("the variable {} is taken", name),
                      "it is given twice, or is one that the broker sets");
  }
}

}  // namespace

void check_release_spec(release_spec& spec) {
  const auto name = wire::escape_line(spec.name);
  if (auto problem = check_plugin_name(spec.name); !problem.empty())
    invalid_release(fmt::format("'{}' is no plugin name", name), std::move(problem));
  if (!spec.kind.empty() && !trust::is_plugin_kind(spec.kind))
    invalid_release(fmt::format("'{}' is no kind of plugin", wire::escape_line(spec.kind)),
                    "it is secrets, auth, database or generic");
  if (!spec.version.empty() && !trust::parse_version(spec.version))
    invalid_release(fmt::format("'{}' is no version", wire::escape_line(spec.version)),
                    "a version is a semantic version, as in 1.4.2");
  if (spec.command.empty()) spec.command = spec.name;
  if (!spec.sha256.empty()) {
    const auto digest = digest_of_any_case(spec.sha256);
    if (!digest)
      invalid_release(fmt::format("'{}' is no SHA-256", wire::escape_line(spec.sha256)),
                      "it is 64 hexadecimal digits", fmt::format("sha256sum {}", spec.command));
    spec.sha256 = to_hex(*digest);
  }
  check_words(spec.arguments, "arguments");
  check_words(spec.environment, "variables");
  check_environment(spec.environment);
  check_confinement(spec.confinement);
}

}  // namespace bulkhead
