// SPDX-License-Identifier: Apache-2.0
//
// Writing a manifest, and the words that its fields are made of.
#include <fmt/format.h>

#include <algorithm>

#include "broker/trust/manifest.hpp"
#include "broker/trust/manifest_lines.hpp"
#include "broker/trust/utc_time.hpp"

namespace bulkhead::trust {
namespace {

std::string or_word(const std::string& text, std::string_view word) {
  return text.empty() ? std::string(word) : text;
}

std::string time_or(std::int64_t unix_ms, std::string_view word) {
  return unix_ms == 0 ? std::string(word) : utc_from_unix_ms(unix_ms);
}

std::string limit_text(const manifest& of) {
  if (of.limits.empty()) return "none";
  std::vector<std::string> parts;
  for (const auto& [name, value] : of.limits) parts.push_back(fmt::format("{}={}", name, value));
  return fmt::format("{}", fmt::join(parts, " "));
}

std::string grant_text(const manifest_grant& grant) {
  std::string text = grant.name;
  for (const auto& [key, value] : grant.parameters) text += fmt::format(" {}={}", key, value);
  return text;
}

}  // namespace

std::string print_manifest(const manifest& value) {
  std::string text = std::string(manifest_header) + "\n";
  const auto line = [&](std::string_view field, const std::string& content) {
    text += fmt::format("{}: {}\n", field, content);
  };
  line("kind", value.kind);
  line("name", value.name);
  line("version", value.version);
  line("security-version", std::to_string(value.security_version));
  line("os-arch", value.os_arch);
  line("protocol", std::to_string(value.protocol));
  line("min-broker", or_word(value.min_broker, "any"));
  line("not-before", time_or(value.not_before_unix_ms, "any"));
  line("expires", time_or(value.expires_unix_ms, "never"));
  line("artifact", fmt::format("plugin sha256={} size={} link={}", to_hex(value.sha256),
                               value.size_bytes, to_text(value.link)));
  line("profile", or_word(value.profile, "none"));
  line("limit", limit_text(value));
  line("grants", std::to_string(value.grants.size()));
  for (const auto& grant : value.grants) line("grant", grant_text(grant));
  line("provenance", value.provenance ? "sha256=" + to_hex(*value.provenance) : "none");
  text += "end\n";
  // What reads back as something else has no spelling: a blank in a value, half a second.
  if (parse_manifest(text) != value) {
    throw refusal("this cannot be written as a manifest",
                  "one of its values would be read as another one");
  }
  return text;
}

std::string_view to_text(link_kind link) {
  switch (link) {
    case link_kind::static_link:
      return "static";
    case link_kind::dynamic_link:
      return "dynamic";
    case link_kind::script:
      return "script";
  }
  return "";
}

std::optional<link_kind> link_from_text(std::string_view text) {
  for (const auto link : {link_kind::static_link, link_kind::dynamic_link, link_kind::script}) {
    if (to_text(link) == text) return link;
  }
  return std::nullopt;
}

const std::vector<std::string_view>& plugin_kinds() {
  static const std::vector<std::string_view> kinds = {"secrets", "auth", "database", "generic"};
  return kinds;
}

bool is_plugin_kind(std::string_view text) {
  const auto& kinds = plugin_kinds();
  return std::find(kinds.begin(), kinds.end(), text) != kinds.end();
}

bool is_plugin_name(std::string_view text) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= plugin_name_bytes_max && is_plain(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_plain(c) || c == '_' || c == '-'; });
}

const std::vector<std::string_view>& limit_names() {
  static const std::vector<std::string_view> names = {"memory", "tasks",    "cpu-percent",
                                                      "fds",    "start-ms", "call-ms"};
  return names;
}

std::string this_os_arch() {
#if defined(__x86_64__)
  return "linux-x86_64";
#elif defined(__aarch64__)
  return "linux-aarch64";
#else
#error "say what this machine is called"
#endif
}

}  // namespace bulkhead::trust
