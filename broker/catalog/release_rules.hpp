// SPDX-License-Identifier: Apache-2.0
#pragma once

// What may be registered: the rules of a release's words, apart from files and the broker's state.

#include "broker/releases.hpp"

namespace bulkhead {

inline constexpr std::size_t release_words_max = 64;
inline constexpr std::size_t release_word_bytes_max = 4096;

/// Fills in the command, and refuses with invalid_argument what no release can be. Pure.
void check_release_spec(release_spec& spec);

}  // namespace bulkhead
