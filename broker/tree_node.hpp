// SPDX-License-Identifier: Apache-2.0
#pragma once

// The supervision tree as people see it.

#include <string>
#include <vector>

namespace bulkhead {

struct tree_node {
  std::string name;
  std::string kind;  // "supervisor", "mount", "instance", "worker"
  std::string state;
  std::string detail;
  std::vector<tree_node> children;
};

}  // namespace bulkhead
