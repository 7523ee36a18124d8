// SPDX-License-Identifier: Apache-2.0
#pragma once

// BLAKE2b (RFC 7693) of one block, with an output of any length.
//
// OpenSSL 3.0 has BLAKE2b with 64 bytes of output only, and the length is part of what is hashed.
// The checksum in a minisign secret key has 32 bytes, over 74 bytes of input. It tells damage from
// a good file and is no defence, so this little is enough. What is signed is hashed by OpenSSL.

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead::trust {

inline constexpr std::size_t blake2b_block_bytes = 128;

/// `size` bytes, 1 to 64, for at most one block of input.
std::string blake2b_of_block(std::string_view bytes, std::size_t size);

}  // namespace bulkhead::trust
