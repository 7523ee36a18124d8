// SPDX-License-Identifier: Apache-2.0
#include "broker/config_file.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <system_error>
#include <variant>

#include "broker/group_rules.hpp"
#include "schema/wire/error_text.hpp"
#include "schema/wire/suggest.hpp"

namespace bulkhead {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t count_max = 1'000'000'000;
constexpr std::int64_t span_ms_max = 24LL * 60 * 60 * 1000;

using limit_field = std::variant<std::uint32_t broker_limits::*, std::uint64_t broker_limits::*,
                                 milliseconds broker_limits::*>;

const std::map<std::string, limit_field>& limit_fields() {
  using limits = broker_limits;
  static const std::map<std::string, limit_field> fields{
      {"clients_max", &limits::clients_max},
      {"client_sessions_max", &limits::client_sessions_max},
      {"client_flow_words_max", &limits::client_flow_words_max},
      {"mounts_max", &limits::mounts_max},
      {"options_max", &limits::options_max},
      {"option_bytes_max", &limits::option_bytes_max},
      {"description_bytes_max", &limits::description_bytes_max},
      {"calls_in_flight_max", &limits::calls_in_flight_max},
      {"calls_waiting_max", &limits::calls_waiting_max},
      {"slot_wait_ms_max", &limits::slot_wait_ms_max},
      {"call_ms_max", &limits::call_ms_max},
      {"start_ms_max", &limits::start_ms_max},
      {"migrate_ms_max", &limits::migrate_ms_max},
      {"drain_ms_max", &limits::drain_ms_max},
      {"stop_grace_ms", &limits::stop_grace_ms},
      {"stop_term_ms", &limits::stop_term_ms},
      {"schema_nodes_max", &limits::schema_nodes_max},
      {"view_calls_in_store_max", &limits::view_calls_in_store_max},
      {"log_line_bytes_max", &limits::log_line_bytes_max},
      {"log_lines_kept", &limits::log_lines_kept},
      {"log_bytes_per_s_max", &limits::log_bytes_per_s_max},
      {"releases_max", &limits::releases_max},
      {"registrations_at_once_max", &limits::registrations_at_once_max},
      {"plugin_file_bytes_max", &limits::plugin_file_bytes_max},
      {"image_cache_bytes_max", &limits::image_cache_bytes_max},
  };
  return fields;
}

/// "did you mean 'NAME'?", or all the names.
std::string suggestion(std::string_view typed, const std::vector<std::string>& names) {
  const auto name = wire::nearest(typed, names);
  return name.empty() ? fmt::format("one of: {}", fmt::join(names, ", "))
                      : fmt::format("did you mean '{}'?", name);
}

/// Reads values of a parsed file; every refusal names file and line.
class reader {
 public:
  explicit reader(std::string file) : file_(std::move(file)) {}

  [[noreturn]] void refuse(const toml::source_region& where, const std::string& what,
                           std::string remedy = {}) const {
    throw error(error_kind::invalid_argument,
                fmt::format("{}:{}: {}", file_, where.begin.line, what), {}, std::move(remedy));
  }
  [[noreturn]] void refuse(const toml::node& where, const std::string& what,
                           std::string remedy = {}) const {
    refuse(where.source(), what, std::move(remedy));
  }

  /// Hands each value of a table to the function of its name.
  using field = std::function<void(const toml::node&)>;
  void each(const toml::table& table, const std::string& what,
            const std::map<std::string, field>& fields) const {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto found = fields.find(name);
      if (found == fields.end()) {
        std::vector<std::string> names;
        names.reserve(fields.size());
        for (const auto& known : fields) names.push_back(known.first);
        refuse(key.source(), fmt::format("{} '{}' is not known", what, wire::escape_line(name)),
               suggestion(name, names));
      }
      found->second(node);
    }
  }

  const toml::table& table(const toml::node& node, const std::string& name) const {
    if (!node.is_table()) refuse(node, fmt::format("{} is no table", name));
    return *node.as_table();
  }
  std::string text(const toml::node& node, const char* name) const {
    const auto* value = node.as_string();
    if (value == nullptr) refuse(node, fmt::format("{} is no text", name), "put it in quotes");
    return value->get();
  }
  std::int64_t number(const toml::node& node, const std::string& name, std::int64_t least,
                      std::int64_t most) const {
    const auto* value = node.as_integer();
    if (value == nullptr) refuse(node, fmt::format("{} is no whole number", name));
    if (value->get() < least || value->get() > most)
      refuse(node, fmt::format("{} is {}; it is {} to {}", name, value->get(), least, most));
    return value->get();
  }
  milliseconds span(const toml::node& node, const std::string& name) const {
    return milliseconds(number(node, name, 0, span_ms_max));
  }
  std::vector<std::string> names(const toml::node& node, const char* name) const {
    if (!node.is_array()) refuse(node, fmt::format("{} is no list", name), "as in [\"a\", \"b\"]");
    std::vector<std::string> result;
    for (const auto& each : *node.as_array()) result.push_back(text(each, name));
    return result;
  }

 private:
  std::string file_;
};

void read_limit(const reader& from, const std::string& name, const limit_field& field,
                const toml::node& node, broker_limits& to) {
  if (const auto* count = std::get_if<std::uint32_t broker_limits::*>(&field))
    to.*(*count) = static_cast<std::uint32_t>(from.number(node, name, 1, count_max));
  else if (const auto* wide = std::get_if<std::uint64_t broker_limits::*>(&field))
    to.*(*wide) = static_cast<std::uint64_t>(from.number(node, name, 1, count_max));
  else
    to.*std::get<milliseconds broker_limits::*>(field) =
        milliseconds(from.number(node, name, 1, span_ms_max));
}

void read_limits(const reader& from, const toml::node& node, broker_limits& to) {
  std::map<std::string, reader::field> fields;
  for (const auto& [name, field] : limit_fields())
    fields[name] = [&, name = name, field = field](const toml::node& value) {
      read_limit(from, name, field, value, to);
    };
  from.each(from.table(node, "limits"), "limit", fields);
}

group_strategy read_strategy(const reader& from, const toml::node& node) {
  const auto text = from.text(node, "strategy");
  const std::vector<std::string> names{"one_for_one", "one_for_all", "rest_for_one"};
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end())
    from.refuse(node, fmt::format("the strategy '{}' is not known", wire::escape_line(text)),
                suggestion(text, names));
  return static_cast<group_strategy>(found - names.begin());
}

group_spec read_group(const reader& from, std::string name, const toml::node& node) {
  group_spec group;
  group.name = std::move(name);
  auto& rules = group.supervision;
  from.each(
      from.table(node, "a group"), "key of a group",
      {{"strategy", [&](const auto& value) { group.strategy = read_strategy(from, value); }},
       {"parent", [&](const auto& value) { group.parent = from.text(value, "parent"); }},
       {"after", [&](const auto& value) { group.after = from.names(value, "after"); }},
       {"intensity",
        [&](const auto& value) {
          rules.intensity =
              static_cast<std::uint32_t>(from.number(value, "intensity", 0, count_max));
        }},
       {"period_ms", [&](const auto& value) { rules.period = from.span(value, "period_ms"); }},
       {"backoff_first_ms",
        [&](const auto& value) { rules.backoff_first = from.span(value, "backoff_first_ms"); }},
       {"backoff_max_ms",
        [&](const auto& value) { rules.backoff_max = from.span(value, "backoff_max_ms"); }},
       {"backoff_stable_ms",
        [&](const auto& value) { rules.backoff_stable = from.span(value, "backoff_stable_ms"); }}});
  return group;
}

void read_groups(const reader& from, const toml::node& node, std::vector<group_spec>& to) {
  std::vector<std::pair<toml::source_index, group_spec>> found;
  std::map<std::string, const toml::node*> places;
  for (const auto& [key, value] : from.table(node, "group")) {
    const std::string name(key.str());
    places[name] = &value;
    found.emplace_back(key.source().begin.line, read_group(from, name, value));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& each : found) to.push_back(std::move(each.second));
  const auto problem = check_groups(to);
  if (problem.what.empty()) return;
  const auto place = places.find(problem.group);
  from.refuse(place == places.end() ? node : *place->second, wire::escape_line(problem.what));
}

}  // namespace

config_file parse_config(std::string_view text, const std::string& file) {
  const reader from(file);
  config_file config;
  try {
    const toml::table top = toml::parse(text, file);
    from.each(
        top, "key",
        {{"socket", [&](const auto& node) { config.socket = from.text(node, "socket"); }},
         {"state", [&](const auto& node) { config.state = from.text(node, "state"); }},
         {"plugins", [&](const auto& node) { config.plugins = from.text(node, "plugins"); }},
         {"state_key", [&](const auto& node) { config.state_key = from.text(node, "state_key"); }},
         {"limits", [&](const auto& node) { read_limits(from, node, config.limits); }},
         {"group", [&](const auto& node) { read_groups(from, node, config.groups); }}});
  } catch (const toml::parse_error& problem) {
    from.refuse(problem.source(), wire::escape_line(problem.description()));
  }
  return config;
}

config_file read_config(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    const int why = errno;
    throw error(why == EACCES ? error_kind::permission_denied : error_kind::not_found,
                fmt::format("the configuration {} cannot be read", file),
                std::generic_category().message(why), {});
  }
  std::string text(config_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > config_bytes_max)
    throw error(error_kind::invalid_argument,
                fmt::format("the configuration {} is too large", file),
                fmt::format("the limit is {} bytes (config_bytes_max)", config_bytes_max), {});
  return parse_config(text, file);
}

}  // namespace bulkhead
