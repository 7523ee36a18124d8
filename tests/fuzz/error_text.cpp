// SPDX-License-Identifier: Apache-2.0
//
// The text of an error that a plugin wrote: read, cleaned, and read again it says the same, within
// its limit, with a kind that a plugin may use and nothing that acts on a terminal.
#include <string>

#include "schema/wire/error_text.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::wire;
using bulkhead::fuzz::require;

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const kj::Exception said(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                           kj::heapString(reinterpret_cast<const char*>(data), size));
  const auto clean = clean_exception(said, 0);
  const auto text = clean.getDescription();
  require(text.size() <= error_text_bytes_max, "the text is cut");
  for (const char each : text) {
    require(each == '\n' || static_cast<unsigned char>(each) >= ' ', "the text is escaped");
  }
  const auto info = parse_error(clean, 0);
  require(plugin_may_use(info.kind), "the kind is one of a plugin's");
  const auto again = clean_exception(clean, 0);
  require(again.getDescription() == text, "what is clean stays as it is");
  return 0;
}
