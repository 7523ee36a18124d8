// SPDX-License-Identifier: Apache-2.0
// The daemon's heap, linked into this program. The linker leads what it gives back to the C library
// past here (--wrap), and then each byte of it has to be zero.
#include <malloc.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace {

const void* watched = nullptr;
enum class seen : std::uint8_t { nothing, zeroes, something_else };
seen given_back = seen::nothing;

bool holds_only(const void* block, std::size_t size, unsigned char what) {
  const auto* const bytes = static_cast<const unsigned char*>(block);
  return std::all_of(bytes, bytes + size, [&](unsigned char each) { return each == what; });
}

/// Not by a macro of Catch, which has memory of its own.
void watch(const void* block) {
  given_back = seen::nothing;
  watched = block;
}

constexpr unsigned char mark = 0xa5;
constexpr std::size_t small = 100, large = 10'000, mapped = 4'000'000;

/// All of it in use, what the heap has rounded it up to as well.
void* marked_block(std::size_t size) {
  void* const block = std::malloc(size);
  std::memset(block, mark, ::malloc_usable_size(block));
  return block;
}

/// Called by way of a variable: the compiler has opinions of its own on what realloc does.
void* (*volatile resized)(void*, std::size_t) = std::realloc;

struct gives_back {
  void operator()(void* block) const { std::free(block); }
};
using owned_block = std::unique_ptr<void, gives_back>;

}  // namespace

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void __real___libc_free(void* block);

void __wrap___libc_free(void* block) {
  if (block == watched) {
    const bool zero = holds_only(block, ::malloc_usable_size(block), 0);
    given_back = zero ? seen::zeroes : seen::something_else;
    watched = nullptr;
  }
  __real___libc_free(block);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

}  // extern "C"

TEST_CASE("what is given back is zero from end to end, whatever its size") {
  for (const auto size : {std::size_t{1}, small, large, mapped}) {
    void* const block = marked_block(size);
    watch(block);
    std::free(block);
    CHECK(given_back == seen::zeroes);
  }
  std::free(nullptr);
}

TEST_CASE("what C++ gives back goes the same way") {
  auto* const text = new std::string(small, static_cast<char>(mark));
  watch(text->data());
  delete text;
  CHECK(given_back == seen::zeroes);
}

TEST_CASE("a block that moves keeps what was in it and leaves nothing where it was") {
  const auto [from, to] = GENERATE(std::pair{small, large}, std::pair{large, mapped},
                                   std::pair{large, small}, std::pair{mapped, small});
  void* const before = marked_block(from);
  watch(before);
  const owned_block after{resized(before, to)};
  const auto seen_then = given_back;
  CHECK(seen_then == seen::zeroes);
  CHECK(holds_only(after.get(), std::min(from, to), mark));
}

TEST_CASE("a block that shrinks where it is holds nothing in what was given back of it") {
  void* const before = marked_block(large);
  const std::size_t had = ::malloc_usable_size(before);
  const owned_block after{resized(before, large - small)};
  REQUIRE(after.get() == before);
  CHECK(holds_only(after.get(), large - small, mark));
  CHECK(holds_only(static_cast<char*>(after.get()) + large - small, had - large + small, 0));
}

TEST_CASE("realloc of nothing makes a block, and to nothing gives one back") {
  const owned_block made{resized(nullptr, small)};
  CHECK(::malloc_usable_size(made.get()) >= small);
  void* const block = marked_block(small);
  watch(block);
  CHECK(resized(block, 0) == nullptr);
  CHECK(given_back == seen::zeroes);
}

TEST_CASE("a block that cannot grow stays as it is") {
  const owned_block block{marked_block(small)};
  constexpr std::size_t more_than_there_is = PTRDIFF_MAX;
  CHECK(resized(block.get(), more_than_there_is) == nullptr);
  CHECK(holds_only(block.get(), small, mark));
}
