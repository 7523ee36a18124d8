// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/error.hpp"

#include <utility>

#include "schema/wire/suggest.hpp"

namespace bulkhead::sdk {

namespace {

kj::String text_of(error_kind kind, std::string what, std::string why, std::string remedy) {
  wire::error_info info;
  info.kind = kind;
  info.what = std::move(what);
  info.why = std::move(why);
  info.remedy = std::move(remedy);
  return kj::str(wire::format_error(info));
}

}  // namespace

error::error(error_kind kind, std::string what, std::string why, std::string remedy)
    : kj::Exception(wire::kind_type(kind), "plugin", 0,
                    text_of(kind, std::move(what), std::move(why), std::move(remedy))),
      kind_(kind) {}

error_kind kind_of(const kj::Exception& exception) {
  // From the plugin's side of the link one hop is the broker, which may use every kind.
  return wire::parse_error(exception).kind;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const auto best = wire::nearest(name, candidates);
  return best.empty() ? "" : " (did you mean '" + best + "'?)";
}

}  // namespace bulkhead::sdk
