// SPDX-License-Identifier: Apache-2.0
//
// Commands that look on: logs, events, crash reports, limits, versions. Following asks again every
// `follow_pause_ms`; the broker has no push for them in protocol 1.
#include <fmt/format.h>

#include <limits>

#include "schema/wire/enum_word.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/status_text.hpp"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t follow_pause_ms = 200;
constexpr std::uint64_t log_lines_default = 100;
constexpr std::uint64_t page_max = 1000;  // of the contract

std::string log_text(schema::LogLine::Reader line) {
  return fmt::format("{}  {:<3} {:<6}  {:<5}  {}\n", utc_time(line.getUnixMs()),
                     line.getGeneration(), wire::enum_word(line.getSource()),
                     wire::enum_word(line.getLevel()), wire::escape_line(line.getText().cStr()));
}

std::string event_text(schema::Event::Reader event) {
  const std::string generation =
      event.getGeneration() == 0 ? "-" : std::to_string(event.getGeneration());
  return fmt::format("{:>5}  {}  {:<12}  {:<3}  {:<11}  {}\n", event.getNumber(),
                     utc_time(event.getUnixMs()), wire::escape_line(event.getMount().cStr()),
                     generation, wire::escape_line(event.getName().cStr()),
                     wire::escape_line(event.getReason().cStr()));
}

/// Prints a page: as text; as a record of its own each when following; else into `all`.
template <typename List, typename ToText>
void show_page(environment& in, List items, bool follow, std::string_view key, datum& all,
               ToText to_text) {
  for (auto item : items) {
    if (!in.out.json()) {
      in.out.text(to_text(item));
    } else if (follow) {
      datum record = datum::of_record();
      record.add(std::string(key), read_contract(item));
      in.out.record(record);
    } else {
      all.items.push_back(read_contract(item));
    }
  }
}

void show_all(environment& in, std::string_view key, datum all, std::uint64_t next) {
  datum record = datum::of_record();
  record.add(std::string(key), std::move(all));
  record.add("next", datum::of_uint(next));
  in.out.record(record);
}

kj::Promise<capnp::Response<schema::Admin::EventsResults>> ask_events(environment& in,
                                                                      std::uint64_t after,
                                                                      std::uint64_t limit) {
  auto request = in.broker.admin().eventsRequest();
  request.setAfter(after);
  request.setLimit(static_cast<std::uint32_t>(limit));
  return request.send().dropPipeline();
}

/// `after`, when the broker has counted that far; 0 when it was started anew since.
std::uint64_t known_event(environment& in, std::uint64_t after) {
  if (after == 0 || in.wait(ask_events(in, after - 1, 1)).getEvents().size() > 0) return after;
  in.out.note(fmt::format(
      "the broker has no event {} yet: it was started anew, its events follow from the first",
      after));
  return 0;
}

/// Events are numbered without holes; what is missing was forgotten by the broker.
void tell_gap(environment& in, std::uint64_t after, std::uint64_t first) {
  if (first > after + 1) in.out.note(fmt::format("{} events are gone", first - after - 1));
}

}  // namespace

exit_code run_logs(environment& in, const invocation& command) {
  const bool follow = command.has("follow");
  std::uint64_t lines = log_lines_default;
  if (command.has("lines")) lines = parse_count("lines", command.value("lines"), 1, page_max);
  std::uint64_t after = 0;
  datum all = datum::of_list();
  while (true) {
    auto request = in.broker.admin().logsRequest();
    request.setPath(command.arguments[0].c_str());
    request.setLines(static_cast<std::uint32_t>(lines));
    request.setAfter(after);
    const auto answer = in.wait(request.send().dropPipeline());
    show_page(in, answer.getLines(), follow, "line", all, log_text);
    after = answer.getNext();
    if (!follow && answer.getLines().size() == 0) in.out.note("the log is empty");
    if (!follow) break;
    lines = page_max;
    in.pause(follow_pause_ms);
  }
  if (in.out.json()) show_all(in, "lines", std::move(all), after);
  return exit_code::done;
}

exit_code run_events(environment& in, const invocation& command) {
  const bool follow = command.has("follow");
  std::uint64_t after = 0;
  if (command.has("since")) {
    after =
        parse_count("since", command.value("since"), 0, std::numeric_limits<std::uint64_t>::max());
    after = known_event(in, after);
  }
  datum all = datum::of_list();
  bool goes_on = command.has("since");
  while (true) {
    const auto answer = in.wait(ask_events(in, after, page_max));
    const auto events = answer.getEvents();
    if (goes_on && events.size() > 0) tell_gap(in, after, events[0].getNumber());
    show_page(in, events, follow, "event", all, event_text);
    after = answer.getNext();
    goes_on = true;
    if (events.size() > 0) continue;
    if (!follow) break;
    in.pause(follow_pause_ms);
  }
  if (in.out.json()) show_all(in, "events", std::move(all), after);
  return exit_code::done;
}

exit_code run_limits(environment& in, const invocation&) {
  const auto answer = in.wait(in.broker.admin().limitsRequest().send().dropPipeline());
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto limit : answer.getLimits()) list.items.push_back(read_contract(limit));
    datum record = datum::of_record();
    record.add("limits", std::move(list));
    in.out.record(record);
    return exit_code::done;
  }
  table rows({"LIMIT", "VALUE", "UNIT", "AT THE LIMIT"});
  for (auto limit : answer.getLimits()) {
    rows.add({limit.getName().cStr(), std::to_string(limit.getValue()), limit.getUnit().cStr(),
              limit.getOutcome().cStr()});
  }
  in.out.text(rows.render(in.out.colour()));
  return exit_code::done;
}

exit_code run_version(environment& in, const invocation&) {
  datum broker;
  std::string broker_line;
  try {
    const auto answer = in.wait(in.broker.gateway().versionRequest().send().dropPipeline());
    broker = datum::of_record();
    broker.add("version", datum::of_text(answer.getVersion().cStr()));
    broker.add("protocol_min", datum::of_uint(answer.getProtocolMin()));
    broker.add("protocol_max", datum::of_uint(answer.getProtocolMax()));
    broker_line = fmt::format("bulkheadd {}, protocol {} to {}\n",
                              wire::escape_line(answer.getVersion().cStr()),
                              answer.getProtocolMin(), answer.getProtocolMax());
  } catch (const failure& error) {
    if (error.code != exit_code::unreachable) throw;
    in.out.note(error.what());  // this program has a version without a broker
  }
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("version", datum::of_text(BULKHEAD_VERSION));
    record.add("broker", std::move(broker));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("bulkhead {}\n{}", BULKHEAD_VERSION, broker_line));
  }
  return exit_code::done;
}

}  // namespace bulkhead::cli
