// SPDX-License-Identifier: Apache-2.0
// Threats 11, 13 and 20: a plugin that takes more memory or processor time than it was given. What
// is taken unconfined is bounded too: half as much again as the limit.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <array>
#include <atomic>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr std::uint64_t page = 4096;

/// Maps and touches `bytes`, piece by piece. `protects` them then: what cannot be written any more
/// a limit of a process counts no more.
outcome touches(std::uint64_t bytes, int flags, bool protects = false) {
  constexpr std::uint64_t piece = 1 << 20;
  for (std::uint64_t taken = 0; taken < bytes; taken += piece) {
    auto* place = reinterpret_cast<volatile char*>(
        call(SYS_mmap, nullptr, piece, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0L));
    if (place == MAP_FAILED) return blocked();
    for (std::uint64_t at = 0; at < piece; at += page) place[at] = 1;
    if (protects && call(SYS_mprotect, place, piece, PROT_READ) < 0) return blocked();
  }
  return succeeded();
}

std::uint64_t beyond(const targets& at) {
  return at.memory_bytes + at.memory_bytes / 2;
}

outcome grows_heap(const targets& at) {
  const long now = call(SYS_brk, 0);
  if (now < 0) return blocked();
  const long wanted = now + static_cast<long>(beyond(at));
  return worked_if(call(SYS_brk, wanted) >= wanted);
}

outcome grows_mapping(const targets& at) {
  const long place =
      call(SYS_mmap, nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  if (place < 0) return blocked();
  return worked(call(SYS_mremap, place, page, beyond(at), MREMAP_MAYMOVE, 0));
}

outcome reserves(const targets&) {
  constexpr std::uint64_t bytes = 64ULL << 30;
  return worked(call(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L));
}

outcome locks(const targets&) {
  const long place = call(SYS_mmap, nullptr, 16 * page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  if (place < 0) return blocked();
  return worked(call(SYS_mlock, place, 16 * page));
}

outcome maps_locked(const targets&) {
  return worked(call(SYS_mmap, nullptr, 16 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0L));
}

outcome widens_pipe(const targets&) {
  constexpr int bytes = 1 << 20;
  return worked(call(SYS_fcntl, 1, F_SETPIPE_SZ, bytes));
}

std::uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  call(SYS_clock_gettime, clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::atomic<bool> enough{false};

void* burns(void*) {
  while (!enough.load(std::memory_order_relaxed)) {
  }
  return nullptr;
}

outcome takes_processor(const targets&) {
  // Two threads for a second and a half, on however busy a machine: a quota of a tenth of a
  // processor gives them 0.15 s, and a burst.
  constexpr std::uint64_t span_ns = 1'500'000'000;
  constexpr std::uint64_t too_much_ns = 350'000'000;
  std::array<pthread_t, 2> threads{};
  for (pthread_t& one : threads) {
    if (pthread_create(&one, nullptr, burns, nullptr) != 0) return blocked(EAGAIN);
  }
  const std::uint64_t end = nanoseconds(CLOCK_MONOTONIC) + span_ns;
  while (nanoseconds(CLOCK_MONOTONIC) < end) {
    const timespec pause{0, 10'000'000};
    call(SYS_nanosleep, &pause, nullptr);
  }
  enough = true;
  return worked_if(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) > too_much_ns);
}

outcome raises_limit(const targets&) {
  rlimit limit{};
  if (call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit) < 0) return blocked();
  if (limit.rlim_cur >= limit.rlim_max) {
    const rlimit more{limit.rlim_max + 1, limit.rlim_max + 1};
    return worked(call(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, nullptr));
  }
  limit.rlim_cur = limit.rlim_max;
  return worked(call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr));
}

outcome raises_limit_old(const targets&) {
  rlimit limit{};
  if (call(SYS_getrlimit, RLIMIT_CORE, &limit) < 0) return blocked();
  return worked(call(SYS_setrlimit, RLIMIT_CORE, &limit));
}

constexpr const char* killed_for_memory = "SIGKILL";

constexpr attack table[] = {
    {"mem", 11, "has more memory than its limit",
     [](const targets& at) { return touches(beyond(at), MAP_PRIVATE); }, nullptr,
     killed_for_memory},
    {"mem_shared", 11, "has more memory than its limit, as shared memory",
     [](const targets& at) { return touches(beyond(at), MAP_SHARED); }, nullptr, killed_for_memory},
    {"mem_protected", 11, "has more memory than its limit, and gives up the right to write it",
     [](const targets& at) { return touches(beyond(at), MAP_PRIVATE, true); }, nullptr,
     killed_for_memory},
    {"mem_heap", 11, "has a heap beyond its limit", grows_heap},
    {"mem_remap", 11, "has a mapping grown beyond its limit", grows_mapping},
    {"vmem", 11, "reserves more addresses than memory", reserves},
    {"mlock", 11, "keeps memory from being swapped", locks},
    {"mlockall", 11, "keeps all its memory from being swapped",
     [](const targets&) { return worked(call(SYS_mlockall, MCL_FUTURE)); }},
    {"map_locked", 11, "keeps memory from being swapped as it maps it", maps_locked},
    {"pipesz", 11, "has the kernel hold a megabyte in a pipe", widens_pipe},
    {"cpu", 13, "has more processor time than its limit", takes_processor},
    {"rlimit_raise", 20, "raises its limits", raises_limit},
    {"rlimit_set", 20, "sets its limits by the old call", raises_limit_old},
};

}  // namespace

std::span<const attack> memory_attacks() {
  return table;
}

}  // namespace hostile
