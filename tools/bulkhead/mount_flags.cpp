// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/mount_flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "schema/wire/amount.hpp"
#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/release_name.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t u32_max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t u64_max = std::numeric_limits<std::uint64_t>::max();

/// Flags as numbers of the contract; each keeps `otherwise` when it was not given. Spans that the
/// contract's field cannot hold become its largest value, which the broker refuses with the range
/// that it takes.
class rule_flags {
 public:
  explicit rule_flags(const invocation& command) : command_(command) {}

  bool any(std::initializer_list<const char*> flags) const {
    return std::any_of(flags.begin(), flags.end(),
                       [&](const char* flag) { return command_.has(flag); });
  }

  std::uint64_t long_ms(const char* flag, std::uint64_t otherwise) const {
    return command_.has(flag) ? parse_duration_ms(command_.value(flag)) : otherwise;
  }

  std::uint32_t ms(const char* flag, std::uint32_t otherwise) const {
    return static_cast<std::uint32_t>(std::min(long_ms(flag, otherwise), u32_max));
  }

  std::uint64_t long_count(const char* flag, std::uint64_t otherwise) const {
    return count_up_to(flag, otherwise, u64_max);
  }

  std::uint32_t count(const char* flag, std::uint32_t otherwise) const {
    return static_cast<std::uint32_t>(count_up_to(flag, otherwise, u32_max));
  }

 private:
  std::uint64_t count_up_to(const char* flag, std::uint64_t otherwise, std::uint64_t max) const {
    return command_.has(flag) ? parse_count(flag, command_.value(flag), 0, max) : otherwise;
  }

  const invocation& command_;
};

schema::RestartType restart_type(const std::string& text) {
  if (text == "transient") return schema::RestartType::TRANSIENT;
  if (text == "temporary") return schema::RestartType::TEMPORARY;
  return schema::RestartType::PERMANENT;
}

// Each group of rules: whether a flag of it was given, and what the flags make of the rules that
// are there.

bool concerns_supervision(const rule_flags& flags) {
  return flags.any({"intensity", "period", "backoff-first", "backoff-max", "backoff-stable"});
}

void change_supervision(schema::Supervision::Builder rules, const rule_flags& flags) {
  rules.setIntensity(flags.count("intensity", rules.getIntensity()));
  rules.setPeriodMs(flags.ms("period", rules.getPeriodMs()));
  rules.setBackoffFirstMs(flags.ms("backoff-first", rules.getBackoffFirstMs()));
  rules.setBackoffMaxMs(flags.ms("backoff-max", rules.getBackoffMaxMs()));
  rules.setBackoffStableMs(flags.ms("backoff-stable", rules.getBackoffStableMs()));
}

bool concerns_life(const rule_flags& flags) {
  return flags.any({"lazy", "eager", "idle-stop", "ping-every", "ping-wait", "call-age-max",
                    "lifetime", "calls-max", "handover", "start-max"});
}

void change_life(schema::Life::Builder life, const invocation& command, const rule_flags& flags) {
  if (command.has("lazy")) life.setStart(schema::StartMode::LAZY);
  if (command.has("eager")) life.setStart(schema::StartMode::EAGER);
  life.setIdleStopMs(flags.ms("idle-stop", life.getIdleStopMs()));
  life.setPingEveryMs(flags.ms("ping-every", life.getPingEveryMs()));
  life.setPingWaitMs(flags.ms("ping-wait", life.getPingWaitMs()));
  life.setCallAgeMaxMs(flags.ms("call-age-max", life.getCallAgeMaxMs()));
  life.setLifetimeMaxMs(flags.long_ms("lifetime", life.getLifetimeMaxMs()));
  life.setCallsMax(flags.long_count("calls-max", life.getCallsMax()));
  if (command.has("handover"))
    life.setHandover(command.value("handover") == "stop-first" ? schema::Handover::STOP_FIRST
                                                               : schema::Handover::OVERLAP);
  life.setStartMaxMs(flags.ms("start-max", life.getStartMaxMs()));
}

bool concerns_calls(const rule_flags& flags) {
  return flags.any({"in-flight", "waiting", "wait-max", "call-max", "breaker", "breaker-open",
                    "breaker-open-max"});
}

void change_calls(schema::CallRules::Builder calls, const rule_flags& flags) {
  calls.setInFlightMax(flags.count("in-flight", calls.getInFlightMax()));
  calls.setWaitingMax(flags.count("waiting", calls.getWaitingMax()));
  calls.setWaitMaxMs(flags.ms("wait-max", calls.getWaitMaxMs()));
  calls.setCallMaxMs(flags.ms("call-max", calls.getCallMaxMs()));
  calls.setBreakerFailures(flags.count("breaker", calls.getBreakerFailures()));
  calls.setBreakerOpenMs(flags.ms("breaker-open", calls.getBreakerOpenMs()));
  calls.setBreakerOpenMaxMs(flags.ms("breaker-open-max", calls.getBreakerOpenMaxMs()));
}

// -- confinement ---------------------------------------------------------------------------------

using number_list = capnp::List<schema::NamedNumber>;

struct amount {
  std::string name;
  std::uint64_t value = 0;
};

/// "memory=256M" and the like. With an empty amount: `unset`, where that is allowed.
std::vector<amount> amounts_of(const invocation& command, const char* flag,
                               std::vector<std::string>* unset) {
  std::vector<amount> amounts;
  for (const auto& each : command.values(flag)) {
    const auto equals = std::min(each.find('='), each.size());
    const auto name = each.substr(0, equals);
    const auto text = each.substr(std::min(equals + 1, each.size()));
    const auto value = wire::parse_amount(text);
    if (unset != nullptr && equals < each.size() && text.empty())
      unset->push_back(name);
    else if (value && !name.empty())
      amounts.push_back({name, *value});
    else
      throw usage(fmt::format("'{}' is no NAME=AMOUNT", wire::escape_line(each)),
                  fmt::format("as in --{}", std::string_view(flag) == "limit"
                                                ? "limit memory=256M"
                                                : "threshold rss-restart=200M"));
  }
  return amounts;
}

/// What is there, with those changed that are given.
std::vector<amount> merged(number_list::Reader now, const invocation& command, const char* flag) {
  std::vector<std::string> unset;
  const auto changes = amounts_of(command, flag, &unset);
  std::vector<amount> all;
  for (auto each : now) all.push_back({each.getName().cStr(), each.getValue()});
  for (const auto& name : unset)
    if (std::erase_if(all, [&name](const amount& each) { return each.name == name; }) == 0)
      throw usage(fmt::format("--{} {} is not set", flag, wire::escape_line(name)));
  for (const auto& change : changes) {
    const auto there = std::find_if(
        all.begin(), all.end(), [&change](const amount& each) { return each.name == change.name; });
    if (there == all.end())
      all.push_back(change);
    else
      there->value = change.value;
  }
  return all;
}

void write_amounts(const std::vector<amount>& from, number_list::Builder to) {
  for (capnp::uint i = 0; i < to.size(); ++i) {
    to[i].setName(from[i].name.c_str());
    to[i].setValue(from[i].value);
  }
}

template <class Init>
void write_words(std::vector<std::string> words, Init init) {
  // A single empty word empties the list.
  if (words.size() == 1 && words[0].empty()) words.clear();
  auto list = init(static_cast<capnp::uint>(words.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) list.set(i, words[i].c_str());
}

void set_words(schema::Confinement::Builder to, const invocation& command) {
  to.setProfile(command.value("profile").c_str());
  write_words(command.values("waive"), [&](auto size) { return to.initWaive(size); });
  write_words(command.values("grant"), [&](auto size) { return to.initGrants(size); });
}

bool concerns_confinement(const rule_flags& flags) {
  return flags.any({"profile", "waive", "limit", "grant"});
}

capnp::uint size_of(const std::vector<amount>& list) {
  return static_cast<capnp::uint>(list.size());
}

void change_confinement(schema::MountSpec::Builder spec, const invocation& command,
                        schema::MountStatus::Reader now, std::vector<const char*>& fields) {
  const rule_flags flags(command);
  if (concerns_confinement(flags)) set_words(spec.initConfinement(), command);
  if (command.has("limit")) {
    const auto all = merged(now.getConfinement().getOwn().getLimits(), command, "limit");
    write_amounts(all, spec.getConfinement().initLimits(size_of(all)));
  }
  if (command.has("threshold")) {
    const auto all = merged(now.getThresholds(), command, "threshold");
    write_amounts(all, spec.initThresholds(size_of(all)));
  }
  for (const auto& [flag, field] :
       {std::pair{"profile", "profile"}, std::pair{"waive", "waive"}, std::pair{"limit", "limits"},
        std::pair{"grant", "grants"}, std::pair{"threshold", "thresholds"}})
    if (command.has(flag)) fields.push_back(field);
}

void set_options(schema::MountSpec::Builder spec, const std::vector<std::string>& options) {
  auto list = spec.initOptions(static_cast<capnp::uint>(options.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) {
    const auto equals = options[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      throw usage(fmt::format("'{}' is no NAME=VALUE", wire::escape_line(options[i])),
                  "as in --option precision=6");
    }
    list[i].setName(options[i].substr(0, equals).c_str());
    list[i].setValue(options[i].substr(equals + 1).c_str());
  }
}

std::vector<flag_spec> spec_flags() {
  return {
      {"option", '\0', "K=V", "An option for the plugin", true},
      {"restart",
       '\0',
       "TYPE",
       "When an ended instance is started again",
       false,
       {"permanent", "transient", "temporary"}},
      {"group", '\0', "NAME", "Join this group of the configuration"},
      {"intensity", '\0', "N", "Restarts allowed in the period (3); one more quarantines"},
      {"period", '\0', "TIME", "The period that restarts are counted in (30s)"},
      {"backoff-first", '\0', "TIME", "What the second restart in a row waits (100ms)"},
      {"backoff-max", '\0', "TIME", "What a restart waits at most (30s)"},
      {"backoff-stable", '\0', "TIME", "Ready for this long, the waits begin anew (60s)"},
      {"description", '\0', "TEXT", "A note for people"},
  };
}

std::vector<flag_spec> life_flags() {
  return {
      {"lazy", '\0', "", "Start with the first call, not with the mount"},
      {"start-max", '\0', "TIME", "From the process to ready; longer is a failed start"},
      {"idle-stop", '\0', "TIME", "Stop after this long without a call; the next one starts it"},
      {"ping-every", '\0', "TIME", "How often it is asked whether it lives (10s)"},
      {"ping-wait", '\0', "TIME", "Killed and replaced when it has not answered by then (20s)"},
      {"call-age-max", '\0', "TIME", "The same when a call in flight is older"},
      {"lifetime", '\0', "TIME", "Replaced as by `reload` after this long"},
      {"calls-max", '\0', "N", "The same after so many calls"},
      {"handover",
       '\0',
       "HOW",
       "How `reload` replaces it: beside the old one, or after it",
       false,
       {"overlap", "stop-first"}},
  };
}

std::vector<flag_spec> call_flags() {
  return {
      {"in-flight", '\0', "N", "Calls under way at most; more are refused"},
      {"waiting", '\0', "N", "Calls that wait for a start at most"},
      {"wait-max", '\0', "TIME", "How long they wait"},
      {"call-max", '\0', "TIME", "How long a call may take"},
      {"breaker", '\0', "N", "So many calls in a row without an answer stop calls (10; 0: off)"},
      {"breaker-open", '\0', "TIME", "Stopped for this long, then one is let through (15s)"},
      {"breaker-open-max", '\0', "TIME", "Twice as long when it fails, up to this (5m)"},
  };
}

std::vector<flag_spec> threshold_flags() {
  return {{"threshold", '\0', "NAME=N",
           "Act on what it uses: {rss,cpu,threads,fds}-{warn,restart,quarantine}", true}};
}

}  // namespace

std::vector<flag_spec> confinement_flags() {
  return {
      {"profile", '\0', "NAME", "What it is confined by: strict, interpreter, ..."},
      {"waive", '\0', "WALL", "Start it although this wall is missing, as in cg.cpu", true},
      {"limit", '\0', "NAME=N", "What it may use, as in memory=256M, tasks=16, fds=64", true},
      {"grant", '\0', "WHAT", "What it may reach: read-dir:PATH, net:HOST:PORT, ...", true},
  };
}

void fill_confinement(schema::Confinement::Builder to, const invocation& command) {
  set_words(to, command);
  const auto limits = amounts_of(command, "limit", nullptr);
  write_amounts(limits, to.initLimits(size_of(limits)));
}

std::vector<flag_spec> mount_flags() {
  std::vector<flag_spec> all = spec_flags();
  for (auto& flag : life_flags()) all.push_back(std::move(flag));
  for (auto& flag : call_flags()) all.push_back(std::move(flag));
  for (auto& flag : confinement_flags()) all.push_back(std::move(flag));
  for (auto& flag : threshold_flags()) all.push_back(std::move(flag));
  return all;
}

std::vector<flag_spec> tune_flags() {
  auto all = mount_flags();
  std::erase_if(all, [](const flag_spec& flag) { return flag.name == "group"; });
  const auto after = [&all](std::string_view name, flag_spec flag) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [name](const flag_spec& each) { return each.name == name; });
    all.insert(found + 1, std::move(flag));
  };
  after("option", {"unset-option", '\0', "K", "This option is set no more", true});
  after("unset-option",
        {"version", '\0', "V", "Of the release to run from the next reload on; '': the highest"});
  after("lazy", {"eager", '\0', "", "Start with the mount again"});
  all.push_back({"reload", '\0', "", "Replace the process now, so that it has the options too"});
  return all;
}

void fill_mount_spec(schema::MountSpec::Builder spec, const invocation& command) {
  spec.setPath(command.arguments[0].c_str());
  const auto plugin = parse_release_name(command.arguments[1]);
  spec.setKind(plugin.kind.c_str());
  spec.setPlugin(plugin.name.c_str());
  spec.setVersion(plugin.version.c_str());
  spec.setDescription(command.value("description").c_str());
  spec.setRestart(restart_type(command.value("restart")));
  spec.setGroup(command.value("group").c_str());
  set_options(spec, command.values("option"));
  const rule_flags flags(command);
  if (concerns_supervision(flags)) change_supervision(spec.initSupervision(), flags);
  if (concerns_life(flags)) change_life(spec.initLife(), command, flags);
  if (concerns_calls(flags)) change_calls(spec.initCalls(), flags);
  if (concerns_confinement(flags)) fill_confinement(spec.initConfinement(), command);
  if (command.has("threshold")) {
    const auto thresholds = amounts_of(command, "threshold", nullptr);
    write_amounts(thresholds, spec.initThresholds(size_of(thresholds)));
  }
}

void fill_tune(schema::TuneRequest::Builder request, const invocation& command,
               schema::MountStatus::Reader now) {
  request.setPath(command.arguments[0].c_str());
  request.setReload(command.has("reload"));
  auto spec = request.initSpec();
  std::vector<const char*> fields;
  if (command.has("option")) {
    set_options(spec, command.values("option"));
    fields.push_back("options");
  }
  if (command.has("version")) {
    spec.setVersion(command.value("version").c_str());
    fields.push_back("version");
  }
  if (command.has("description")) {
    spec.setDescription(command.value("description").c_str());
    fields.push_back("description");
  }
  if (command.has("restart")) {
    spec.setRestart(restart_type(command.value("restart")));
    fields.push_back("restart");
  }
  const rule_flags flags(command);
  if (concerns_supervision(flags)) {
    spec.setSupervision(now.getSupervision());
    change_supervision(spec.getSupervision(), flags);
    fields.push_back("supervision");
  }
  if (concerns_life(flags)) {
    spec.setLife(now.getLife());
    change_life(spec.getLife(), command, flags);
    fields.push_back("life");
  }
  if (concerns_calls(flags)) {
    spec.setCalls(now.getCalls());
    change_calls(spec.getCalls(), flags);
    fields.push_back("calls");
  }
  change_confinement(spec, command, now, fields);
  auto names = request.initFields(static_cast<capnp::uint>(fields.size()));
  for (capnp::uint i = 0; i < names.size(); ++i) names.set(i, fields[i]);
  const auto unset = command.values("unset-option");
  auto gone = request.initUnset(static_cast<capnp::uint>(unset.size()));
  for (capnp::uint i = 0; i < gone.size(); ++i) gone.set(i, unset[i].c_str());
  if (fields.empty() && unset.empty() && !command.has("reload"))
    throw usage("there is nothing to tune", "bulkhead help tune");
}

}  // namespace bulkhead::cli
