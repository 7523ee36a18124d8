// SPDX-License-Identifier: Apache-2.0
#include "plugins/kv/names.hpp"

#include <fmt/format.h>

#include <ctime>

#include "plugins/kv/kv.hpp"

namespace bulkhead::kv {

std::string record_key(const std::string& path) {
  return "m/" + path;
}
std::string version_key(const std::string& path, std::uint64_t number) {
  return fmt::format("v/{}@{}", path, number);
}

std::string time_text(std::int64_t unix_ms) {
  std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_ms % 1000);
}

void no_secret(const std::string& path) {
  throw sdk::error(sdk::error_kind::NOT_FOUND, fmt::format("there is no secret at '{}'", path), "",
                   "list the folder above it to see what is there");
}

const std::string& checked_path(const sdk::request& what) {
  const auto& path = what.capture("path");
  if (path.size() > secret_path_bytes_max) {
    throw sdk::error(
        sdk::error_kind::INVALID_ARGUMENT, "the path of the secret is too long",
        fmt::format("it has {} bytes of at most {}", path.size(), secret_path_bytes_max));
  }
  return path;
}

sdk::fields describe(const version_info& version) {
  sdk::fields result{{"version", version.number}, {"created", time_text(version.created_ms)}};
  if (version.deleted_ms != 0) result.set("deleted", time_text(version.deleted_ms));
  result.set("destroyed", version.destroyed);
  return result;
}

sdk::fields describe_custom(const key_record& key) {
  sdk::fields result;
  for (const auto& [name, text] : key.custom) result.set(name, text);
  return result;
}

sdk::response with_remarks(const version_change& change) {
  sdk::response answer;
  for (const auto& remark : change.remarks) answer.warn(remark);
  return answer;
}

}  // namespace bulkhead::kv
