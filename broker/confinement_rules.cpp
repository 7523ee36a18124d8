// SPDX-License-Identifier: Apache-2.0
#include "broker/confinement_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <variant>

#include "actors/wipe.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

using limit_member =
    std::variant<std::uint64_t resource_limits::*, std::uint32_t resource_limits::*>;

constexpr std::uint64_t amount_max = 1U << 20U;
constexpr std::uint64_t bytes_max = 1ULL << 50U;
constexpr std::uint64_t cpu_percent_max = 100'000;
constexpr std::uint64_t cpu_weight_max = 10'000;

/// What a 0 means, where a limit is compared with another.
enum class zero : std::uint8_t { unlimited, nothing, invalid };

struct limit_rule {
  std::string_view name;
  limit_member member;
  std::uint64_t least;  // of what is not 0
  std::uint64_t most;
  zero when_zero;
  bool bytes;
};

// Less memory, fewer threads and descriptors than the least are no program any more.
constexpr std::array<limit_rule, 10> limit_rules{{
    {"memory", &resource_limits::memory_bytes, 4ULL << 20U, bytes_max, zero::unlimited, true},
    {"swap", &resource_limits::swap_bytes, 0, bytes_max, zero::nothing, true},
    {"stack", &resource_limits::stack_bytes, 64ULL << 10U, bytes_max, zero::unlimited, true},
    {"file-size", &resource_limits::file_bytes, 0, bytes_max, zero::nothing, true},
    {"tasks", &resource_limits::tasks, 1, amount_max, zero::unlimited, false},
    {"fds", &resource_limits::descriptors, 16, amount_max, zero::unlimited, false},
    {"signals", &resource_limits::pending_signals, 1, amount_max, zero::unlimited, false},
    {"cpu-percent", &resource_limits::cpu_percent, 1, cpu_percent_max, zero::unlimited, false},
    {"cpu-weight", &resource_limits::cpu_weight, 1, cpu_weight_max, zero::invalid, false},
    {"io-weight", &resource_limits::io_weight, 1, io_weight_max, zero::invalid, false},
}};

const limit_rule* field_of(std::string_view name) {
  const auto found = std::find_if(limit_rules.begin(), limit_rules.end(),
                                  [name](const limit_rule& each) { return each.name == name; });
  return found == limit_rules.end() ? nullptr : &*found;
}

std::uint64_t get(const resource_limits& from, const limit_rule& field) {
  return std::visit([&from](auto member) -> std::uint64_t { return from.*member; }, field.member);
}

void set(resource_limits& to, const limit_rule& field, std::uint64_t value) {
  std::visit(
      [&to, value](auto member) {
        using number = std::remove_reference_t<decltype(to.*member)>;
        to.*member = static_cast<number>(value);
      },
      field.member);
}

[[noreturn]] void invalid(std::string what, std::string why, std::string remedy = {}) {
  refuse(error_kind::invalid_argument, std::move(what), std::move(why), std::move(remedy));
}

std::string in_quotes(std::string_view word) {
  return fmt::format("'{}'", wire::escape_line(std::string(word)));
}

std::string profiles_text() {
  return "strict, strict-unprivileged, no-userns or interpreter";
}

profile require_profile(const std::string& name) {
  const auto known = profile_named(name);
  if (!known) invalid(fmt::format("{} is no profile", in_quotes(name)), "it is " + profiles_text());
  return *known;
}

wall require_wall(const std::string& name) {
  const auto known = wall_named(name);
  if (known) return *known;
  std::vector<std::string_view> all;
  for (std::size_t i = 0; i < wall_count; ++i) all.push_back(to_string(static_cast<wall>(i)));
  invalid(fmt::format("{} is no wall that could be waived", in_quotes(name)),
          fmt::format("the walls are {}", fmt::join(all, ", ")));
}

void check_limit(const named_number& limit) {
  const auto* field = field_of(limit.name);
  if (field == nullptr)
    invalid(fmt::format("{} is no limit of a plugin", in_quotes(limit.name)),
            fmt::format("the limits are {}", fmt::join(confinement_limit_names(), ", ")));
  const bool fits = limit.value == 0 ? field->when_zero != zero::invalid
                                     : limit.value >= field->least && limit.value <= field->most;
  if (!fits)
    invalid(fmt::format("the limit {} is out of range", limit.name),
            fmt::format("it is {}{} to {}", field->when_zero == zero::invalid ? "" : "0, or ",
                        field->least, field->most));
}

bool is_plain_path(std::string_view path) {
  if (path.size() < 2 || path[0] != '/' || path.find('\0') != std::string_view::npos) return false;
  // No part that leads elsewhere than it seems.
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at + 1), path.size());
    const auto part = path.substr(at + 1, end - at - 1);
    if (part.empty() || part == "." || part == "..") return false;
    at = end;
  }
  return true;
}

bool is_variable(std::string_view name) {
  const auto letter = [](char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char byte) {
    return letter(byte) || (byte >= '0' && byte <= '9');
  });
}

std::optional<grant> parse_variable(std::string_view what, std::string& why) {
  const auto name = what.substr(0, what.find('='));
  if (name.size() == what.size() || !is_variable(name)) {
    why = "a variable is NAME=value, and its name [A-Za-z_][A-Za-z0-9_]*";
  } else if (name.starts_with("BULKHEAD_") || name.starts_with("LD_") || name == "GLIBC_TUNABLES" ||
             name == "GCONV_PATH") {
    why = fmt::format("{} is not for an operator to set", name);
  } else if (what.find('\0') != std::string_view::npos) {
    why = "it holds a NUL";
  } else {
    return grant{grant_kind::environment, std::string(what), {}};
  }
  return std::nullopt;
}

/// As [::1] or db-1.example: what may stand before the colon of a port.
bool is_host(std::string_view text) {
  constexpr std::size_t name_bytes_max = 253;  // RFC 1035
  const bool literal = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (literal) text = text.substr(1, text.size() - 2);
  return !text.empty() && text.size() <= name_bytes_max &&
         std::all_of(text.begin(), text.end(), [&](char byte) {
           const bool digit = byte >= '0' && byte <= '9';
           if (literal)
             return digit || byte == ':' || byte == '.' || (byte >= 'a' && byte <= 'f') ||
                    (byte >= 'A' && byte <= 'F');
           return digit || byte == '.' || byte == '-' || (byte >= 'a' && byte <= 'z') ||
                  (byte >= 'A' && byte <= 'Z');
         });
}

bool is_port(std::string_view text) {
  unsigned number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc{} && end == text.data() + text.size() && text[0] != '0' &&
         number <= 65535;
}

std::optional<grant> parse_address(std::string_view what, std::string& why) {
  constexpr std::string_view local = "unix:";
  constexpr std::size_t socket_path_bytes_max = 107;  // sun_path, with its NUL
  if (what.starts_with(local)) {
    const auto path = what.substr(local.size());
    if (is_plain_path(path) && path.size() <= socket_path_bytes_max)
      return grant{grant_kind::address, std::string(what), {}};
  } else if (const auto colon = what.rfind(':'); colon != std::string_view::npos) {
    if (is_host(what.substr(0, colon)) && is_port(what.substr(colon + 1)))
      return grant{grant_kind::address, std::string(what), {}};
  }
  why = "an address is HOST:PORT, with an IPv6 address in brackets, or unix:PATH";
  return std::nullopt;
}

void add_waivers(wall_set& to, const confinement_rules& from) {
  for (const auto& each : from.waive) to.set(index_of(require_wall(each)));
}

void add_grants(std::vector<grant>& to, const confinement_rules& from) {
  for (const auto& each : from.grants) {
    std::string why;
    auto one = parse_grant(each, why);
    if (!one) invalid(fmt::format("{} is no grant", in_quotes(grant_shown(each))), why);
    if (std::find(to.begin(), to.end(), *one) == to.end()) to.push_back(std::move(*one));
  }
}

bool has_name_inside(const grant& one) {
  return one.kind == grant_kind::read_directory || one.kind == grant_kind::write_directory ||
         one.kind == grant_kind::device;
}

const std::string& name_inside(const grant& one) {
  return one.where.empty() ? one.what : one.where;
}

/// Where there is a root of the plugin's own: one granted directory cannot hold another, as its
/// owner may have made a link of the other's name.
void check_nesting(const std::vector<grant>& grants, error_kind kind) {
  for (const auto& inner : grants)
    for (const auto& outer : grants) {
      const bool nested = has_name_inside(inner) && has_name_inside(outer) &&
                          name_inside(inner).starts_with(name_inside(outer) + '/');
      if (nested)
        refuse(
            kind, fmt::format("the grant {} cannot be given", in_quotes(grant_shown(inner))),
            fmt::format("its name inside lies in that of {}", in_quotes(grant_shown(outer))),
            fmt::format("give it another, as in {}:{}:/NAME", to_string(inner.kind), inner.what));
    }
}

/// What is granted has another name inside only where there is a root of the plugin's own.
void check_names_inside(profile of, const std::vector<grant>& grants, error_kind kind) {
  if (wanted_walls(of).test(index_of(wall::mount_namespace))) return check_nesting(grants, kind);
  for (const auto& each : grants)
    if (!each.where.empty() && each.where != each.what)
      refuse(
          kind, fmt::format("the grant {} cannot be given", in_quotes(grant_shown(each))),
          fmt::format("it has another name inside, and by the profile {} the plugin sees the "
                      "host's names",
                      to_string(of)),
          fmt::format("grant {}:{}, or choose another profile", to_string(each.kind), each.what));
}

void set_limits(resource_limits& to, const confinement_rules& from) {
  for (const auto& each : from.limits) {
    check_limit(each);
    set(to, *field_of(each.name), each.value);
  }
}

void narrow(resource_limits& to, const manifest_bounds& bounds) {
  for (const auto& [name, value] : bounds.limits) {
    const auto* field = field_of(name);
    if (field == nullptr || value == 0) continue;  // of times, or nothing that was meant
    const auto now = get(to, *field);
    const bool wider = now == 0 ? field->when_zero == zero::unlimited : value < now;
    if (wider) set(to, *field, std::min(value, field->most));
  }
}

profile narrowed(profile operators, const manifest_bounds& bounds) {
  if (bounds.profile.empty()) return operators;
  const auto makers = profile_named(bounds.profile);
  if (!makers)
    refuse(error_kind::failed_precondition, "its manifest names a profile that is not known",
           fmt::format("{}; the profiles are {}", in_quotes(bounds.profile), profiles_text()),
           "sign a manifest with another profile, or with none");
  if (narrower_or_same(*makers, operators)) return *makers;
  refuse(
      error_kind::failed_precondition, "its manifest asks for a wider profile than it may have",
      fmt::format("it asks for {}, and is given {}", to_string(*makers), to_string(operators)),
      fmt::format("bulkhead tune PATH --profile {}, if that is to be granted", to_string(*makers)));
}

}  // namespace

confinement_rules::~confinement_rules() {
  for (auto& each : grants) wipe(each);
}

const std::vector<std::string>& confinement_limit_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    all.reserve(limit_rules.size());
    for (const auto& each : limit_rules) all.emplace_back(each.name);
    return all;
  }();
  return names;
}

bool is_byte_limit(std::string_view name) {
  const auto* field = field_of(name);
  return field != nullptr && field->bytes;
}

std::optional<grant> parse_grant(std::string_view text, std::string& why) {
  const auto colon = text.find(':');
  const auto kind = grant_kind_named(text.substr(0, colon));
  if (colon == std::string_view::npos || !kind) {
    why =
        "a grant is read-dir:PATH, write-dir:PATH, device:PATH, file:PATH, env:NAME=VALUE or "
        "net:HOST:PORT";
    return std::nullopt;
  }
  const auto what = text.substr(colon + 1);
  if (text.size() > grant_bytes_max) {
    why = fmt::format("it is longer than {} bytes (grant_bytes_max)", grant_bytes_max);
    return std::nullopt;
  }
  if (*kind == grant_kind::environment) return parse_variable(what, why);
  if (*kind == grant_kind::address) return parse_address(what, why);
  const auto second = std::min(what.find(':'), what.size());
  grant one{*kind, std::string(what.substr(0, second)),
            std::string(what.substr(std::min(second + 1, what.size())))};
  if (!is_plain_path(one.what) || (second < what.size() && !is_plain_path(one.where)))
    why = "a path is absolute, is not / itself, and has no empty part, . or ..";
  else if (*kind == grant_kind::descriptor && second < what.size())
    why = "a file comes as a descriptor, and has no name inside";
  else
    return one;
  return std::nullopt;
}

std::vector<std::string> granted_addresses(const confinement_rules& broker,
                                           const confinement_rules& release,
                                           const confinement_rules& mount) {
  std::vector<grant> all;
  for (const auto* each : {&broker, &release, &mount}) add_grants(all, *each);
  std::vector<std::string> addresses;
  for (auto& each : all)
    if (each.kind == grant_kind::address) addresses.push_back(std::move(each.what));
  return addresses;
}

std::string to_string(const grant& one) {
  return fmt::format("{}:{}{}{}", to_string(one.kind), one.what, one.where.empty() ? "" : ":",
                     one.where);
}

std::string grant_shown(const std::string& text) {
  const auto kind = grant_kind_named(std::string_view{text}.substr(0, text.find(':')));
  // What is no grant may be a variable with a slip in its first word.
  const bool may_hold_a_value = !kind || *kind == grant_kind::environment;
  return may_hold_a_value ? text.substr(0, text.find('=')) : text;
}

std::string grant_shown(const grant& one) {
  if (one.kind != grant_kind::environment) return to_string(one);
  return fmt::format("{}:{}", to_string(one.kind),
                     std::string_view{one.what}.substr(0, one.what.find('=')));
}

confinement_rules rules_shown(const confinement_rules& rules) {
  confinement_rules shown{rules.profile, rules.waive, rules.limits, {}};
  for (const auto& each : rules.grants) shown.grants.push_back(grant_shown(each));
  return shown;
}

std::vector<named_number> limits_shown(const resource_limits& limits) {
  std::vector<named_number> all;
  all.reserve(limit_rules.size());
  for (const auto& each : limit_rules) all.push_back({std::string(each.name), get(limits, each)});
  return all;
}

void check_confinement(const confinement_rules& rules) {
  if (!rules.profile.empty()) require_profile(rules.profile);
  wall_set waived;
  add_waivers(waived, rules);
  for (auto each = rules.limits.begin(); each != rules.limits.end(); ++each) {
    check_limit(*each);
    if (std::any_of(rules.limits.begin(), each,
                    [each](const named_number& other) { return other.name == each->name; }))
      invalid(fmt::format("the limit {} is given twice", each->name), "each may be given once");
  }
  if (rules.grants.size() > grants_max)
    invalid("there are too many grants",
            fmt::format("{}, the limit is {} (grants_max)", rules.grants.size(), grants_max));
  std::vector<grant> grants;
  add_grants(grants, rules);
  if (!rules.profile.empty())
    check_names_inside(require_profile(rules.profile), grants, error_kind::invalid_argument);
}

profile default_profile(bool root) {
  return root ? profile::strict : profile::strict_unprivileged;
}

bool narrower_or_same(profile a, profile b) {
  return (wanted_walls(b) & ~wanted_walls(a)).none() &&
         (required_walls(b) & ~required_walls(a)).none();
}

confinement effective_confinement(const confinement_rules& broker, const confinement_rules& release,
                                  const confinement_rules& mount, const manifest_bounds& bounds,
                                  release_form form) {
  confinement result;
  std::string name;
  for (const auto* each : {&broker, &release, &mount}) {
    if (!each->profile.empty()) name = each->profile;
    add_waivers(result.waived, *each);
    set_limits(result.limits, *each);
    add_grants(result.grants, *each);
  }
  if (form == release_form::script && release.profile.empty() && mount.profile.empty())
    name = to_string(profile::interpreter);
  result.of = narrowed(require_profile(name), bounds);
  narrow(result.limits, bounds);
  check_names_inside(result.of, result.grants, error_kind::failed_precondition);
  return result;
}

}  // namespace bulkhead
