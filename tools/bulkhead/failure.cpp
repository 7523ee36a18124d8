// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/failure.hpp"

#include <fmt/format.h>

namespace bulkhead::cli {

using schema::ErrorKind;

failure::failure(exit_code code, std::string what, std::string why, std::string remedy)
    : code(code), why(std::move(why)), remedy(std::move(remedy)), what_(std::move(what)) {}

failure::failure(const kj::Exception& exception) {
  const wire::error_info info = wire::parse_error(exception);
  code = code_of(info);
  what_ = wire::escape_line(info.what);
  why = wire::escape_line(info.why);
  remedy = wire::escape_line(info.remedy);
  from_plugin = info.from_plugin();
  if (from_plugin) what_ = "the plugin says: " + what_;
}

std::string failure::text(const std::string& prefix) const {
  std::string text = fmt::format("{}error: {}\n", prefix, what_);
  if (!why.empty()) text += fmt::format("  why: {}\n", why);
  if (!remedy.empty()) text += fmt::format("  try: {}\n", remedy);
  return text;
}

failure usage(std::string what, std::string remedy) {
  return failure(exit_code::usage, std::move(what), {}, std::move(remedy));
}

exit_code code_of(const wire::error_info& info) {
  switch (info.kind) {
    case ErrorKind::NOT_FOUND:
    case ErrorKind::UNMOUNTED:
      return exit_code::no_target;
    case ErrorKind::PLUGIN_UNAVAILABLE:
    case ErrorKind::QUARANTINED:
      return exit_code::not_running;
    case ErrorKind::FAILED_PRECONDITION:
      // The broker says it of a mount in the wrong state; a plugin, of anything.
      return info.from_plugin() ? exit_code::failed : exit_code::not_running;
    case ErrorKind::PERMISSION_DENIED:
      return exit_code::not_permitted;
    case ErrorKind::DEADLINE_EXCEEDED:
      return exit_code::timed_out;
    case ErrorKind::BROKER_STOPPING:
      return exit_code::unreachable;
    case ErrorKind::UNKNOWN:
    case ErrorKind::INVALID_ARGUMENT:
    case ErrorKind::ALREADY_EXISTS:
    case ErrorKind::CONFLICT:
    case ErrorKind::UNSUPPORTED:
    case ErrorKind::OVERLOADED:
    case ErrorKind::PLUGIN_ERROR:
    case ErrorKind::PLUGIN_CRASHED:
    case ErrorKind::START_FAILED:
    case ErrorKind::STORAGE:
    case ErrorKind::PROTOCOL_VIOLATION:
    case ErrorKind::INTERNAL:
      break;
  }
  return exit_code::failed;
}

}  // namespace bulkhead::cli
