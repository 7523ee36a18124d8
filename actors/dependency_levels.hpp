// SPDX-License-Identifier: Apache-2.0
// In which order children start that name each other in `after`.
//
// Who names nobody is of level 0; everybody else is one level above the highest that he names. So a
// level can start at once when the levels below have, and stop at once when those above have. Pure,
// and linear in children and names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/supervision.hpp"

namespace bulkhead {

struct dependency_levels {
  std::vector<std::uint32_t> levels;  // by position in the specs; empty when there is a cycle
  std::vector<std::string> cycle;     // ids, each after the next, the last after the first
};

/// Names that no spec has are passed over: who is not there is not waited for.
dependency_levels levels_of(const std::vector<child_spec>& specs);

}  // namespace bulkhead
