// SPDX-License-Identifier: Apache-2.0
// Threat 7 again: calls younger than this distribution's headers. A filter that lists what is
// forbidden would not know them.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <time.h>

#include <array>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

outcome counts_cached_pages(const targets& at) {
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, at.canary, O_RDONLY, 0));
  struct {
    std::uint64_t offset, length;
  } range{0, 4096};
  std::array<std::uint64_t, 5> counts{};
  return worked(call(number::cachestat, file, &range, counts.data(), 0));
}

struct mount_request {
  std::uint32_t size = 24, spare = 0;
  std::uint64_t mount = ~0ULL, last_or_what = 0;
};

outcome lists_mounts(const targets&) {
  mount_request request;
  std::array<std::uint64_t, 64> found{};
  const long count = call(number::listmount, &request, found.data(), found.size(), 0);
  if (count < 0) return blocked();
  return worked_if(count > 0);
}

outcome asks_about_mount(const targets&) {
  mount_request list;
  std::array<std::uint64_t, 64> found{};
  const long count = call(number::listmount, &list, found.data(), found.size(), 0);
  mount_request request;
  request.mount = count > 0 ? found[0] : 1;
  request.last_or_what = 1;  // the superblock
  std::array<char, 1024> answer{};
  return worked(call(number::statmount, &request, answer.data(), answer.size(), 0));
}

outcome wakes(const targets&) {
  static std::uint32_t word = 0;
  return worked(call(number::futex_wake, &word, 0xffffffffUL, 1, 2 /* 32 bits */));
}

outcome waits(const targets&) {
  static std::uint32_t word = 1;
  const long result =
      call(number::futex_wait, &word, 0UL, 0xffffffffUL, 2, nullptr, CLOCK_MONOTONIC);
  return worked_if(result == 0 || errno == EAGAIN);  // the word was not what it was to be
}

outcome waits_for_many(const targets&) {
  static std::uint32_t word = 1;
  struct {
    std::uint64_t value, address;
    std::uint32_t flags, spare;
  } lock{0, reinterpret_cast<std::uintptr_t>(&word), 2, 0};
  const long result = call(SYS_futex_waitv, &lock, 1, 0, nullptr, CLOCK_MONOTONIC);
  return worked_if(result == 0 || errno == EAGAIN);
}

outcome requeues(const targets&) {
  static std::array<std::uint32_t, 2> words{};
  struct lock {
    std::uint64_t value, address;
    std::uint32_t flags, spare;
  };
  std::array<lock, 2> locks{lock{0, reinterpret_cast<std::uintptr_t>(&words[0]), 2, 0},
                            lock{0, reinterpret_cast<std::uintptr_t>(&words[1]), 2, 0}};
  return worked(call(number::futex_requeue, locks.data(), 0, 1, 1));
}

outcome reads_attribute(const targets& at) {
  struct {
    std::uint64_t value;
    std::uint32_t size, flags;
  } request{0, 0, 0};
  const long result =
      call(number::getxattrat, AT_FDCWD, at.canary, 0, "user.none", &request, sizeof request);
  return worked_if(result >= 0 || errno == ENODATA || errno == EOPNOTSUPP);
}

outcome reads_flags(const targets& at) {
  std::array<std::uint64_t, 4> found{};
  return worked(call(number::file_getattr, AT_FDCWD, at.canary, found.data(), 24UL, 0));
}

outcome takes_tree(const targets& at) {
  std::array<std::uint64_t, 4> attributes{};
  return worked(call(number::open_tree_attr, AT_FDCWD, at.directory, 0, attributes.data(),
                     sizeof attributes));
}

outcome lists_modules(const targets&) {
  std::array<std::uint64_t, 16> found{};
  std::uint32_t size = sizeof found;
  return worked(call(number::lsm_list_modules, found.data(), &size, 0));
}

outcome asks_quota(const targets& at) {
  const auto directory = static_cast<int>(call(SYS_openat, AT_FDCWD, at.directory, O_RDONLY, 0));
  std::array<char, 256> found{};
  return worked(call(SYS_quotactl_fd, directory, 0x800004U << 8, 0, found.data()));
}

constexpr attack table[] = {
    {"cachestat", 7, "learns what of a file is in memory", counts_cached_pages},
    {"listmount", 7, "lists the mounts", lists_mounts},
    {"statmount", 7, "learns about a mount", asks_about_mount},
    {"futex2_wake", 7, "wakes by the new call", wakes},
    {"futex2_wait", 7, "waits by the new call", waits},
    {"futex2_waitv", 7, "waits for several locks", waits_for_many},
    {"futex2_requeue", 7, "moves waiters by the new call", requeues},
    {"mseal", 7, "makes its memory unchangeable",
     [](const targets&) {
       const long place =
           call(SYS_mmap, nullptr, 4096UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
       return worked(call(number::mseal, place, 4096UL, 0UL));
     }},
    {"shadow_stack", 7, "makes a second stack of return addresses",
     [](const targets&) { return worked(call(number::map_shadow_stack, 0UL, 4096UL, 0)); },
     "a processor may be without it"},
    {"shadow_stack_enable", 7, "switches the second stack on",
     [](const targets&) { return worked(call(SYS_arch_prctl, 0x5004, 0UL)); },
     "a processor may be without it"},
    {"getxattrat", 7, "reads what is attached to a file", reads_attribute},
    {"file_getattr", 7, "reads the flags of a file", reads_flags},
    {"open_tree_attr", 7, "takes a tree of mounts with other rights", takes_tree, "needs root"},
    {"lsm_list", 7, "lists the security modules", lists_modules},
    {"quotactl_fd", 7, "asks for quotas by a descriptor", asks_quota,
     "a file system may be without quotas"},
};

}  // namespace

std::span<const attack> recent_kernel_attacks() {
  return table;
}

}  // namespace hostile
