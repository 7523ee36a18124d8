// SPDX-License-Identifier: Apache-2.0
// System calls by number, and the numbers that the headers of this distribution do not have yet.
// Attacks make them directly: a library's wrapper may choose another call or refuse by itself.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

namespace hostile {

template <typename... Arguments>
long call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}

namespace number {
inline constexpr long cachestat = 451;
inline constexpr long map_shadow_stack = 453;
inline constexpr long futex_wake = 454;
inline constexpr long futex_wait = 455;
inline constexpr long futex_requeue = 456;
inline constexpr long statmount = 457;
inline constexpr long listmount = 458;
inline constexpr long lsm_list_modules = 461;
inline constexpr long mseal = 462;
inline constexpr long getxattrat = 464;
inline constexpr long open_tree_attr = 467;
inline constexpr long file_getattr = 468;
}  // namespace number

}  // namespace hostile
