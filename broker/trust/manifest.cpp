// SPDX-License-Identifier: Apache-2.0
//
// Reading a manifest. One function for each line, in the order of the lines; the reader below knows
// where it is and what comes next, so that each refusal names line, field and rule.
#include "broker/trust/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "broker/trust/manifest_lines.hpp"
#include "broker/trust/semantic_version.hpp"
#include "broker/trust/utc_time.hpp"

namespace bulkhead::trust {
namespace {

using std::string_view;

constexpr std::size_t word_bytes_max = 64;

bool is_made_of(string_view text, string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == string_view::npos;
}

constexpr string_view lower_digits = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr string_view lower_digits_hyphen = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr string_view value_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/@+-";

/// "kv-namespace", "memory".
bool is_word(string_view text) {
  return text.size() <= word_bytes_max && is_made_of(text, lower_digits_hyphen) &&
         text.front() >= 'a' && text.front() <= 'z';
}

std::vector<string_view> split(string_view text, char mark) {
  std::vector<string_view> parts;
  for (auto end = text.find(mark); end != string_view::npos; end = text.find(mark)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

/// A manifest, line by line.
class reader {
 public:
  explicit reader(string_view text) : text_(text), rest_(text) {}

  /// What is wrong with the text as a whole.
  void check_text() {
    if (text_.size() > manifest_bytes_max) {
      throw refusal("the manifest is too long", fmt::format("it has {} bytes; the limit is {}",
                                                            text_.size(), manifest_bytes_max));
    }
    line_ = 1;
    for (const char c : text_) {
      if (c == '\n') {
        ++line_;
      } else if (c < ' ' || c > '~') {
        field_ = "text";
        fail("only printable ASCII and newlines may stand in a manifest (no CR, no tab)");
      }
    }
    line_ = 0;
  }

  /// The line must be this word and nothing else.
  void literal(string_view line) {
    if (next(line) != line) fail(fmt::format("here must stand \"{}\"", line));
  }

  /// The value of the line of this field.
  string_view value(string_view field) {
    const auto line = next(field);
    const auto colon = line.find(": ");
    const auto found = line.substr(0, std::min(colon, line.size()));
    if (found != field) explain_other(found, field);
    if (colon == string_view::npos) fail(fmt::format("it reads {}: VALUE", field));
    const auto value = line.substr(colon + 2);
    if (value.empty()) fail("it has no value");
    return value;
  }

  void end() {
    if (!rest_.empty()) fail("something follows");
  }

  template <typename Number>
  Number number(string_view text, string_view what, Number least) const {
    Number value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = problem == std::errc() && end == text.data() + text.size() &&
                       (text.size() == 1 || text.front() != '0');
    if (!whole || value < least) {
      fail(fmt::format("{} is {}; it is a whole number from {} to {}, without leading zeros", what,
                       quoted(text), least, std::numeric_limits<Number>::max()));
    }
    return value;
  }

  /// The value of "KEY=VALUE".
  string_view pair(string_view text, string_view key) const {
    if (text.substr(0, key.size()) != key || text.substr(key.size(), 1) != "=") {
      fail(fmt::format("{} stands where {}=... must", quoted(text), key));
    }
    return text.substr(key.size() + 1);
  }

  digest hash(string_view text) const {
    const auto value = digest_from_hex(pair(text, "sha256"));
    if (!value) fail("sha256 has 64 digits of 0-9 and a-f");
    return *value;
  }

  [[noreturn]] void fail(const std::string& rule) const {
    throw refusal(fmt::format("manifest, line {}, {}: refused", line_, field_), rule,
                  "have a manifest made: bulkhead plugin manifest FILE, and sign it again");
  }

 private:
  string_view next(string_view field) {
    ++line_;
    field_ = field;
    if (rest_.empty()) fail("the text ends before this line");
    const auto end = rest_.find('\n');
    if (end == string_view::npos) fail("the line does not end in a newline");
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }

  /// Another line stands here: was one lost, doubled, moved, or made up?
  [[noreturn]] void explain_other(string_view found, string_view wanted) const {
    const auto& names = manifest_fields;
    const auto at = std::find(names.begin(), names.end(), found);
    const auto due = std::find(names.begin(), names.end(), wanted);
    if (at == names.end() && found != "end") {
      fail(fmt::format("{} is no field of a manifest; here must stand {}", quoted(found), wanted));
    }
    if (found != "end" && at < due) {
      fail(fmt::format("{} stands here again, or too late", quoted(found)));
    }
    fail(fmt::format("it is missing: {} stands in its place", quoted(found)));
  }

  string_view text_;
  string_view rest_;
  string_view field_;
  std::size_t line_ = 0;
};

std::string read_version(reader& from, string_view text) {
  if (!parse_version(text)) {
    from.fail(fmt::format("{} is no semantic version, as in 1.4.2 or 2.0.0-rc.1", quoted(text)));
  }
  return std::string(text);
}

void read_identity(reader& from, manifest& to) {
  to.kind = from.value("kind");
  if (!is_plugin_kind(to.kind)) {
    from.fail(fmt::format("{} is none of: {}", quoted(to.kind), fmt::join(plugin_kinds(), ", ")));
  }
  to.name = from.value("name");
  if (!is_plugin_name(to.name)) {
    from.fail(fmt::format("{} is no name: [a-z0-9][a-z0-9_-]*, at most {} bytes", quoted(to.name),
                          plugin_name_bytes_max));
  }
  to.version = read_version(from, from.value("version"));
  to.security_version = from.number<std::uint32_t>(from.value("security-version"), "it", 0);
}

void read_machine(reader& from, manifest& to) {
  to.os_arch = from.value("os-arch");
  const auto hyphen = to.os_arch.find('-');
  const std::string word_characters = std::string(lower_digits) + "_";
  if (to.os_arch.size() > word_bytes_max || hyphen == std::string::npos ||
      !is_made_of(string_view(to.os_arch).substr(0, hyphen), word_characters) ||
      !is_made_of(string_view(to.os_arch).substr(hyphen + 1), word_characters)) {
    from.fail(fmt::format("{} is no system and machine, as in linux-x86_64", quoted(to.os_arch)));
  }
  to.protocol = from.number<std::uint32_t>(from.value("protocol"), "it", 1);
  const auto broker = from.value("min-broker");
  if (broker != "any") to.min_broker = read_version(from, broker);
}

std::int64_t read_time(reader& from, string_view field, string_view unbounded) {
  const auto text = from.value(field);
  if (text == unbounded) return 0;
  const auto moment = unix_ms_from_utc(text);
  if (!moment) {
    from.fail(fmt::format("{} is no moment, as in 2027-11-01T00:00:00Z, nor \"{}\"", quoted(text),
                          unbounded));
  }
  return *moment;
}

void read_times(reader& from, manifest& to) {
  to.not_before_unix_ms = read_time(from, "not-before", "any");
  to.expires_unix_ms = read_time(from, "expires", "never");
  if (to.expires_unix_ms != 0 && to.expires_unix_ms <= to.not_before_unix_ms) {
    from.fail("it expires before it begins");
  }
}

void read_artifact(reader& from, manifest& to) {
  const auto parts = split(from.value("artifact"), ' ');
  if (parts.size() != 4 || parts[0] != "plugin") {
    from.fail("it reads: plugin sha256=DIGITS size=BYTES link=KIND, with one blank between them");
  }
  to.sha256 = from.hash(parts[1]);
  to.size_bytes = from.number<std::uint64_t>(from.pair(parts[2], "size"), "size", 1);
  const auto link = link_from_text(from.pair(parts[3], "link"));
  if (!link) from.fail("link is static, dynamic or script");
  to.link = *link;
}

void read_limits(reader& from, manifest& to) {
  const auto text = from.value("limit");
  if (text == "none") return;
  const auto& names = limit_names();
  auto allowed = names.begin();
  for (const auto part : split(text, ' ')) {
    const auto name = part.substr(0, std::min(part.find('='), part.size()));
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      from.fail(fmt::format("{} is none of: {}", quoted(name), fmt::join(names, ", ")));
    }
    allowed = std::find(allowed, names.end(), name);
    if (allowed == names.end()) {
      from.fail(fmt::format("{} is there twice, or not in the order: {}", quoted(name),
                            fmt::join(names, ", ")));
    }
    ++allowed;
    const auto value = from.number<std::uint64_t>(from.pair(part, name), name, 1);
    to.limits.emplace_back(name, value);
  }
}

manifest_grant read_grant(reader& from, string_view text) {
  const auto parts = split(text, ' ');
  manifest_grant grant;
  grant.name = parts[0];
  if (!is_word(grant.name)) {
    from.fail(fmt::format("{} is no name of a grant: [a-z][a-z0-9-]*", quoted(grant.name)));
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto equals = std::min(parts[i].find('='), parts[i].size());
    const auto key = parts[i].substr(0, equals);
    const auto value = parts[i].substr(std::min(equals + 1, parts[i].size()));
    if (!is_word(key) || !is_made_of(value, value_characters)) {
      from.fail(fmt::format("{} is no KEY=VALUE of [a-z][a-z0-9-]* and [A-Za-z0-9_.:/@+-]+",
                            quoted(parts[i])));
    }
    for (const auto& [known, unused] : grant.parameters) {
      if (known == key) from.fail(fmt::format("{} is there twice", quoted(key)));
    }
    grant.parameters.emplace_back(key, value);
  }
  return grant;
}

void read_grants(reader& from, manifest& to) {
  const auto count = from.number<std::uint32_t>(from.value("grants"), "it", 0);
  if (count > manifest_grants_max) {
    from.fail(fmt::format("there are at most {}", manifest_grants_max));
  }
  string_view last;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto text = from.value("grant");
    if (text <= last) from.fail("grants stand in the order of their bytes, each once");
    last = text;
    to.grants.push_back(read_grant(from, text));
  }
}

}  // namespace

manifest parse_manifest(string_view text) {
  reader from(text);
  from.check_text();
  manifest result;
  from.literal(manifest_header);
  read_identity(from, result);
  read_machine(from, result);
  read_times(from, result);
  read_artifact(from, result);
  const auto profile = from.value("profile");
  if (!is_word(profile)) {
    from.fail(fmt::format("{} is no name of a profile: [a-z][a-z0-9-]*", quoted(profile)));
  }
  if (profile != "none") result.profile = profile;
  read_limits(from, result);
  read_grants(from, result);
  const auto provenance = from.value("provenance");
  if (provenance != "none") result.provenance = from.hash(provenance);
  from.literal("end");
  from.end();
  return result;
}

}  // namespace bulkhead::trust
