// SPDX-License-Identifier: Apache-2.0
//
// The files that commands about keys and manifests read and write: small ones, read whole; new
// ones, which replace nothing unless asked to, and then in one step. All throw `failure` with the
// name of the file and the reason of the system.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead::cli {

bool file_exists(const std::string& path);

/// The whole of a regular file of at most `bytes_max`.
std::string read_file(const std::string& path, std::size_t bytes_max);

/// Likewise, of a file that nobody but its owner may read.
std::string read_private_file(const std::string& path, std::size_t bytes_max);

/// A new file, on the disk when it returns. Fails when there is one.
void create_file(const std::string& path, std::string_view content, unsigned mode);

/// The same, but takes the place of one that is there; whoever looks sees the one or the other.
void replace_file(const std::string& path, std::string_view content, unsigned mode);

void remove_file(const std::string& path);

}  // namespace bulkhead::cli
