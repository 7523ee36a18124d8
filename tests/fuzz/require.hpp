// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target expects of the code that it feeds. A broken expectation ends the program like
// any other crash, so that libFuzzer keeps the input, and the replay of the corpus fails.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace bulkhead::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace bulkhead::fuzz
