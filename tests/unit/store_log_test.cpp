// SPDX-License-Identifier: Apache-2.0
// The log that a killed broker leaves behind: torn it is cut, rotten it is refused (log_check.hpp).
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "broker/store/sqlite_store.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;

namespace {

std::string contents(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void replace(const std::string& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

/// A state as it was on the disk when its broker was killed.
struct killed_state {
  temporary_directory directory;
  std::string file = directory / "copy.db";
  std::vector<store_row> rows_before_last, rows;
  std::string base, log;

  killed_state() {
    const auto original = directory / "state.db";
    const auto engine = sqlite_store::open(original, now);
    for (int i = 0; i < 12; ++i) put(*engine, fmt::format("key/{}", i), std::string(900, 'v'));
    rows_before_last = engine->range({}).rows;
    put(*engine, "last", "1");
    rows = engine->range({}).rows;
    base = contents(original);
    log = contents(original + "-wal");
  }

  std::unique_ptr<sqlite_store> open_with(std::string_view log_now) const {
    replace(file, base);
    replace(file + "-wal", log_now);
    return sqlite_store::open(file, now);
  }
  static void put(store& engine, const std::string& key, const std::string& value) {
    engine.txn({{}, {txn_op::put(key, value)}, {}});
  }
  static std::uint64_t now() { return 1'000'000; }
};

}  // namespace

TEST_CASE_METHOD(killed_state, "no flipped bit in a log loses what was acknowledged") {
  REQUIRE(log.size() > std::size_t{13} * 4096);
  std::mt19937 random(7);
  unsigned refused = 0;
  unsigned torn = 0;
  const auto judge = [&](std::size_t at) {
    auto damaged = log;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    INFO("byte " << at << " of " << log.size());
    try {
      const auto found = open_with(damaged)->range({}).rows;
      CHECK((found == rows || found == rows_before_last));
      if (found != rows) ++torn;
    } catch (const store_error& error) {
      ++refused;
      CHECK(error.fault() == store_fault::corrupt);
    }
  };
  for (std::size_t at = 0; at < 64; ++at) judge(at);
  for (int i = 0; i < 300; ++i) judge(random() % log.size());
  CHECK(refused > 250);
  CHECK(torn > 0);  // the last transaction: that cannot be told from a torn one
  CHECK(torn < 60);
}

TEST_CASE_METHOD(killed_state, "a log that was torn anywhere is cut there and gone on with") {
  for (std::size_t size = 0; size < log.size(); size += 1021) {
    INFO(size << " bytes of " << log.size());
    const auto engine = open_with(std::string_view(log).substr(0, size));
    const auto had = engine->range({}).rows.size();
    put(*engine, "new", "1");
    CHECK(engine->range({}).rows.size() == had + 1);
  }
}
