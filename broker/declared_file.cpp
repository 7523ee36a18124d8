// SPDX-License-Identifier: Apache-2.0
#include "broker/declared_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "broker/catalog/release_rules.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/convert.hpp"
#include "broker/group_rules.hpp"
#include "broker/mount_rules.hpp"
#include "broker/router.hpp"
#include "broker/trust/manifest.hpp"
#include "broker/trust/semantic_version.hpp"
#include "schema/wire/amount.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

using std::chrono::milliseconds;
using node = toml::node;

/// Runs a check of the broker's, and says what it refuses with the line.
template <class Check>
void at_line(const config_reader& from, const node& where, Check check) {
  const auto problem = kj::runCatchingExceptions([&] { check(); });
  KJ_IF_MAYBE (refused, problem) {
    const auto said = to_error(*refused);
    from.refuse(where,
                said.why().empty() ? said.what() : fmt::format("{}: {}", said.what(), said.why()),
                said.remedy());
  }
}

std::string amounts_text(const std::vector<named_number>& amounts) {
  std::string text;
  for (const auto& each : amounts)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", each.name, each.value);
  return text;
}

// -- releases and pins ---------------------------------------------------------------------------

release_spec read_release(const config_reader& from, const node& where) {
  release_spec spec;
  const auto text_to = [&from](std::string& to, const char* name) {
    return [&from, &to, name](const node& value) { to = from.text(value, name); };
  };
  const auto texts_to = [&from](std::vector<std::string>& to, const char* name) {
    return [&from, &to, name](const node& value) { to = from.names(value, name); };
  };
  from.each(from.table(where, "a release"), "key of a release",
            {{"kind", text_to(spec.kind, "kind")},
             {"name", text_to(spec.name, "name")},
             {"version", text_to(spec.version, "version")},
             {"command", text_to(spec.command, "command")},
             {"sha256", text_to(spec.sha256, "sha256")},
             {"arguments", texts_to(spec.arguments, "arguments")},
             {"environment", texts_to(spec.environment, "environment")},
             {"profile", text_to(spec.confinement.profile, "profile")},
             {"waive", texts_to(spec.confinement.waive, "waive")},
             {"grants", texts_to(spec.confinement.grants, "grants")},
             {"limits", [&](const node& value) {
                spec.confinement.limits = read_amounts(from, value, "limits");
              }}});
  if (spec.kind.empty() || spec.name.empty() || spec.version.empty())
    from.refuse(where, "a release has no kind, name or version",
                "kind = \"secrets\", name = \"kv\", version = \"1.2.0\"");
  at_line(from, where, [&] { check_release_spec(spec); });
  return spec;
}

void read_releases(const config_reader& from, const node& where, std::vector<release_spec>& to) {
  if (!where.is_array_of_tables())
    from.refuse(where, "release is no list of tables", "[[release]]");
  for (const auto& each : *where.as_array()) {
    auto spec = read_release(from, each);
    const bool again = std::any_of(to.begin(), to.end(), [&spec](const release_spec& other) {
      return other.kind == spec.kind && other.name == spec.name && other.version == spec.version;
    });
    if (again)
      from.refuse(each, fmt::format("the release {}/{}@{} is there twice", spec.kind, spec.name,
                                    spec.version));
    to.push_back(std::move(spec));
  }
}

void read_pins(const config_reader& from, const node& where, std::vector<declared_pin>& to) {
  for (const auto& [key, value] : from.table(where, "pin")) {
    const std::string plugin(key.str());
    const auto slash = std::min(plugin.find('/'), plugin.size());
    declared_pin pin{plugin.substr(0, slash), plugin.substr(std::min(slash + 1, plugin.size())),
                     from.text(value, "a pin")};
    if (!trust::is_plugin_kind(pin.kind) || pin.name.empty())
      from.refuse(key.source(),
                  fmt::format("'{}' is no plugin with its kind", wire::escape_line(plugin)),
                  "\"secrets/kv\" = \"1.2.0\"");
    if (!trust::parse_version(pin.version))
      from.refuse(value, fmt::format("'{}' is no version", wire::escape_line(pin.version)),
                  "a version is a semantic version, as in 1.4.2");
    to.push_back(std::move(pin));
  }
}

// -- mounts --------------------------------------------------------------------------------------

/// As on the command line: "250ms", "30s", "5m", "2h"; 0.
milliseconds read_time(const config_reader& from, const node& where, const std::string& name) {
  constexpr std::uint64_t days_max_ms = 366ULL * 24 * 3'600'000;
  const auto refuse = [&] {
    from.refuse(where, fmt::format("{} is no time", name), "as in \"250ms\", \"30s\", \"5m\"");
  };
  if (const auto* plain = where.as_integer(); plain != nullptr && plain->get() == 0) return {};
  if (!where.is_string()) refuse();
  const auto text = from.text(where, name);
  static const std::map<std::string, std::uint64_t> units{
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  const auto unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto unit = units.find(text.substr(unit_at));
  constexpr std::size_t digits_max = 12;
  if (text == "0") return {};
  if (unit_at == 0 || unit_at > digits_max || unit == units.end()) refuse();
  const auto number = std::stoull(text.substr(0, unit_at));
  if (number > days_max_ms / unit->second) refuse();
  return milliseconds(number * unit->second);
}

std::vector<option> read_options(const config_reader& from, const node& where) {
  std::vector<option> options;
  for (const auto& [key, value] : from.table(where, "options")) {
    option each{std::string(key.str()), {}};
    if (const auto* text = value.as_string())
      each.value = text->get();
    else if (const auto* whole = value.as_integer())
      each.value = std::to_string(whole->get());
    else if (const auto* yes = value.as_boolean())
      each.value = yes->get() ? "true" : "false";
    else if (const auto* real = value.as_floating_point())
      each.value = fmt::format("{}", real->get());
    else
      from.refuse(key.source(),
                  fmt::format("option '{}' is no single value", wire::escape_line(each.name)));
    options.push_back(std::move(each));
  }
  return options;
}

/// The keys of a mount, each with what it sets.
class mount_keys {
 public:
  mount_keys(const config_reader& from, mount_spec& to) : from_(from), to_(to) {
    add_words();
    add_supervision();
    add_life();
    add_calls();
    add_confinement();
  }
  const config_reader::fields& all() const { return keys_; }

 private:
  void text(const char* name, std::string& to) {
    keys_[name] = [this, name, &to](const node& value) { to = from_.text(value, name); };
  }
  void time(const char* name, milliseconds& to) {
    keys_[name] = [this, name, &to](const node& value) { to = read_time(from_, value, name); };
  }
  template <class Number>
  void count(const char* name, Number& to) {
    keys_[name] = [this, name, &to](const node& value) {
      to = static_cast<Number>(
          from_.number(value, name, 0, std::numeric_limits<std::uint32_t>::max()));
    };
  }
  template <class Enum>
  void choice(const char* name, Enum& to, std::vector<std::string> choices) {
    keys_[name] = [this, name, &to, choices = std::move(choices)](const node& value) {
      to = static_cast<Enum>(from_.choice(value, name, choices));
    };
  }

  void add_words() {
    text("plugin", to_.plugin);
    text("kind", to_.kind);
    text("version", to_.version);
    text("description", to_.description);
    text("group", to_.group);
    choice("restart", to_.restart, {"permanent", "transient", "temporary"});
    keys_["options"] = [this](const node& value) { to_.options = read_options(from_, value); };
  }
  void add_supervision() {
    count("intensity", to_.supervision.intensity);
    time("period", to_.supervision.period);
    time("backoff-first", to_.supervision.backoff_first);
    time("backoff-max", to_.supervision.backoff_max);
    time("backoff-stable", to_.supervision.backoff_stable);
  }
  void add_life() {
    keys_["lazy"] = [this](const node& value) {
      to_.life.start = from_.flag(value, "lazy") ? start_mode::lazy : start_mode::eager;
    };
    time("start-max", to_.life.start_max);
    time("idle-stop", to_.life.idle_stop);
    time("ping-every", to_.life.ping_every);
    time("ping-wait", to_.life.ping_wait);
    time("call-age-max", to_.life.call_age_max);
    time("lifetime", to_.life.lifetime_max);
    count("calls-max", to_.life.calls_max);
    choice("handover", to_.life.handover, {"overlap", "stop-first"});
  }
  void add_calls() {
    count("in-flight", to_.calls.in_flight_max);
    count("waiting", to_.calls.waiting_max);
    time("wait-max", to_.calls.wait_max);
    time("call-max", to_.calls.call_max);
    count("breaker", to_.calls.breaker_failures);
    time("breaker-open", to_.calls.breaker_open);
    time("breaker-open-max", to_.calls.breaker_open_max);
  }

  void add_confinement() {
    auto& to = to_.confinement;
    text("profile", to.profile);
    keys_["waive"] = [this, &to](const node& value) { to.waive = from_.names(value, "waive"); };
    keys_["grants"] = [this, &to](const node& value) { to.grants = from_.names(value, "grants"); };
    keys_["limits"] = [this, &to](const node& value) {
      to.limits = read_amounts(from_, value, "limits");
    };
    keys_["thresholds"] = [this](const node& value) {
      to_.thresholds = read_amounts(from_, value, "thresholds");
    };
  }

  const config_reader& from_;
  mount_spec& to_;
  config_reader::fields keys_;
};

void check_group(const config_reader& from, const node& where, const mount_spec& spec,
                 const std::vector<group_spec>& groups) {
  if (spec.group.empty()) return;
  std::vector<std::string> names;
  names.reserve(groups.size());
  for (const auto& each : groups) names.push_back(each.name);
  if (std::find(names.begin(), names.end(), spec.group) != names.end()) return;
  from.refuse(where, fmt::format("there is no group '{}'", wire::escape_line(spec.group)),
              names.empty() ? fmt::format("[group.{}]", wire::escape_line(spec.group))
                            : suggestion(spec.group, names));
}

mount_spec read_mount(const config_reader& from, const std::string& path, const node& where,
                      const config_file& config) {
  mount_spec spec;
  spec.path = path;
  const mount_keys keys(from, spec);
  from.each(from.table(where, "a mount"), "key of a mount", keys.all());
  if (spec.plugin.empty())
    from.refuse(where, fmt::format("the mount '{}' names no plugin", wire::escape_line(path)),
                "plugin = \"kv\"");
  at_line(from, where, [&] { check_mount_spec(spec, config.limits); });
  check_group(from, where, spec, config.groups);
  return spec;
}

/// In the order of the file, which is that of mounting.
void read_mounts(const config_reader& from, const node& where, config_file& config) {
  struct found {
    toml::source_index line;
    const node* where;
    mount_spec spec;
  };
  std::vector<found> all;
  for (const auto& [key, value] : from.table(where, "mount"))
    all.push_back(
        {key.source().begin.line, &value, read_mount(from, std::string(key.str()), value, config)});
  std::stable_sort(all.begin(), all.end(),
                   [](const found& a, const found& b) { return a.line < b.line; });
  route_table<bool> paths;
  for (auto& each : all) {
    if (const auto other = paths.overlap(each.spec.path))
      from.refuse(*each.where,
                  fmt::format("the mounts '{}' and '{}' overlap", *other, each.spec.path));
    paths.insert(each.spec.path, true);
    config.declared.mounts.push_back(std::move(each.spec));
  }
}

std::string text_of(const group_spec& group) {
  const auto& rules = group.supervision;
  return fmt::format("{}, parent '{}', after '{}', {} in {} ms, backoff {} to {} ms, stable {} ms",
                     to_string(group.strategy), group.parent, fmt::join(group.after, " "),
                     rules.intensity, rules.period.count(), rules.backoff_first.count(),
                     rules.backoff_max.count(), rules.backoff_stable.count());
}

}  // namespace

void read_declared(const config_reader& from, const toml::table& top, config_file& config) {
  if (const auto* releases = top.get("release"))
    read_releases(from, *releases, config.declared.releases);
  if (const auto* pins = top.get("pin")) read_pins(from, *pins, config.declared.pins);
  if (const auto* mounts = top.get("mount")) read_mounts(from, *mounts, config);
}

std::map<std::string, std::string> fixed_settings(const config_file& config) {
  std::map<std::string, std::string> fixed;
  const auto add = [&fixed](const char* name, const std::optional<std::string>& value) {
    if (value) fixed[name] = *value;
  };
  add("socket", config.socket);
  add("state", config.state);
  add("plugins", config.plugins);
  add("state_key", config.state_key);
  for (const auto& [name, value] : configured_limits(config.limits))
    fixed["limits." + name] = std::to_string(value);
  for (const auto& each : config.groups) fixed["group." + each.name] = text_of(each);
  const auto& rules = config.confinement.rules;
  add("confinement.launcher", config.confinement.launcher.empty()
                                  ? std::nullopt
                                  : std::optional(config.confinement.launcher));
  const auto shown = rules_shown(rules);
  if (!(rules == confinement_rules{}))
    fixed["confinement"] = fmt::format("profile '{}', waive {}, limits {}, grants {}",
                                       shown.profile, fmt::join(shown.waive, " "),
                                       amounts_text(shown.limits), fmt::join(shown.grants, " "));
  return fixed;
}

std::vector<named_number> read_amounts(const config_reader& from, const node& where,
                                       const std::string& name) {
  std::vector<named_number> amounts;
  for (const auto& [key, value] : from.table(where, name)) {
    named_number each{std::string(key.str()), 0};
    std::optional<std::uint64_t> amount;
    if (const auto* whole = value.as_integer(); whole != nullptr && whole->get() >= 0)
      amount = static_cast<std::uint64_t>(whole->get());
    else if (const auto* text = value.as_string())
      amount = wire::parse_amount(text->get());
    if (!amount)
      from.refuse(key.source(),
                  fmt::format("{}.{} is no amount", name, wire::escape_line(each.name)),
                  "as in 64, \"256M\", \"1G\"");
    each.value = *amount;
    amounts.push_back(std::move(each));
  }
  return amounts;
}

void read_confinement_table(const config_reader& from, const toml::node& where,
                            confinement_config& to) {
  auto& rules = to.rules;
  from.each(
      from.table(where, "confinement"), "key of confinement",
      {{"profile", [&](const node& value) { rules.profile = from.text(value, "profile"); }},
       {"waive", [&](const node& value) { rules.waive = from.names(value, "waive"); }},
       {"grants", [&](const node& value) { rules.grants = from.names(value, "grants"); }},
       {"limits", [&](const node& value) { rules.limits = read_amounts(from, value, "limits"); }},
       {"launcher", [&](const node& value) { to.launcher = from.text(value, "launcher"); }}});
  at_line(from, where, [&] { check_confinement(rules); });
}

declared_state declared_by(const config_file& config,
                           const std::map<std::string, std::string>& started) {
  auto declared = config.declared;
  const auto now = fixed_settings(config);
  const auto value = [](const auto& of, const std::string& name) {
    const auto found = of.find(name);
    return found == of.end() ? std::string("nothing") : found->second;
  };
  auto names = started;
  names.insert(now.begin(), now.end());
  for (const auto& [name, ignored] : names) {
    const auto before = value(started, name);
    const auto after = value(now, name);
    if (before != after) declared.fixed[name] = fmt::format("{} -> {}", before, after);
  }
  return declared;
}

}  // namespace bulkhead
