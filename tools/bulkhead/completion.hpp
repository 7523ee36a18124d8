// SPDX-License-Identifier: Apache-2.0
//
// What can stand where the cursor is. Pure but for its source, which asks the broker. The table of
// commands says which kind of word is expected; the source names mounts, keys and methods.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::cli {

class completion_source {
 public:
  virtual ~completion_source() = default;
  virtual std::vector<std::string> mounts() = 0;
  /// Full paths in a folder ("kv/data/"): keys, and folders with a slash at their end.
  virtual std::vector<std::string> paths(const std::string& folder) = 0;
  virtual std::vector<std::string> methods(const std::string& target) = 0;
  virtual std::vector<std::string> parameters(const std::string& target,
                                              const std::string& method) = 0;
  /// "$1", "$2", ...
  virtual std::vector<std::string> capabilities() = 0;
  /// "secrets/kv@1.2.0", all that are registered.
  virtual std::vector<std::string> releases() = 0;
};

struct completions {
  std::size_t begin = 0;          ///< where the word being completed begins in the line
  std::vector<std::string> list;  ///< sorted; whole words
};

/// `line` ends at the cursor.
completions complete(std::string_view line, completion_source& source);

/// What all of them begin with.
std::string common_prefix(const std::vector<std::string>& words);

}  // namespace bulkhead::cli
