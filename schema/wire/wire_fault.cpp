// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/wire_fault.hpp"

#include <fmt/format.h>

#include <algorithm>
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

}  // namespace

kj::Exception frame_fault_of(const frame_check& check, const stream_limits& limits) {
  return violation("the other side broke the wire protocol", describe_fault(check, limits),
                   fault_name(check.fault));
}

kj::Exception queue_fault(std::uint64_t bytes, std::uint64_t bytes_max) {
  return violation("the other side does not read what it is sent",
                   fmt::format("{} bytes would wait for it, {} allowed", bytes, bytes_max),
                   "queue");
}

kj::Exception budget_fault(const budget_breach& breach) {
  return violation(
      "the other side spent more than it may",
      fmt::format("{}: {} {}, {} allowed", breach.limit, breach.count, breach.unit, breach.allowed),
      breach.limit);
}

kj::Exception message_fault(const kj::Exception& problem) {
  constexpr std::size_t text_bytes_max = 200;
  std::string text(problem.getDescription().cStr());
  text.resize(std::min(text.size(), text_bytes_max));
  return violation("the other side broke the wire protocol",
                   "a frame that is no message: " + escape_line(text), "no_message");
}

kj::Exception frame_late(std::uint64_t ms) {
  return violation("the other side left a frame unfinished",
                   fmt::format("plugin_frame_ms_max: it was not complete after {} ms", ms),
                   "plugin_frame_ms_max");
}

kj::Exception write_late(std::uint64_t ms, std::uint64_t bytes) {
  return violation(
      "the other side does not read what it is sent",
      fmt::format("plugin_write_ms_max: {} bytes wait for it, a write for {} ms", bytes, ms),
      "plugin_write_ms_max");
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
