// SPDX-License-Identifier: Apache-2.0
#pragma once

// What lies beside a plugin's file and vouches for it: FILE.manifest and FILE.manifest.minisig.
//
// They are read beneath the plugin directory, through no symbolic link, never from a FIFO or a
// device, and no more of them than their formats allow. Who may have written them does not matter:
// their content is worth what its signatures are.

#include <string>

namespace bulkhead {

struct companion_files {
  std::string manifest;    // empty: there is none
  std::string signatures;  // likewise
  std::string problem;     // not empty: why one of them cannot be used, one line
};

/// Blocks on the disk. Never throws.
companion_files read_companions(const std::string& directory, const std::string& command);

}  // namespace bulkhead
