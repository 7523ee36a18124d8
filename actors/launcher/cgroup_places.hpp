// SPDX-License-Identifier: Apache-2.0
// Where in the file system the control groups are that this process is in.
#pragma once

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {

struct group_place {
  path_text own;  // the group of this process
  path_text top;  // of what is mounted of the hierarchy
};

/// Of version 2, into an empty `found`. 0, or errno: ENOENT when it is mounted nowhere.
int unified_place(group_place& found);

/// Of a controller of version 1, as in "memory". Likewise.
int old_place(std::string_view controller, group_place& found);

}  // namespace bulkhead::launcher
