// SPDX-License-Identifier: Apache-2.0
// Bars that a clock judges. The machine may have other work, and then any one reading is too long;
// code that has become slow is too long in every one of them. So a bar fails only when each of
// several tries does. Some bars are looser still unless BULKHEAD_STRICT=1 says that the machine is
// quiet: the test that has one says by how much.
#pragma once

#include <cstdlib>
#include <string_view>

namespace bars {

constexpr int tries_max = 5;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double slow_factor = 4;  // of what a sanitizer makes slower
#else
constexpr double slow_factor = 1;
#endif

/// Whether `holds` says so in one of at most `tries_max` tries.
template <class Holds>
bool met(const Holds& holds) {
  for (int i = 0; i < tries_max; ++i)
    if (holds()) return true;
  return false;
}

inline bool strict() {
  const char* const value = std::getenv("BULKHEAD_STRICT");
  return value != nullptr && std::string_view{value} == "1";
}

}  // namespace bars
