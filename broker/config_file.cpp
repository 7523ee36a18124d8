// SPDX-License-Identifier: Apache-2.0
#include "broker/config_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <variant>

#include "actors/unique_fd.hpp"
#include "broker/config_reader.hpp"
#include "broker/declared_file.hpp"
#include "broker/group_rules.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t count_max = 1'000'000'000;
constexpr std::int64_t wide_max = 1'000'000'000'000'000;
constexpr std::int64_t group_span_ms_max = 24LL * 60 * 60 * 1000;

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
      {"snapshot_bytes_max", &limits::snapshot_bytes_max},
      {"connections_max", &limits::connections_max},
      {"broker_connections_max", &limits::broker_connections_max},
      {"broker_lookups_max", &limits::broker_lookups_max},
      {"connect_ms_max", &limits::connect_ms_max},
      {"drain_ms_max", &limits::drain_ms_max},
      {"stop_grace_ms", &limits::stop_grace_ms},
      {"stop_term_ms", &limits::stop_term_ms},
      {"schema_nodes_max", &limits::schema_nodes_max},
      {"view_calls_in_store_max", &limits::view_calls_in_store_max},
      {"view_unread_bytes_max", &limits::view_unread_bytes_max},
      {"log_line_bytes_max", &limits::log_line_bytes_max},
      {"log_lines_kept", &limits::log_lines_kept},
      {"log_bytes_per_s_max", &limits::log_bytes_per_s_max},
      {"log_lines_per_s_max", &limits::log_lines_per_s_max},
      {"releases_max", &limits::releases_max},
      {"registrations_at_once_max", &limits::registrations_at_once_max},
      {"plugin_file_bytes_max", &limits::plugin_file_bytes_max},
      {"image_cache_bytes_max", &limits::image_cache_bytes_max},
      {"sample_ms", &limits::sample_ms},
      {"samples_kept", &limits::samples_kept},
      {"memory_soft_bytes_max", &limits::memory_soft_bytes_max},
      {"memory_hard_bytes_max", &limits::memory_hard_bytes_max},
      {"plugin_frame_ms_max", &limits::plugin_frame_ms_max},
      {"plugin_write_ms_max", &limits::plugin_write_ms_max},
      {"plugin_calls_open_max", &limits::plugin_calls_open_max},
      {"plugin_calls_unanswered_max", &limits::plugin_calls_unanswered_max},
      {"plugin_capabilities_max", &limits::plugin_capabilities_max},
      {"plugin_message_capabilities_max", &limits::plugin_message_capabilities_max},
      {"plugin_capabilities_given_max", &limits::plugin_capabilities_given_max},
      {"plugin_pipeline_steps_max", &limits::plugin_pipeline_steps_max},
      {"plugin_tail_calls_max", &limits::plugin_tail_calls_max},
      {"plugin_frames_per_s_max", &limits::plugin_frames_per_s_max},
      {"plugin_flow_words_max", &limits::plugin_flow_words_max},
  };
  return fields;
}

void read_limit(const config_reader& from, const std::string& name, const limit_field& field,
                const toml::node& node, broker_limits& to) {
  if (const auto* count = std::get_if<std::uint32_t broker_limits::*>(&field))
    to.*(*count) = static_cast<std::uint32_t>(from.number(node, name, 1, count_max));
  else if (const auto* wide = std::get_if<std::uint64_t broker_limits::*>(&field))
    to.*(*wide) = static_cast<std::uint64_t>(from.number(node, name, 1, wide_max));
  else
    to.*std::get<milliseconds broker_limits::*>(field) =
        milliseconds(from.number(node, name, 1, group_span_ms_max));
}

void read_limits(const config_reader& from, const toml::node& node, broker_limits& to) {
  config_reader::fields fields;
  for (const auto& [name, field] : limit_fields())
    fields[name] = [&, name = name, field = field](const toml::node& value) {
      read_limit(from, name, field, value, to);
    };
  from.each(from.table(node, "limits"), "limit", fields);
  if (to.memory_hard_bytes_max < to.memory_soft_bytes_max)
    from.refuse(node, "memory_hard_bytes_max is below memory_soft_bytes_max",
                "what fails the broker lies above what makes it shed calls");
}

group_spec read_group(const config_reader& from, std::string name, const toml::node& node) {
  group_spec group;
  group.name = std::move(name);
  auto& rules = group.supervision;
  from.each(
      from.table(node, "a group"), "key of a group",
      {{"strategy",
        [&](const auto& value) {
          group.strategy = static_cast<group_strategy>(
              from.choice(value, "strategy", {"one_for_one", "one_for_all", "rest_for_one"}));
        }},
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

void read_groups(const config_reader& from, const toml::node& node, std::vector<group_spec>& to) {
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

std::map<std::string, std::uint64_t> configured_limits(const broker_limits& limits) {
  std::map<std::string, std::uint64_t> values;
  for (const auto& [name, field] : limit_fields()) {
    if (const auto* span = std::get_if<milliseconds broker_limits::*>(&field))
      values[name] = static_cast<std::uint64_t>((limits.*(*span)).count());
    else if (const auto* count = std::get_if<std::uint32_t broker_limits::*>(&field))
      values[name] = limits.*(*count);
    else
      values[name] = limits.*std::get<std::uint64_t broker_limits::*>(field);
  }
  return values;
}

std::string summary(const config_file& config) {
  const auto count = [](std::size_t number, const char* of) {
    return fmt::format("{} {}{}", number, of, number == 1 ? "" : "s");
  };
  auto text = count(config.groups.size(), "group");
  const auto& declared = config.declared;
  if (!declared.releases.empty()) text += ", " + count(declared.releases.size(), "release");
  if (!declared.pins.empty()) text += ", " + count(declared.pins.size(), "pin");
  if (!declared.mounts.empty()) text += ", " + count(declared.mounts.size(), "mount");
  return text;
}

config_file parse_config(std::string_view text, const std::string& file) {
  const config_reader from(file);
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
         {"confinement",
          [&](const auto& node) { read_confinement_table(from, node, config.confinement); }},
         {"group", [&](const auto& node) { read_groups(from, node, config.groups); }},
         // Read below: they are checked against limits and groups.
         {"release", [](const auto&) {}},
         {"pin", [](const auto&) {}},
         {"mount", [](const auto&) {}}});
    read_declared(from, top, config);
  } catch (const toml::parse_error& problem) {
    from.refuse(problem.source(), wire::escape_line(problem.description()));
  }
  return config;
}

namespace {

[[noreturn]] void unreadable(const std::string& file, error_kind kind, std::string why,
                             std::string remedy = {}) {
  throw error(kind, fmt::format("the configuration {} cannot be read", wire::escape_line(file)),
              std::move(why), std::move(remedy));
}

[[noreturn]] void unreadable(const std::string& file, int number) {
  unreadable(file,
             number == EACCES || number == EPERM     ? error_kind::permission_denied
             : number == ENOENT || number == ENOTDIR ? error_kind::not_found
                                                     : error_kind::storage,
             std::generic_category().message(number));
}

/// The file, opened, and its size.
std::pair<unique_fd, std::size_t> open_config(const std::string& file) {
  // Opening a FIFO, or a terminal's line, would wait for its other end.
  unique_fd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!opened) unreadable(file, errno);
  struct stat info {};
  if (::fstat(opened.get(), &info) != 0) unreadable(file, errno);
  if (!S_ISREG(info.st_mode))
    unreadable(file, error_kind::invalid_argument,
               S_ISDIR(info.st_mode) ? "it is a directory" : "it is no regular file",
               "name a TOML file");
  return {std::move(opened), static_cast<std::size_t>(info.st_size)};
}

}  // namespace

config_file read_config(const std::string& file) {
  const auto [opened, size] = open_config(file);
  std::string text(config_bytes_max + 1, '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const auto got = ::read(opened.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) unreadable(file, errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  if (text.size() > config_bytes_max)
    throw error(error_kind::invalid_argument,
                fmt::format("the configuration {} is too large", file),
                fmt::format("the limit is {} bytes (config_bytes_max)", config_bytes_max), {});
  if (text.size() < size)
    unreadable(file, error_kind::storage, "it has become shorter while it was read",
               "read it again once nobody writes it");
  return parse_config(text, file);
}

}  // namespace bulkhead
