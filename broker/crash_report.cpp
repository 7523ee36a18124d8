// SPDX-License-Identifier: Apache-2.0
#include "broker/crash_report.hpp"

#include <fmt/format.h>

#include "schema/wire/error_text.hpp"

namespace bulkhead {

std::string cause_sentence(const instance_end& end) {
  switch (end.cause) {
    case end_cause::process:
      if (end.out_of_memory)
        return fmt::format("was killed because its memory was used up{}",
                           end.during_start ? ", while it started" : "");
      return end.during_start ? end.why : sentence(end.status);
    case end_cause::start_failed:
      return end.why;
    case end_cause::violation:
      return "broke the protocol and was ended: " + end.why;
    case end_cause::link_closed:
      return "closed its link and lived on, and was ended";
    case end_cause::unresponsive:
      return "hung and was killed: it " + end.why;
    case end_cause::over_limit:
      return "was ended: it " + end.why;
    case end_cause::stopped:
      return "was stopped";
    case end_cause::stop_killed:
      return "did not stop in time and was killed";
    case end_cause::unknown:
    case end_cause::none:
      break;
  }
  return "ended; its status could not be had in time";
}

std::string describe_end(const crash_report& report) {
  return fmt::format("plugin '{}' at '{}' {}", report.plugin, report.mount,
                     cause_sentence(report.end));
}

std::string crash_text(const crash_report& report) {
  wire::error_info info;
  const auto cause = report.end.cause;
  info.kind = cause == end_cause::stopped || cause == end_cause::stop_killed
                  ? schema::ErrorKind::PLUGIN_UNAVAILABLE
                  : schema::ErrorKind::PLUGIN_CRASHED;
  info.what = describe_end(report);
  info.why = fmt::format(
      "instance {} had run for {} ms; {}", report.generation, report.end.uptime_ms,
      report.last_lines.empty() ? "it left no log line"
                                : fmt::format("its last log line: {}", report.last_lines.back()));
  info.remedy = fmt::format("bulkhead why {}", report.mount);
  info.detail = {{"mount", report.mount},
                 {"generation", std::to_string(report.generation)},
                 {"uptime_ms", std::to_string(report.end.uptime_ms)},
                 {"next", report.next}};
  if (report.end.status.how == exit_status::kind::signaled)
    info.detail.emplace_back("signal", std::to_string(report.end.status.value));
  if (report.end.status.how == exit_status::kind::exited)
    info.detail.emplace_back("status", std::to_string(report.end.status.value));
  return wire::format_error(info);
}

void write_crash(const crash_report& from, schema::CrashReport::Builder to) {
  to.setMount(from.mount.c_str());
  to.setUuid(from.uuid.c_str());
  to.setGeneration(from.generation);
  to.setPlugin(from.plugin.c_str());
  auto cause = to.initCause();
  switch (from.end.cause) {
    case end_cause::process:
      if (from.end.during_start)
        cause.setStartFailed(from.end.why.c_str());
      else if (from.end.status.how == exit_status::kind::exited)
        cause.setExited(from.end.status.value);
      else if (from.end.status.how == exit_status::kind::signaled)
        cause.setSignaled(from.end.status.value);
      else
        cause.setUnknown();
      break;
    case end_cause::start_failed:
      cause.setStartFailed(from.end.why.c_str());
      break;
    case end_cause::violation:
      cause.setViolation(from.end.why.c_str());
      break;
    case end_cause::link_closed:
      cause.setLinkClosed();
      break;
    case end_cause::unresponsive:
      cause.setUnresponsive(from.end.why.c_str());
      break;
    case end_cause::over_limit:
      cause.setOverLimit(from.end.why.c_str());
      break;
    case end_cause::stopped:
      cause.setStopped();
      break;
    case end_cause::stop_killed:
      cause.setStopKilled();
      break;
    case end_cause::unknown:
    case end_cause::none:
      cause.setUnknown();
      break;
  }
  if (from.end.breach) {
    auto breach = to.initBreach();
    breach.setLimit(from.end.breach->limit.c_str());
    breach.setUnit(from.end.breach->unit.c_str());
    breach.setCount(from.end.breach->count);
    breach.setAllowed(from.end.breach->allowed);
  }
  to.setCoreDumped(from.end.status.core_dumped);
  to.setOutOfMemory(from.end.out_of_memory);
  to.setRemedy(from.end.remedy.c_str());
  to.setUptimeMs(from.end.uptime_ms);
  to.setCallsInFlight(from.calls_in_flight);
  auto lines = to.initLastLines(static_cast<unsigned>(from.last_lines.size()));
  for (unsigned i = 0; i < lines.size(); ++i) lines.set(i, from.last_lines[i].c_str());
  to.setNext(from.next.c_str());
  to.setAtUnixMs(from.at_unix_ms);
  to.setPluginVersion(from.plugin_version.c_str());
  auto calls = to.initCalls(static_cast<unsigned>(from.calls.size()));
  for (unsigned i = 0; i < calls.size(); ++i) {
    calls[i].setMethod(from.calls[i].method.c_str());
    calls[i].setAgeMs(from.calls[i].age_ms);
    calls[i].setOutcome(from.calls[i].outcome.c_str());
  }
}

}  // namespace bulkhead
