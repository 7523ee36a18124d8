// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/attack.hpp"

#include <array>

#include "tests/hostile/calls.hpp"

namespace hostile {

bool is_secret(std::string_view bytes) {
  return bytes.starts_with(secret);
}

outcome reads_secret(int descriptor) {
  std::array<char, 64> bytes{};
  const long got = call(SYS_read, descriptor, bytes.data(), bytes.size());
  const outcome result = got < 0 ? blocked() : worked_if(is_secret({bytes.data(), bytes.size()}));
  call(SYS_close, descriptor);
  return result;
}

}  // namespace hostile
