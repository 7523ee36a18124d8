// SPDX-License-Identifier: Apache-2.0
//
// How a release is written on a command line: "kv", "kv@1.2.0", "secrets/kv", "secrets/kv@1.2.0".
// Pure; whether there is such a plugin is the broker's to say.
#pragma once

#include <string>

namespace bulkhead::cli {

struct release_name {
  std::string kind;     ///< empty: not said
  std::string name;     ///< may be empty only in "secrets/", all of a kind
  std::string version;  ///< empty: not said
};

/// Splits at the first slash and the last at sign. Throws `failure` (usage) for one that ends at
/// its at sign.
release_name parse_release_name(const std::string& text);

}  // namespace bulkhead::cli
