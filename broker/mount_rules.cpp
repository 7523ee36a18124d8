// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_rules.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "actors/supervision.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/refusal.hpp"
#include "broker/router.hpp"
#include "broker/trust/manifest.hpp"
#include "broker/usage.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

constexpr std::size_t file_name_bytes_max = 255;  // NAME_MAX
constexpr std::chrono::hours supervision_span_max{24};
constexpr std::chrono::hours rule_span_max{24};
constexpr std::chrono::hours lifetime_max{24 * 366};

[[noreturn]] void invalid(std::string what, std::string why) {
  refuse(error_kind::invalid_argument, std::move(what), std::move(why));
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name[0] != '.' && name.size() <= file_name_bytes_max &&
         std::all_of(name.begin(), name.end(), [](char byte) {
           return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                  (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
         });
}

void check_options(const std::vector<option>& options, const broker_limits& limits) {
  if (options.size() > limits.options_max)
    invalid("there are too many options",
            fmt::format("{}, the limit is {} (options_max)", options.size(), limits.options_max));
  std::set<std::string> names;
  for (const auto& each : options) {
    const auto name = wire::escape_line(each.name);
    if (each.name.empty() || each.name.size() + each.value.size() > limits.option_bytes_max)
      invalid(fmt::format("option '{}' is not usable", name),
              fmt::format("a name is not empty, and name and value have at most {} bytes "
                          "(option_bytes_max)",
                          limits.option_bytes_max));
    if (!names.insert(each.name).second)
      invalid(fmt::format("option '{}' is given twice", name), "each name may be given once");
  }
}

void check_supervision(const restart_limits& rules) {
  const auto problem = supervision_problem(rules);
  if (problem.empty()) return;
  const auto end_of_name = problem.find(':');
  invalid(fmt::format("supervision.{} is out of range", problem.substr(0, end_of_name)),
          problem.substr(end_of_name + 2));
}

void check_span(const char* field, std::chrono::milliseconds value, std::chrono::milliseconds least,
                std::chrono::milliseconds most) {
  if (value < least || value > most)
    invalid(fmt::format("{} is out of range", field),
            fmt::format("it is {} ms to {} ms", least.count(), most.count()));
}

/// A zero is in range too.
void check_span_or_off(const char* field, std::chrono::milliseconds value,
                       std::chrono::milliseconds least, std::chrono::milliseconds most) {
  if (value.count() != 0 && (value < least || value > most))
    invalid(fmt::format("{} is out of range", field),
            fmt::format("it is 0 (off), or {} ms to {} ms", least.count(), most.count()));
}

/// A call ends at the limit of its mount's calls, and is older than that never.
void check_call_age(std::chrono::milliseconds age_max, const call_rules& calls,
                    const broker_limits& limits) {
  const bool own = calls.call_max.count() != 0;
  const auto call_max = own ? calls.call_max : limits.call_ms_max;
  if (age_max.count() != 0 && age_max >= call_max)
    invalid("life.call_age_max can never act",
            fmt::format("it is {} ms, and a call ends after {} ms ({})", age_max.count(),
                        call_max.count(), own ? "calls.call_max" : "call_ms_max"));
}

void check_life(const life_rules& life) {
  using std::chrono::milliseconds;
  const auto off = milliseconds{0};
  if (life.start > start_mode::lazy) invalid("life.start is unknown", "it is eager or lazy");
  if (life.handover > handover::stop_first)
    invalid("life.handover is unknown", "it is overlap or stop-first");
  check_span_or_off("life.idle_stop", life.idle_stop, idle_stop_min, rule_span_max);
  check_span("life.ping_every", life.ping_every, off, rule_span_max);
  if (life.ping_every > off)
    check_span("life.ping_wait", life.ping_wait, milliseconds{1}, rule_span_max);
  check_span("life.call_age_max", life.call_age_max, off, rule_span_max);
  check_span_or_off("life.lifetime_max", life.lifetime_max, lifetime_min, lifetime_max);
  check_span("life.start_max", life.start_max, off, rule_span_max);
}

void check_calls(const call_rules& calls, const broker_limits& limits) {
  using std::chrono::milliseconds;
  const auto off = milliseconds{0};
  if (calls.in_flight_max > limits.calls_in_flight_max)
    invalid("calls.in_flight_max is out of range",
            fmt::format("it is at most {} (calls_in_flight_max)", limits.calls_in_flight_max));
  if (calls.waiting_max > limits.calls_waiting_max)
    invalid("calls.waiting_max is out of range",
            fmt::format("it is at most {} (calls_waiting_max)", limits.calls_waiting_max));
  check_span("calls.wait_max", calls.wait_max, off, rule_span_max);
  check_span("calls.call_max", calls.call_max, off, rule_span_max);
  if (calls.breaker_failures == 0) return;
  check_span("calls.breaker_open", calls.breaker_open, milliseconds{1}, rule_span_max);
  check_span("calls.breaker_open_max", calls.breaker_open_max, calls.breaker_open, rule_span_max);
}

}  // namespace

std::string supervision_problem(const restart_limits& rules) {
  if (rules.period.count() <= 0 || rules.period > supervision_span_max)
    return "period: it is 1 ms to 24 h";
  if (rules.intensity > restart_intensity_max)
    return fmt::format("intensity: it is at most {}", restart_intensity_max);
  if (rules.backoff_max.count() < 0 || rules.backoff_max > supervision_span_max)
    return "backoff_max: it is at most 24 h";
  if (rules.backoff_first.count() < 0 || rules.backoff_first > rules.backoff_max)
    return "backoff_first: it is at most backoff_max";
  if (rules.backoff_stable.count() <= 0) return "backoff_stable: it is at least 1 ms";
  return {};
}

void check_mount_spec(mount_spec& spec, const broker_limits& limits) {
  std::string problem;
  const auto path = normalise_mount_path(spec.path, problem);
  if (!path)
    refuse(error_kind::invalid_argument,
           fmt::format("'{}' is no mount path", wire::escape_line(spec.path)), problem,
           "a path as in kv/ or team/kv/");
  spec.path = *path;
  if (!spec.kind.empty() && !trust::is_plugin_kind(spec.kind))
    invalid(
        fmt::format("'{}/{}' is no plugin", wire::escape_line(spec.kind),
                    wire::escape_line(spec.plugin)),
        "a plugin is named by its name, or by its kind and its name, as in secrets/kv; the kinds "
        "are secrets, auth, database and generic");
  if (spec.restart > restart_rule::temporary)
    invalid("the restart type is unknown", "it is permanent, transient or temporary");
  if (spec.description.size() > limits.description_bytes_max)
    invalid("the description is too long",
            fmt::format("{} bytes, the limit is {} (description_bytes_max)",
                        spec.description.size(), limits.description_bytes_max));
  check_options(spec.options, limits);
  check_supervision(spec.supervision);
  check_life(spec.life);
  check_calls(spec.calls, limits);
  check_call_age(spec.life.call_age_max, spec.calls, limits);
  check_confinement(spec.confinement);
  if (auto problem = threshold_problem(spec.thresholds); !problem.empty())
    invalid("a threshold is not usable", std::move(problem));
}

manifest_times times_in(const std::vector<std::pair<std::string, std::uint64_t>>& limits) {
  manifest_times times;
  constexpr std::chrono::milliseconds longest = rule_span_max;
  const auto most = static_cast<std::uint64_t>(longest.count());
  for (const auto& [name, value] : limits) {
    const std::chrono::milliseconds span{std::min(value, most)};
    if (name == "start-ms") times.start_max = span;
    if (name == "call-ms") times.call_max = span;
  }
  return times;
}

std::chrono::milliseconds time_within(std::chrono::milliseconds of_mount,
                                      std::chrono::milliseconds of_manifest,
                                      std::chrono::milliseconds limit) {
  if (of_mount.count() != 0) return of_mount;
  return of_manifest.count() != 0 ? std::min(of_manifest, limit) : limit;
}

slot_limits slot_rules(const call_rules& calls, const broker_limits& limits,
                       const manifest_times& times) {
  const auto either = [](auto own, auto otherwise) {
    return own == decltype(own){} ? otherwise : own;
  };
  const auto duration = [](std::chrono::milliseconds span) {
    return span.count() * kj::MILLISECONDS;
  };
  slot_limits rules;
  rules.calls_in_flight_max = either(calls.in_flight_max, limits.calls_in_flight_max);
  rules.calls_waiting_max = either(calls.waiting_max, limits.calls_waiting_max);
  rules.wait_max = duration(either(calls.wait_max, limits.slot_wait_ms_max));
  rules.call_max = duration(time_within(calls.call_max, times.call_max, limits.call_ms_max));
  rules.breaker.failures_max = calls.breaker_failures;
  rules.breaker.open = calls.breaker_open;
  rules.breaker.open_max = calls.breaker_open_max;
  return rules;
}

void check_plugin_file(const std::string& directory, const std::string& plugin) {
  const auto name = wire::escape_line(plugin);
  if (!is_file_name(plugin))
    invalid(fmt::format("'{}' is no plugin", name),
            "a plugin is named by its file in the plugin directory, without a path");
  struct stat info {};
  const auto file = directory + "/" + plugin;
  if (::stat(file.c_str(), &info) != 0)
    refuse(error_kind::not_found, fmt::format("there is no plugin '{}'", name),
           fmt::format("the plugin directory {} has no such file", directory),
           fmt::format("ls {}", directory));
  if (!S_ISREG(info.st_mode) || ::access(file.c_str(), X_OK) != 0)
    refuse(error_kind::invalid_argument, fmt::format("'{}' is no plugin", name),
           fmt::format("{} is not an executable file", file), fmt::format("chmod +x {}", file));
}

}  // namespace bulkhead
