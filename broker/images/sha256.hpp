// SPDX-License-Identifier: Apache-2.0
#pragma once

// SHA-256 of what a descriptor holds.

#include <cstdint>

#include "broker/trust/digest.hpp"

namespace bulkhead {

/// Of bytes 0 to `size` of a descriptor that can be read at offsets. Throws std::system_error when
/// they cannot be read, also when there are fewer.
trust::digest sha256_of(int fd, std::uint64_t size);

}  // namespace bulkhead
