// SPDX-License-Identifier: Apache-2.0
// Threat 7, the doors: a filter that looks at numbers of one instruction set is walked around by
// the calls of another, and any filter by a ring whose entries the kernel carries out itself.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

/// A system call of the 32-bit instruction set, from 64-bit code.
long call_i386(long number, long first = 0, long second = 0, long third = 0) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(first), "c"(second), "d"(third)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

outcome answered(long result) {
  const auto narrow = static_cast<int>(result);
  return narrow >= 0 ? succeeded() : blocked(-narrow);
}

outcome calls_i386(const targets&) {
  constexpr long getpid_i386 = 20;
  return answered(call_i386(getpid_i386));
}

outcome opens_i386(const targets& at) {
  constexpr long open_i386 = 5;
  // Its pointers have 32 bits.
  auto* low = reinterpret_cast<char*>(call(SYS_mmap, nullptr, 4096UL, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0L));
  if (low == MAP_FAILED) return blocked();
  strncpy(low, at.canary, 4095);
  const auto file = static_cast<int>(
      call_i386(open_i386, static_cast<long>(reinterpret_cast<std::uintptr_t>(low)), O_RDONLY));
  return file < 0 ? blocked(-file) : reads_secret(file);
}

outcome connects_i386(const targets&) {
  constexpr long socket_i386 = 359;
  return answered(call_i386(socket_i386, 2, 1, 0));
}

outcome forks_i386(const targets&) {
  constexpr long fork_i386 = 2;
  constexpr long exit_i386 = 1;
  const long child = call_i386(fork_i386);
  if (child == 0) call_i386(exit_i386, 0);
  return answered(child);
}

outcome calls_x32(const targets&) {
  constexpr long x32_bit = 0x40000000;
  return worked(call(x32_bit | SYS_getpid));
}

outcome calls_negative(const targets&) {
  return worked(call(-1L));
}

outcome calls_beyond(const targets&) {
  return worked(call(5000L));
}

outcome makes_ring(unsigned flags) {
  io_uring_params parameters{};
  parameters.flags = flags;
  return worked(call(SYS_io_uring_setup, 4, &parameters));
}

outcome registers_ring(const targets&) {
  io_uring_params parameters{};
  const auto ring = static_cast<int>(call(SYS_io_uring_setup, 4, &parameters));
  if (ring < 0) return blocked();
  std::array<char, 16 + 8 * 16> probe{};
  return worked(call(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, probe.data(), 8));
}

/// The two rings and the entries of one io_uring, mapped.
struct ring_view {
  char* rings;
  io_uring_sqe* entries;
};

ring_view view_of(int ring, const io_uring_params& parameters) {
  const auto map = [ring](std::size_t bytes, std::uint64_t offset) {
    return reinterpret_cast<char*>(call(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                                        MAP_SHARED, ring, static_cast<long>(offset)));
  };
  const std::size_t bytes =
      parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe) + 4096;
  return {map(bytes, IORING_OFF_SQ_RING),
          reinterpret_cast<io_uring_sqe*>(
              map(parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES))};
}

outcome opens_by_ring(const targets& at) {
  io_uring_params parameters{};
  const auto ring = static_cast<int>(call(SYS_io_uring_setup, 4, &parameters));
  if (ring < 0) return blocked();
  const ring_view view = view_of(ring, parameters);
  if (view.rings == MAP_FAILED || view.entries == MAP_FAILED) return blocked();
  io_uring_sqe& entry = view.entries[0];
  entry.opcode = IORING_OP_OPENAT;
  entry.fd = AT_FDCWD;
  entry.addr = reinterpret_cast<std::uintptr_t>(at.canary);
  entry.open_flags = O_RDONLY;
  auto* slots = reinterpret_cast<std::uint32_t*>(view.rings + parameters.sq_off.array);
  slots[0] = 0;
  auto* tail = reinterpret_cast<std::uint32_t*>(view.rings + parameters.sq_off.tail);
  std::atomic_ref(*tail).store(1, std::memory_order_release);
  if (call(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0UL) < 0) {
    return blocked();
  }
  io_uring_cqe done{};
  memcpy(&done, view.rings + parameters.cq_off.cqes, sizeof done);
  return done.res < 0 ? blocked(-done.res) : reads_secret(done.res);
}

constexpr attack table[] = {
    {"i386", 7, "makes a 32-bit call", calls_i386, "a kernel may be without 32-bit calls"},
    {"i386_open", 7, "reads a file by a 32-bit call", opens_i386,
     "a kernel may be without 32-bit calls"},
    {"i386_socket", 7, "makes a socket by a 32-bit call", connects_i386,
     "a kernel may be without 32-bit calls"},
    {"i386_fork", 7, "makes a child by a 32-bit call", forks_i386,
     "a kernel may be without 32-bit calls"},
    {"x32", 7, "makes a call of the x32 kind", calls_x32, "most kernels are without x32"},
    {"call_negative", 7, "makes a call with a negative number", calls_negative,
     "no kernel has one"},
    {"call_beyond", 7, "makes a call that does not exist yet", calls_beyond, "no kernel has one"},
    {"iouring", 7, "makes a ring for calls", [](const targets&) { return makes_ring(0); },
     "kernel.io_uring_disabled may forbid it"},
    {"iouring_thread", 7, "makes a ring that a kernel thread serves",
     [](const targets&) { return makes_ring(IORING_SETUP_SQPOLL); },
     "kernel.io_uring_disabled may forbid it"},
    {"iouring_register", 7, "asks what a ring can do", registers_ring,
     "kernel.io_uring_disabled may forbid it"},
    {"iouring_open", 7, "reads a file by a ring", opens_by_ring,
     "kernel.io_uring_disabled may forbid it"},
};

}  // namespace

std::span<const attack> entry_attacks() {
  return table;
}

}  // namespace hostile
