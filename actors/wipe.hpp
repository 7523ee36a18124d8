// SPDX-License-Identifier: Apache-2.0
#pragma once

// Texts that may hold secrets are zeroed where they are let go. What that covers, and what not, is
// said in broker/process_protection.hpp.

#include <cstring>
#include <string>

namespace bulkhead {

/// Zeroes all that the text has room for, also where a longer one was before, and empties it.
inline void wipe(std::string& text) noexcept {
  text.resize(text.capacity());
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

}  // namespace bulkhead
