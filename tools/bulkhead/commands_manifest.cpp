// SPDX-License-Identifier: Apache-2.0
//
// `plugin manifest`: writes what is signed of a plugin.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "broker/trust/manifest.hpp"
#include "broker/trust/utc_time.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/local_files.hpp"
#include "tools/bulkhead/program_file.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::int64_t second_ms = 1000;
constexpr std::int64_t day_ms = 86'400'000;
constexpr std::uint64_t days_max = 36'500;
constexpr unsigned mode_for_all = 0644;

std::string needed(const invocation& command, std::string_view flag) {
  if (!command.has(flag)) {
    throw usage(fmt::format("{}: --{} is missing", command.command->name, flag),
                fmt::format("bulkhead help {}", command.command->name));
  }
  return command.value(flag);
}

std::int64_t parse_moment(std::string_view flag, const std::string& text) {
  const auto moment = trust::unix_ms_from_utc(text.size() == 10 ? text + "T00:00:00Z" : text);
  if (moment) return *moment;
  throw usage(fmt::format("'{}' is no value for --{}", wire::escape_line(text), flag),
              "a day or a moment in UTC, as in 2027-11-01 or 2027-11-01T12:00:00Z");
}

std::int64_t read_expiry(environment& in, const invocation& command) {
  if (command.has("expires") && command.has("valid")) {
    throw usage("--expires and --valid say the same thing twice", "take one of them");
  }
  if (command.has("expires")) return parse_moment("expires", command.value("expires"));
  if (!command.has("valid")) return 0;
  const auto days = parse_count("valid", command.value("valid"), 1, days_max);
  const auto now = in.unix_ms() / second_ms * second_ms;
  return now + static_cast<std::int64_t>(days) * day_ms;
}

/// In the order that a manifest wants; what is wrong with a name, its printer says.
std::vector<std::pair<std::string, std::uint64_t>> read_limits(const invocation& command) {
  std::vector<std::pair<std::string, std::uint64_t>> limits;
  for (const auto& text : command.values("limit")) {
    const auto equals = std::min(text.find('='), text.size());
    const auto number = text.substr(std::min(equals + 1, text.size()));
    limits.emplace_back(text.substr(0, equals),
                        parse_count("limit", number, 1, std::numeric_limits<std::uint64_t>::max()));
  }
  const auto& names = trust::limit_names();
  const auto place = [&](const auto& limit) {
    return std::find(names.begin(), names.end(), limit.first);
  };
  std::stable_sort(limits.begin(), limits.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return limits;
}

trust::manifest_grant read_grant(const std::string& text) {
  trust::manifest_grant grant;
  std::size_t at = std::min(text.find(' '), text.size());
  grant.name = text.substr(0, at);
  while (at < text.size()) {
    const auto end = std::min(text.find(' ', at + 1), text.size());
    const auto part = text.substr(at + 1, end - at - 1);
    const auto equals = std::min(part.find('='), part.size());
    grant.parameters.emplace_back(part.substr(0, equals),
                                  part.substr(std::min(equals + 1, part.size())));
    at = end;
  }
  return grant;
}

std::vector<trust::manifest_grant> read_grants(const invocation& command) {
  auto texts = command.values("grant");
  std::sort(texts.begin(), texts.end());
  std::vector<trust::manifest_grant> grants;
  grants.reserve(texts.size());
  for (const auto& text : texts) grants.push_back(read_grant(text));
  return grants;
}

std::string read_os_arch(const invocation& command, const program_file& program) {
  const std::string said = command.value("os-arch", program.os_arch);
  if (!program.os_arch.empty() && said != program.os_arch) {
    throw usage(fmt::format("the program is for {}, not for '{}'", program.os_arch,
                            wire::escape_line(said)),
                "leave --os-arch out");
  }
  return said.empty() ? trust::this_os_arch() : said;
}

trust::manifest describe(environment& in, const invocation& command, const program_file& program) {
  const std::string& file = command.arguments[0];
  constexpr auto count_max = std::numeric_limits<std::uint32_t>::max();
  const auto count = [&](std::string_view flag, std::string otherwise, std::uint64_t min) {
    return static_cast<std::uint32_t>(
        parse_count(flag, command.value(flag, std::move(otherwise)), min, count_max));
  };
  trust::manifest says;
  says.kind = needed(command, "kind");
  says.version = needed(command, "version");
  says.name = command.value("name", file.substr(file.rfind('/') + 1));
  says.security_version = count("security-version", "0", 0);
  says.os_arch = read_os_arch(command, program);
  says.protocol = count("protocol", "1", 1);
  says.min_broker = command.value("min-broker");
  if (command.has("not-before")) {
    says.not_before_unix_ms = parse_moment("not-before", command.value("not-before"));
  }
  says.expires_unix_ms = read_expiry(in, command);
  says.sha256 = program.sha256;
  says.size_bytes = program.size_bytes;
  says.link = program.link;
  says.profile = command.value("profile");
  says.limits = read_limits(command);
  says.grants = read_grants(command);
  if (command.has("provenance")) {
    says.provenance = trust::digest_from_hex(command.value("provenance"));
    if (!says.provenance) throw usage("--provenance takes a SHA-256", "64 digits of 0-9 and a-f");
  }
  return says;
}

/// What cannot stand in a manifest came from a flag.
std::string printed(const invocation& command, const trust::manifest& says) {
  try {
    return trust::print_manifest(says);
  } catch (const trust::refusal& refused) {
    throw failure(exit_code::usage, refused.what(), refused.why(),
                  fmt::format("bulkhead help {}", command.command->name));
  }
}

}  // namespace

exit_code run_plugin_manifest(environment& in, const invocation& command) {
  const std::string path = command.arguments[0] + ".manifest";
  const auto program = inspect_program(command.arguments[0]);
  const auto says = describe(in, command, program);
  const std::string text = printed(command, says);
  if (command.has("force")) {
    replace_file(path, text, mode_for_all);
  } else {
    create_file(path, text, mode_for_all);
  }
  if (file_exists(path + ".minisig")) {
    in.out.note(fmt::format("note: '{}.minisig' is the signature of another manifest; sign anew",
                            wire::escape_line(path)));
  }
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("manifest", datum::of_text(path));
    record.add("kind", datum::of_text(says.kind));
    record.add("name", datum::of_text(says.name));
    record.add("version", datum::of_text(says.version));
    record.add("securityVersion", datum::of_uint(says.security_version));
    record.add("sha256", datum::of_text(trust::to_hex(says.sha256)));
    record.add("sizeBytes", datum::of_uint(says.size_bytes));
    record.add("link", datum::of_text(trust::to_text(says.link)));
    record.add("expiresUnixMs", datum::of_int(says.expires_unix_ms));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("wrote {}: {}/{} {}, {}\n", wire::escape_line(path), says.kind,
                            says.name, says.version, trust::to_text(says.link)));
  }
  return exit_code::done;
}

}  // namespace bulkhead::cli
