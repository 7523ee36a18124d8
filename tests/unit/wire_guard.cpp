// SPDX-License-Identifier: Apache-2.0
//
// The guard alone: every fault, every limit one below, at and one above.
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "schema/wire/frame_guard.hpp"

using namespace bulkhead::wire;
using verdict = frame_check::verdict;

namespace {

/// The table of a frame with these segments, in words.
std::vector<kj::byte> table_of(const std::vector<std::uint32_t>& sizes) {
  std::vector<std::uint32_t> entries(1, static_cast<std::uint32_t>(sizes.size() - 1));
  entries.insert(entries.end(), sizes.begin(), sizes.end());
  if (entries.size() % 2 != 0) entries.push_back(0);
  std::vector<kj::byte> bytes(entries.size() * sizeof(std::uint32_t));
  std::memcpy(bytes.data(), entries.data(), bytes.size());
  return bytes;
}

frame_check check(const std::vector<kj::byte>& bytes, stream_limits limits = {}) {
  return check_frame(kj::arrayPtr(bytes.data(), bytes.size()), limits);
}

}  // namespace

TEST_CASE("the guard asks for more until the whole table is there") {
  for (std::size_t segments : {1, 2, 3, 4, 5, 511, 512}) {
    const auto table = table_of(std::vector<std::uint32_t>(segments, 2));
    for (std::size_t have = 0; have < table.size(); ++have) {
      const auto found = check({table.begin(), table.begin() + static_cast<std::ptrdiff_t>(have)});
      REQUIRE(found.result == verdict::need_more);
      REQUIRE(found.amount > have);
      REQUIRE(found.amount <= table.size());
    }
    const auto found = check(table);
    CHECK(found.result == verdict::frame);
    CHECK(found.amount == table.size() + segments * 16);
  }
}

TEST_CASE("a frame may have as many segments as the limit says and not one more") {
  stream_limits limits;
  limits.segments = 7;
  CHECK(check(table_of(std::vector<std::uint32_t>(6, 1)), limits).result == verdict::frame);
  CHECK(check(table_of(std::vector<std::uint32_t>(7, 1)), limits).result == verdict::frame);
  const auto above = check(table_of(std::vector<std::uint32_t>(8, 1)), limits);
  CHECK(above.result == verdict::fault);
  CHECK(above.fault == frame_fault::too_many_segments);
  CHECK(describe_fault(above, limits) == "a frame of 8 segments, 7 allowed");
}

TEST_CASE("the default number of segments is 512") {
  CHECK(check(table_of(std::vector<std::uint32_t>(511, 1))).result == verdict::frame);
  CHECK(check(table_of(std::vector<std::uint32_t>(512, 1))).result == verdict::frame);
  CHECK(check(table_of(std::vector<std::uint32_t>(513, 1))).result == verdict::fault);
}

TEST_CASE("the count that overflows in libcapnp is refused from its first four bytes") {
  const std::vector<kj::byte> hostile{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  for (std::size_t have = 4; have <= hostile.size(); ++have) {
    const auto found =
        check({hostile.begin(), hostile.begin() + static_cast<std::ptrdiff_t>(have)});
    REQUIRE(found.result == verdict::fault);
    CHECK(found.fault == frame_fault::too_many_segments);
    CHECK(found.amount == 4294967296);
  }
}

TEST_CASE("a frame may be as big as the limit says, table included, and not a word more") {
  stream_limits limits;
  limits.frame_bytes = 1024;
  CHECK(check(table_of({126}), limits).result == verdict::frame);
  const auto at = check(table_of({127}), limits);
  CHECK(at.result == verdict::frame);
  CHECK(at.amount == 1024);
  const auto above = check(table_of({128}), limits);
  CHECK(above.result == verdict::fault);
  CHECK(above.fault == frame_fault::too_big);
  CHECK(above.amount == 1032);
  CHECK(describe_fault(above, limits) == "a frame of 1032 bytes, 1024 allowed");
}

TEST_CASE("the default size of a frame is 32 MiB") {
  const std::uint32_t words = (32 << 20) / 8 - 1;
  CHECK(check(table_of({words})).result == verdict::frame);
  CHECK(check(table_of({words + 1})).result == verdict::fault);
}

TEST_CASE("sizes that add up to more than 32 bits are added up right") {
  const auto found = check(table_of(std::vector<std::uint32_t>(512, 0xffffffff)));
  CHECK(found.result == verdict::fault);
  CHECK(found.fault == frame_fault::too_big);
  CHECK(found.amount == (512ULL * 0xffffffffULL) * 8 + 257 * 8);
}

TEST_CASE("a frame whose first segment is empty has no root and is refused") {
  CHECK(check(table_of({0})).fault == frame_fault::empty);
  CHECK(check(table_of({0, 5})).fault == frame_fault::empty);
  CHECK(check(table_of({1, 0})).result == verdict::frame);
}

TEST_CASE("every fault has a name and a sentence of its own") {
  for (auto fault : {frame_fault::too_many_segments, frame_fault::too_big, frame_fault::empty}) {
    CHECK(std::string(fault_name(fault)) != "none");
    CHECK(describe_fault({verdict::fault, fault, 1}, {}) != "no fault");
  }
}
