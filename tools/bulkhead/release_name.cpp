// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/release_name.hpp"

#include <fmt/format.h>

#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {

release_name parse_release_name(const std::string& text) {
  release_name result;
  const auto slash = text.find('/');
  if (slash != std::string::npos) result.kind = text.substr(0, slash);
  auto rest = slash == std::string::npos ? text : text.substr(slash + 1);
  const auto at = rest.rfind('@');
  if (at != std::string::npos) {
    result.version = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (result.version.empty())
      throw usage(fmt::format("'{}' names no version", wire::escape_line(text)), "as in kv@1.2.0");
  }
  result.name = rest;
  return result;
}

}  // namespace bulkhead::cli
