// SPDX-License-Identifier: Apache-2.0
#pragma once

// The report of an instance's end: what an operator reads, and what every call that it took along
// fails with. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "actors/instance_messages.hpp"
#include "schema/error.capnp.h"

namespace bulkhead {

inline constexpr std::size_t crash_last_lines_max = 10;
inline constexpr std::size_t crash_calls_max = 20;

/// A call that was in flight when its instance ended.
struct lost_call {
  std::string method;
  std::uint64_t age_ms = 0;
  std::string outcome;  // a kind of error
};

struct crash_report {
  std::string mount;
  std::string uuid;
  std::string plugin;
  std::string plugin_version;  // empty when it never introduced itself
  std::uint64_t generation = 0;
  instance_end end;
  std::uint32_t calls_in_flight = 0;
  std::vector<lost_call> calls;  // the oldest of them, at most crash_calls_max
  std::vector<std::string> last_lines;
  std::string next;  // what the supervisor does: "restarts at once", ...
  std::int64_t at_unix_ms = 0;
};

/// What ended an instance, as in "was killed by SIGKILL".
std::string cause_sentence(const instance_end& end);

/// One line: "plugin 'kv' at 'kv/' was killed by SIGKILL".
std::string describe_end(const crash_report& report);

/// The whole text of the error (shape of schema/error.capnp) that calls in flight end with.
std::string crash_text(const crash_report& report);

void write_crash(const crash_report& from, schema::CrashReport::Builder to);

}  // namespace bulkhead
