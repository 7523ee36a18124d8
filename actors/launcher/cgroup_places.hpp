// SPDX-License-Identifier: Apache-2.0
// Where in the file system the control groups are that this process is in.
#pragma once

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {

/// Of version 2. 0, or errno: ENOENT when it is mounted nowhere.
int unified_place(path_text& place);

/// Of a controller of version 1, as in "memory". Likewise.
int old_place(std::string_view controller, path_text& place);

}  // namespace bulkhead::launcher
