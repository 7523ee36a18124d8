// SPDX-License-Identifier: Apache-2.0
//
// A manifest has one spelling: what can be parsed is printed as it was, and all else is refused
// with words.
#include <string>
#include <string_view>

#include "broker/trust/manifest.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::trust;
using bulkhead::fuzz::require;

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto read = parse_manifest(text);
    require(print_manifest(read) == text, "a manifest is printed as it was read");
  } catch (const refusal& problem) {
    require(!std::string_view(problem.what()).empty(), "a refusal says why");
  }
  return 0;
}
