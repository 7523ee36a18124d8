// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/wire_fault.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "schema/wire/error_text.hpp"

namespace bulkhead::wire {

namespace {

kj::Exception violation(std::string what, std::string why, const char* fault) {
  error_info info;
  info.kind = schema::ErrorKind::PROTOCOL_VIOLATION;
  info.what = std::move(what);
  info.why = std::move(why);
  info.detail = {{"fault", fault}};
  return make_exception(info);
}

kj::Exception over_limit(const char* what, const budget_breach& breach) {
  error_info info;
  info.kind = schema::ErrorKind::PROTOCOL_VIOLATION;
  info.what = what;
  info.why =
      fmt::format("{}: {} {}, {} allowed", breach.limit, breach.count, breach.unit, breach.allowed);
  info.detail = {{"fault", breach.limit},
                 {"limit", breach.limit},
                 {"unit", breach.unit},
                 {"count", std::to_string(breach.count)},
                 {"allowed", std::to_string(breach.allowed)}};
  return make_exception(info);
}

std::optional<std::uint64_t> number_in(const error_info& info, std::string_view key) {
  const auto* text = info.find(key);
  std::uint64_t number = 0;
  if (text == nullptr) return std::nullopt;
  const auto* end = text->data() + text->size();
  const auto read = std::from_chars(text->data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

kj::Exception frame_fault_of(const frame_check& check, const stream_limits& limits) {
  return violation("the other side broke the wire protocol", describe_fault(check, limits),
                   fault_name(check.fault));
}

kj::Exception queue_fault(std::uint64_t bytes, std::uint64_t bytes_max) {
  return over_limit("the other side does not read what it is sent",
                    {"stream_queue_bytes_max", "bytes that would wait for it", bytes, bytes_max});
}

kj::Exception budget_fault(const budget_breach& breach) {
  return over_limit("the other side spent more than it may", breach);
}

kj::Exception calls_fault(std::uint64_t unanswered) {
  return make_exception({schema::ErrorKind::OVERLOADED,
                         "the other side has too many calls to answer",
                         fmt::format("{} are unanswered (plugin_calls_unanswered_max)", unanswered),
                         "wait and repeat; send fewer calls at once",
                         {{"limit", "plugin_calls_unanswered_max"}}});
}

kj::Exception queue_obstacle(std::uint64_t bytes, std::uint64_t bytes_max) {
  return make_exception(
      {schema::ErrorKind::OVERLOADED,
       "the other side does not read as fast as it is called",
       fmt::format("{} bytes wait for it; calls may take half of {} (stream_queue_bytes_max)",
                   bytes, bytes_max),
       "wait and repeat; send less at once",
       {{"limit", "stream_queue_bytes_max"}}});
}

kj::Exception giving_fault(std::uint64_t given, std::uint64_t more, std::uint64_t calls_max) {
  return make_exception(
      {schema::ErrorKind::OVERLOADED,
       "the other side has too many capabilities to be given more",
       fmt::format("it has {}, the call holds {}; calls may bring it to {}, which is half of "
                   "plugin_capabilities_given_max",
                   given, more, calls_max),
       "wait and repeat; give fewer at once",
       {{"limit", "plugin_capabilities_given_max"}}});
}

std::optional<limit_breach> breach_in(const error_info& info) {
  const auto* limit = info.find("limit");
  const auto* unit = info.find("unit");
  const auto count = number_in(info, "count");
  const auto allowed = number_in(info, "allowed");
  if (limit == nullptr || unit == nullptr || !count || !allowed) return std::nullopt;
  return limit_breach{*limit, *unit, *count, *allowed};
}

kj::Exception message_fault(const kj::Exception& problem) {
  constexpr std::size_t text_bytes_max = 200;
  std::string text(problem.getDescription().cStr());
  text.resize(std::min(text.size(), text_bytes_max));
  return violation("the other side broke the wire protocol",
                   "a frame that is no message: " + escape_line(text), "no_message");
}

kj::Exception frame_late(std::uint64_t ms) {
  return over_limit("the other side left a frame unfinished",
                    {"plugin_frame_ms_max", "ms without the end of a frame", ms, ms});
}

kj::Exception write_late(std::uint64_t ms) {
  return over_limit("the other side does not read what it is sent",
                    {"plugin_write_ms_max", "ms for a write that is not done", ms, ms});
}

kj::Exception peer_closed(bool inside_frame) {
  return {kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
          kj::str(inside_frame ? "the other side closed the connection in the middle of a frame"
                               : "the other side closed the connection")};
}

kj::Exception peer_reset() {
  return {kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
          kj::str("the other side closed the connection without reading all that it was sent")};
}

kj::Exception write_failure(int error) {
  return {kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
          kj::str("the other side no longer reads: ", strerrordesc_np(error))};
}

}  // namespace bulkhead::wire
