// SPDX-License-Identifier: Apache-2.0
//
// No memory that is given back holds a part of a secret key. Every block is looked at on its way
// back: this program has an operator delete of its own.
#include <malloc.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "broker/trust/digest.hpp"
#include "tests/unit/trust_fixture.hpp"

namespace {

/// A part of a secret, kept in such a way that it is not found here.
class needle {
 public:
  static constexpr std::size_t bytes = 12;

  void set(std::string_view part) {
    for (std::size_t i = 0; i < bytes; ++i) masked_[i] = masked(part[i]);
  }

  bool is_in(const unsigned char* block, std::size_t size) const {
    for (std::size_t at = 0; at + bytes <= size; ++at) {
      std::size_t same = 0;
      while (same < bytes && masked(static_cast<char>(block[at + same])) == masked_[same]) ++same;
      if (same == bytes) return true;
    }
    return false;
  }

 private:
  static std::uint8_t masked(char c) { return static_cast<std::uint8_t>(c ^ 0x5a); }
  std::array<std::uint8_t, bytes> masked_{};
};

struct watch {
  bool on = false;
  int found = 0;
  needle raw;
  needle base64;
};
watch watching;

void look_at(void* block) {
  if (!watching.on || block == nullptr) return;
  const auto* const bytes = static_cast<const unsigned char*>(block);
  const auto size = ::malloc_usable_size(block);
  if (watching.raw.is_in(bytes, size) || watching.base64.is_in(bytes, size)) ++watching.found;
}

}  // namespace

void* operator new(std::size_t size) {
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return std::malloc(size);
}
void operator delete(void* block) noexcept {
  look_at(block);
  std::free(block);
}
void operator delete(void* block, std::size_t /*size*/) noexcept {
  operator delete(block);
}

namespace {

using namespace bulkhead::trust;

std::string line_of(const std::string& file) {
  const auto begin = file.find('\n') + 1;
  return file.substr(begin, file.size() - begin - 1);
}

/// Some secret key, its file, and a watch for both.
struct fixture {
  minisign_secret_key key = generate_key();
  std::string file = print_secret_key(key);

  fixture() {
    constexpr std::size_t seed_at = 2 + 2 + 2 + 48 + 8;
    const std::string line = line_of(file);
    watching.raw.set({reinterpret_cast<const char*>(key.key.seed().data()) + 8, needle::bytes});
    watching.base64.set(std::string_view(line).substr((seed_at + 8) / 3 * 4, needle::bytes));
  }
  ~fixture() { watching.on = false; }

  /// How many of the blocks that `work` gives back hold a part of the key.
  template <typename Work>
  static int left_by(const Work& work) {
    watching.found = 0;
    watching.on = true;
    work();
    watching.on = false;
    return watching.found;
  }
};

TEST_CASE_METHOD(fixture, "control: a copy of the key or of its file that is given back is seen") {
  CHECK(left_by([&] { std::string(file.data(), file.size()); }) == 1);
  CHECK(left_by([&] { std::string(key.key.seed().begin(), key.key.seed().end()); }) == 1);
  CHECK(left_by([] {}) == 0);
}

TEST_CASE_METHOD(fixture, "to read a secret key leaves nothing of it in memory") {
  CHECK(left_by([&] { parse_secret_key(file); }) == 0);
}

TEST_CASE_METHOD(fixture, "a secret key that is refused leaves nothing of it in memory") {
  auto encrypted = base64_decode(line_of(file)).value();
  encrypted[2] = 'S';
  auto damaged = base64_decode(line_of(file)).value();
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  auto longer = base64_decode(line_of(file)).value() + "xyz";
  for (const auto& bytes : {encrypted, damaged, longer}) {
    const std::string text = "untrusted comment: \n" + base64_encode(bytes) + "\n";
    CHECK(left_by([&] { CHECK_THROWS_AS(parse_secret_key(text), refusal); }) == 0);
  }
  std::string spelled_otherwise = file;  // its last bits stand for nothing
  spelled_otherwise[file.size() - 2] = '!';
  CHECK(left_by([&] { CHECK_THROWS_AS(parse_secret_key(spelled_otherwise), refusal); }) == 0);
}

TEST_CASE_METHOD(fixture, "to write a secret key leaves nothing of it but the text") {
  CHECK(left_by([&] {
          std::string text = print_secret_key(key);
          cleanse(text);
        }) == 0);
}

TEST_CASE_METHOD(fixture, "to sign leaves nothing of the key in memory") {
  CHECK(left_by([&] { sign_file("file", key, "comment"); }) == 0);
}

}  // namespace
