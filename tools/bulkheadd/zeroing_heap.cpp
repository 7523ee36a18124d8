// SPDX-License-Identifier: Apache-2.0
// The daemon's heap: what is given back to it is zeroed.
//
// A call and its answer pass through a dozen pieces of memory, most of them made by libraries:
// segments of messages, buffers of sockets, rows of SQLite, strings that were moved from. What has
// been in them would stay in freed memory until that is used for something else, which may be
// never. So free() itself zeroes, and nobody has to remember to.
//
// What it does not reach: memory that is held on to (buffers of connections that are up, SQLite's
// cache, the options of mounts) and stacks. A service that embeds the library has the heap that it
// has chosen. A build with a sanitizer has the sanitizer's heap, which looks at freed memory.
//
// The C library allows its functions to be replaced by a program, and uses them itself. Only those
// that give memory back are replaced here, by the same ones and a memset before; glibc offers the
// originals by the names below.
#include <malloc.h>

#include <cstdlib>
#include <cstring>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

extern "C" {

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
void __libc_free(void* block);

void free(void* block) {
  if (block == nullptr) return;
  std::memset(block, 0, ::malloc_usable_size(block));
  __asm__ volatile("" : : "r"(block) : "memory");  // the memset is of a block that nobody reads
  __libc_free(block);
}

/// The original would move the bytes and leave them where they were.
void* realloc(void* block, std::size_t size) {
  if (block == nullptr) return std::malloc(size);
  const std::size_t had = ::malloc_usable_size(block);
  if (size != 0 && size <= had && size >= had / 2) {
    std::memset(static_cast<char*>(block) + size, 0, had - size);
    return block;
  }
  void* const moved = size == 0 ? nullptr : std::malloc(size);
  if (size != 0 && moved == nullptr) return nullptr;
  if (moved != nullptr) std::memcpy(moved, block, had < size ? had : size);
  free(block);
  return moved;
}

}  // extern "C"

#endif
