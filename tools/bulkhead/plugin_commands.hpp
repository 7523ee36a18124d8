// SPDX-License-Identifier: Apache-2.0
//
// The parts of the table of commands that are about the catalog, and about what a broker trusts.
#pragma once

#include <vector>

#include "tools/bulkhead/command_table.hpp"

namespace bulkhead::cli {

std::vector<command_spec> plugin_commands();
std::vector<command_spec> trust_store_commands();

}  // namespace bulkhead::cli
