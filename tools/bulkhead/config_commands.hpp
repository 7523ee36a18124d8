// SPDX-License-Identifier: Apache-2.0
//
// The part of the table of commands that is about the configuration file.
#pragma once

#include <vector>

#include "tools/bulkhead/command_table.hpp"

namespace bulkhead::cli {

std::vector<command_spec> config_commands();

}  // namespace bulkhead::cli
