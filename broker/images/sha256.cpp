// SPDX-License-Identifier: Apache-2.0
#include "broker/images/sha256.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace bulkhead {

namespace {
constexpr std::size_t chunk_bytes = std::size_t{128} << 10U;
}

trust::digest sha256_of(int fd, std::uint64_t size) {
  trust::sha256_hasher hasher;
  std::vector<unsigned char> chunk(chunk_bytes);
  for (std::uint64_t at = 0; at < size;) {
    const auto wanted = std::min<std::uint64_t>(chunk.size(), size - at);
    const auto got = ::pread(fd, chunk.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw std::system_error{got < 0 ? errno : EIO, std::generic_category(), "pread"};
    hasher.add(chunk.data(), static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  return hasher.finish();
}

}  // namespace bulkhead
