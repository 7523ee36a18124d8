// SPDX-License-Identifier: Apache-2.0
//
// The files of minisign: what can be parsed is printed with the same meaning, and all else is
// refused with words.
#include <string>
#include <string_view>

#include "broker/trust/minisign.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::trust;
using bulkhead::fuzz::require;

namespace {

template <class Attempt>
void or_refusal(const Attempt& attempt) {
  try {
    attempt();
  } catch (const refusal& problem) {
    require(*problem.what() != '\0', "a refusal says why");
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  or_refusal([&] {
    const auto blocks = parse_signatures(text);
    require(!blocks.empty() && blocks.size() <= signature_blocks_max, "one signature or some");
    std::string printed;
    for (const auto& each : blocks) printed += print_signature(each);
    require(printed == text, "signatures are printed as they were read");
  });
  or_refusal([&] {
    const auto key = parse_public_key(text);
    require(parse_public_key(print_public_key(key)).hint == key.hint, "a key is read as printed");
  });
  or_refusal([&] {
    const auto key = parse_secret_key(text);
    require(parse_secret_key(print_secret_key(key)).hint == key.hint, "a key is read as printed");
  });
  return 0;
}
