// SPDX-License-Identifier: Apache-2.0
#include "broker/convert.hpp"

#include <algorithm>

#include "actors/wipe.hpp"
#include "broker/confinement_desk.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

template <class... Cases>
struct overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
overloaded(Cases...) -> overloaded<Cases...>;

bulkhead::bytes read_bytes(capnp::Data::Reader from) {
  return {std::string(reinterpret_cast<const char*>(from.begin()), from.size())};
}

}  // namespace

std::string text(capnp::Text::Reader from) {
  return {from.begin(), from.size()};
}

void write_value(const value& from, schema::Value::Builder to) {
  to.setSecret(from.secret);
  std::visit(
      overloaded{[&](std::monostate) { to.setNull(); }, [&](bool content) { to.setBool(content); },
                 [&](std::int64_t content) { to.setInt(content); },
                 [&](double content) { to.setFloat(content); },
                 [&](const std::string& content) {
                   to.setText(capnp::Text::Reader(content.c_str(), content.size()));
                 },
                 [&](const bytes& content) {
                   to.setData(
                       kj::arrayPtr(reinterpret_cast<const kj::byte*>(content.content.data()),
                                    content.content.size()));
                 },
                 [&](const value::list& content) {
                   auto list = to.initList(static_cast<unsigned>(content.size()));
                   for (unsigned i = 0; i < list.size(); ++i) write_value(content[i], list[i]);
                 },
                 [&](const value::map& content) {
                   write_fields(content, to.initMap(static_cast<unsigned>(content.size())));
                 }},
      from.content);
}

void write_fields(const fields& from, capnp::List<schema::Field>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setName(from[i].name.c_str());
    write_value(from[i].value, to[i].initValue());
  }
}

value read_value(schema::Value::Reader from, unsigned depth) {
  value result;
  result.secret = from.getSecret();
  if (depth >= value_depth_max) return result;
  switch (from.which()) {
    case schema::Value::NULL_:
      break;
    case schema::Value::TEXT:
      result.content = text(from.getText());
      break;
    case schema::Value::BOOL:
      result.content = from.getBool();
      break;
    case schema::Value::INT:
      result.content = std::int64_t{from.getInt()};
      break;
    case schema::Value::FLOAT:
      result.content = from.getFloat();
      break;
    case schema::Value::DATA:
      result.content = read_bytes(from.getData());
      break;
    case schema::Value::LIST: {
      value::list list;
      for (auto each : from.getList()) list.push_back(read_value(each, depth + 1));
      result.content = std::move(list);
      break;
    }
    case schema::Value::MAP:
      result.content = read_fields(from.getMap(), depth + 1);
      break;
  }
  return result;
}

fields read_fields(capnp::List<schema::Field>::Reader from, unsigned depth) {
  fields result;
  result.reserve(from.size());
  for (auto each : from)
    result.push_back({text(each.getName()), read_value(each.getValue(), depth)});
  return result;
}

response read_response(schema::Response::Reader from) {
  response result;
  result.fields = read_fields(from.getFields());
  for (auto each : from.getKeys()) result.keys.push_back(text(each));
  for (auto each : from.getWarnings()) result.warnings.push_back(text(each));
  result.help = text(from.getHelp());
  return result;
}

namespace {

std::uint32_t ms32(std::chrono::milliseconds span) {
  return static_cast<std::uint32_t>(span.count());
}

life_rules read_life(schema::Life::Reader from) {
  life_rules life;
  life.start = static_cast<start_mode>(from.getStart());
  life.idle_stop = std::chrono::milliseconds(from.getIdleStopMs());
  life.ping_every = std::chrono::milliseconds(from.getPingEveryMs());
  life.ping_wait = std::chrono::milliseconds(from.getPingWaitMs());
  life.call_age_max = std::chrono::milliseconds(from.getCallAgeMaxMs());
  // A number that no duration holds reads as the longest that one does; the rules refuse it.
  constexpr std::uint64_t most = 1'000'000'000'000;
  life.lifetime_max = std::chrono::milliseconds(std::min(from.getLifetimeMaxMs(), most));
  life.calls_max = from.getCallsMax();
  life.handover = static_cast<handover>(from.getHandover());
  life.start_max = std::chrono::milliseconds(from.getStartMaxMs());
  return life;
}

call_rules read_calls(schema::CallRules::Reader from) {
  call_rules calls;
  calls.in_flight_max = from.getInFlightMax();
  calls.waiting_max = from.getWaitingMax();
  calls.wait_max = std::chrono::milliseconds(from.getWaitMaxMs());
  calls.call_max = std::chrono::milliseconds(from.getCallMaxMs());
  calls.breaker_failures = from.getBreakerFailures();
  calls.breaker_open = std::chrono::milliseconds(from.getBreakerOpenMs());
  calls.breaker_open_max = std::chrono::milliseconds(from.getBreakerOpenMaxMs());
  return calls;
}

}  // namespace

option::~option() {
  wipe(value);
}

tune_request::~tune_request() {
  if (!grants) return;
  for (auto& each : *grants) wipe(each);
}

mount_spec read_spec(schema::MountSpec::Reader from) {
  mount_spec spec;
  spec.path = text(from.getPath());
  spec.plugin = text(from.getPlugin());
  spec.description = text(from.getDescription());
  for (auto each : from.getOptions())
    spec.options.push_back({text(each.getName()), text(each.getValue())});
  spec.restart = static_cast<restart_rule>(from.getRestart());
  // Without one, the reader of a null struct answers with the schema's defaults, which are the
  // broker's.
  const auto rules = from.getSupervision();
  spec.supervision.intensity = rules.getIntensity();
  spec.supervision.period = std::chrono::milliseconds(rules.getPeriodMs());
  spec.supervision.backoff_first = std::chrono::milliseconds(rules.getBackoffFirstMs());
  spec.supervision.backoff_max = std::chrono::milliseconds(rules.getBackoffMaxMs());
  spec.supervision.backoff_stable = std::chrono::milliseconds(rules.getBackoffStableMs());
  spec.life = read_life(from.getLife());
  spec.calls = read_calls(from.getCalls());
  spec.group = text(from.getGroup());
  spec.version = text(from.getVersion());
  spec.kind = text(from.getKind());
  spec.confinement = read_confinement(from.getConfinement());
  spec.thresholds = read_numbers(from.getThresholds());
  return spec;
}

void write_life(const life_rules& from, schema::Life::Builder to) {
  to.setStart(static_cast<schema::StartMode>(from.start));
  to.setIdleStopMs(ms32(from.idle_stop));
  to.setPingEveryMs(ms32(from.ping_every));
  to.setPingWaitMs(ms32(from.ping_wait));
  to.setCallAgeMaxMs(ms32(from.call_age_max));
  to.setLifetimeMaxMs(static_cast<std::uint64_t>(from.lifetime_max.count()));
  to.setCallsMax(from.calls_max);
  to.setHandover(static_cast<schema::Handover>(from.handover));
  to.setStartMaxMs(ms32(from.start_max));
}

void write_calls(const call_rules& from, schema::CallRules::Builder to) {
  to.setInFlightMax(from.in_flight_max);
  to.setWaitingMax(from.waiting_max);
  to.setWaitMaxMs(ms32(from.wait_max));
  to.setCallMaxMs(ms32(from.call_max));
  to.setBreakerFailures(from.breaker_failures);
  to.setBreakerOpenMs(ms32(from.breaker_open));
  to.setBreakerOpenMaxMs(ms32(from.breaker_open_max));
}

void write_options(const std::vector<option>& from, capnp::List<schema::Option>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setName(from[i].name.c_str());
    to[i].setValue(from[i].value.c_str());
  }
}

void write_supervision(const restart_limits& from, schema::Supervision::Builder to) {
  to.setIntensity(from.intensity);
  to.setPeriodMs(static_cast<std::uint32_t>(from.period.count()));
  to.setBackoffFirstMs(static_cast<std::uint32_t>(from.backoff_first.count()));
  to.setBackoffMaxMs(static_cast<std::uint32_t>(from.backoff_max.count()));
  to.setBackoffStableMs(static_cast<std::uint32_t>(from.backoff_stable.count()));
}

void write_spec(const mount_spec& from, schema::MountSpec::Builder to) {
  to.setPath(from.path.c_str());
  to.setPlugin(from.plugin.c_str());
  to.setDescription(from.description.c_str());
  write_options(from.options, to.initOptions(static_cast<unsigned>(from.options.size())));
  to.setRestart(static_cast<schema::RestartType>(from.restart));
  write_supervision(from.supervision, to.initSupervision());
  write_life(from.life, to.initLife());
  write_calls(from.calls, to.initCalls());
  to.setGroup(from.group.c_str());
  to.setVersion(from.version.c_str());
  to.setKind(from.kind.c_str());
  if (!(from.confinement == confinement_rules{}))
    write_confinement(from.confinement, to.initConfinement());
  if (!from.thresholds.empty())
    write_numbers(from.thresholds,
                  to.initThresholds(static_cast<unsigned>(from.thresholds.size())));
}

tune_request read_tune(schema::TuneRequest::Reader from) {
  tune_request what;
  what.path = text(from.getPath());
  auto spec = read_spec(from.getSpec());
  for (const auto field : from.getFields()) {
    if (field == "options") {
      what.options = std::move(spec.options);
    } else if (field == "version") {
      what.version = std::move(spec.version);
    } else if (field == "description") {
      what.description = std::move(spec.description);
    } else if (field == "restart") {
      what.restart = spec.restart;
    } else if (field == "supervision") {
      what.supervision = spec.supervision;
    } else if (field == "life") {
      what.life = spec.life;
    } else if (field == "calls") {
      what.calls = spec.calls;
    } else if (field == "profile") {
      what.profile = spec.confinement.profile;
    } else if (field == "waive") {
      what.waive = spec.confinement.waive;
    } else if (field == "limits") {
      what.limits = spec.confinement.limits;
    } else if (field == "grants") {
      what.grants = spec.confinement.grants;
    } else if (field == "thresholds") {
      what.thresholds = spec.thresholds;
    } else {
      kj::throwFatalException(
          exception(error_kind::invalid_argument,
                    "'" + wire::escape_line(text(field)) + "' is nothing that can be tuned",
                    "it is options, version, description, restart, supervision, life, calls, "
                    "profile, waive, limits, grants or thresholds"));
    }
  }
  for (const auto each : from.getUnset()) what.unset_options.push_back(text(each));
  what.reload = from.getReload();
  return what;
}

error to_error(const kj::Exception& from) {
  // Inside the process the broker's own words come without a hop and the plugin's with one.
  auto said = wire::parse_error(from, wire::plugin_hops_at_broker);
  return {static_cast<error_kind>(said.kind), said.what, std::move(said.why),
          std::move(said.remedy)};
}

kj::Exception exception(error_kind kind, std::string what, std::string why, std::string remedy) {
  return wire::make_exception({static_cast<schema::ErrorKind>(kind),
                               std::move(what),
                               std::move(why),
                               std::move(remedy),
                               {}});
}

kj::Exception to_exception(const error& from) {
  return exception(from.kind(), from.what(), from.why(), from.remedy());
}

std::string to_string(error_kind kind) {
  return std::string(wire::kind_name(static_cast<schema::ErrorKind>(kind)));
}

std::string to_string(mount_state state) {
  switch (state) {
    case mount_state::starting:
      return "starting";
    case mount_state::ready:
      return "ready";
    case mount_state::draining:
      return "draining";
    case mount_state::stopped:
      return "stopped";
    case mount_state::backoff:
      return "backoff";
    case mount_state::quarantined:
      return "quarantined";
  }
  return "unknown";
}

}  // namespace bulkhead
