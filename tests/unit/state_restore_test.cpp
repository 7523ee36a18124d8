// SPDX-License-Identifier: Apache-2.0
#include "broker/state_restore.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "broker/store/sqlite_store.hpp"
#include "store_faults.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;
using bulkhead::test::store_faults;

namespace {

constexpr std::uint64_t restored_at_ms = 5'000'000;

std::uint64_t no_clock() {
  return 0;
}

/// A backup of a small state.
struct backup {
  temporary_directory directory;
  std::string file = directory / "backup.db";
  std::string target = directory / "target";

  backup() {
    const auto engine = sqlite_store::open(directory / "first/bulkhead.db", no_clock);
    for (int i = 0; i < 20; ++i)
      engine->txn({{}, {txn_op::put(fmt::format("key/{}", i), std::string(500, 'v'))}, {}});
    const auto copy = engine->begin_backup(file);
    while (!copy->step()) {
    }
  }
  std::string state() const { return target + "/bulkhead.db"; }
};

/// The revision of a state that was restored whole.
std::uint64_t whole(const std::string& file) {
  const auto engine = sqlite_store::open(file, no_clock);
  CHECK(engine->range({key_range::prefix("key/"), {}, 0, 0, false}).rows.size() == 20);
  const auto mark = engine->range({key_range::one(std::string(restored_key)), {}, 0, 0, false});
  REQUIRE(mark.rows.size() == 1);
  CHECK(restored_generation(mark.rows[0].value) == restored_at_ms);
  return engine->revision();
}

}  // namespace

TEST_CASE_METHOD(backup, "a restored state goes on above all that the first one can have made") {
  const auto report = restore_state(file, target, false, restored_at_ms);
  CHECK(report.revision >= restored_at_ms);
  CHECK(whole(state()) == report.revision);
}

TEST_CASE_METHOD(backup, "a disk that fills up during a restore leaves all or nothing of it") {
  bool done = false;
  unsigned refused = 0;
  for (std::uint64_t writes = 0; !done; ++writes) {
    REQUIRE(writes < 1000);
    INFO(writes << " writes");
    const auto at = target + std::to_string(writes);
    store_faults disk;
    disk.writes_left = writes;
    try {
      const auto report = restore_state(file, at, false, restored_at_ms);
      done = true;
      disk.writes_left = ~0ULL;
      CHECK(whole(at + "/bulkhead.db") == report.revision);
    } catch (const store_error& error) {
      ++refused;
      CHECK(error.fault() == store_fault::disk_full);
      CHECK_FALSE(std::filesystem::exists(at + "/bulkhead.db"));
      CHECK_FALSE(std::filesystem::exists(at + "/bulkhead.db-wal"));
    }
  }
  CHECK(refused > 3);
}

TEST_CASE_METHOD(backup,
                 "a state that cannot be written back to is kept when another is to replace it") {
  {
    const auto engine = sqlite_store::open(state(), no_clock);
    engine->txn({{}, {txn_op::put("mine", "1")}, {}});
    for (const char* suffix : {"", "-wal"})
      std::filesystem::copy_file(state() + suffix, directory / (std::string("killed") + suffix));
  }
  for (const char* suffix : {"", "-wal"})
    std::filesystem::copy_file(directory / (std::string("killed") + suffix), state() + suffix,
                               std::filesystem::copy_options::overwrite_existing);
  {
    store_faults disk;
    disk.writes_left = 0;
    CHECK_THROWS_AS(restore_state(file, target, true, restored_at_ms), store_error);
  }
  const auto engine = sqlite_store::open(state(), no_clock);
  CHECK(engine->range({key_range::one("mine"), {}, 0, 0, false}).rows.size() == 1);
}

TEST_CASE_METHOD(backup, "a backup is judged where it lies, whoever may write there") {
  REQUIRE(chmod(directory.path().c_str(), 0777) == 0);
  CHECK(check_state(file, {}).keys == 20);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(directory.path()))
    ++files;
  CHECK(files == 2);  // the backup, and the state that it is of
}
