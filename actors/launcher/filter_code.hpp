// SPDX-License-Identifier: Apache-2.0
// The shape of a filter that make_filters has made: instructions, and the places where a start
// fills in its own numbers. A filter without such places (that of an init) names 0 three times.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstddef>

namespace bulkhead::launcher {

template <std::size_t Size>
struct filter_code {
  std::array<sock_filter, Size> code;
  std::size_t once_high;  // upper half of what the sixth argument of execveat must be
  std::size_t once_low;
  std::size_t self;  // the process that tgkill may name
};

}  // namespace bulkhead::launcher
