// SPDX-License-Identifier: Apache-2.0
// The embedded engine on real files: what survives, what is refused and by which name, and what a
// failing disk does.
#include "broker/store/sqlite_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "broker/store/state_file.hpp"
#include "store_faults.hpp"
#include "store_suite.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

struct state {
  temporary_directory directory;
  std::string file = directory / "state.db";
  hand_clock clock;

  std::unique_ptr<sqlite_store> open() const { return sqlite_store::open(file, clock.reader()); }

  store_fault fault_of_open() const {
    try {
      open();
    } catch (const store_error& error) {
      INFO(error.what() << ": " << error.failure().why);
      CHECK_FALSE(error.failure().why.empty());
      CHECK_FALSE(error.failure().remedy.empty());
      return error.fault();
    }
    FAIL("it opened");
    return store_fault::internal;
  }
};

void put(store& engine, const std::string& key, const std::string& value) {
  engine.txn({{}, {txn_op::put(key, value)}, {}});
}

std::string get(store& engine, const std::string& key) {
  auto rows = engine.range({key_range::one(key), {}, 0, 0, false}).rows;
  return rows.empty() ? "(nothing)" : rows.front().value;
}

template <class F>
store_fault fault_of(F&& operation) {
  try {
    operation();
  } catch (const store_error& error) {
    return error.fault();
  }
  FAIL("it did not fail");
  return store_fault::internal;
}

void overwrite(const std::string& file, std::uint64_t at, const std::string& bytes) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(at));
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string contents(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777U;
}

}  // namespace

TEST_CASE("the embedded engine does what the model does, on a file that is closed and opened") {
  const auto seed = GENERATE(range(100U, 104U));
  const state at;
  store_suite suite(
      [&](store_clock clock) { return sqlite_store::open(at.file, std::move(clock)); },
      [&](std::unique_ptr<store> engine, store_clock clock) {
        engine.reset();
        return sqlite_store::open(at.file, std::move(clock));
      },
      seed);
  suite.run(500);
}

TEST_CASE("an engine that is killed again and again does what the model does") {
  const auto seed = GENERATE(range(200U, 203U));
  const state at;
  unsigned lives = 0;
  store_suite suite(
      [&](store_clock clock) { return sqlite_store::open(at.file, std::move(clock)); },
      [&](std::unique_ptr<store> engine, store_clock clock) {
        // What the disk holds at this moment, and nothing that closing would do.
        const auto next = at.directory / fmt::format("life-{}.db", ++lives);
        const auto before =
            lives == 1 ? at.file : at.directory / fmt::format("life-{}.db", lives - 1);
        for (const char* suffix : {"", "-wal"}) {
          if (std::filesystem::exists(before + suffix))
            std::filesystem::copy_file(before + suffix, next + suffix);
        }
        engine.reset();
        return sqlite_store::open(next, std::move(clock));
      },
      seed);
  suite.run(500);
  CHECK(lives > 1);
}

TEST_CASE_METHOD(state, "what was acknowledged is there when the state is opened again") {
  std::uint64_t revision = 0;
  std::uint64_t lease = 0;
  {
    auto engine = open();
    put(*engine, "a", "1");
    lease = engine->grant(1000).id;
    revision = engine->revision();
  }
  auto engine = open();
  CHECK(get(*engine, "a") == "1");
  CHECK(engine->revision() == revision);
  CHECK(engine->keep_alive(lease).ttl_ms == 1000);
}

TEST_CASE_METHOD(state, "a lease has its full time again after a restart") {
  std::uint64_t lease = 0;
  {
    auto engine = open();
    lease = engine->grant(1000).id;
    clock.advance(900);
  }
  auto engine = open();
  clock.advance(900);
  CHECK(engine->expire() == 0);
  clock.advance(100);
  CHECK(engine->expire() == 1);
  CHECK(engine->grant(1000).id > lease);
}

TEST_CASE_METHOD(state, "files are for their owner alone, whatever the umask says") {
  const auto before = umask(0);
  file = directory / "sub/state.db";
  auto engine = open();
  put(*engine, "a", "1");
  umask(before);
  CHECK(mode_of(directory / "sub") == 0700U);
  CHECK(mode_of(file) == 0600U);
  CHECK(mode_of(file + "-wal") == 0600U);
  CHECK(mode_of(file + ".lock") == 0600U);
}

TEST_CASE_METHOD(state, "a file that others can read is closed to them when it is opened") {
  open();
  chmod(file.c_str(), 0644);
  open();
  CHECK(mode_of(file) == 0600U);
}

TEST_CASE_METHOD(state, "a directory that others can write to is refused") {
  chmod(directory.path().c_str(), 0777);
  CHECK(fault_of_open() == store_fault::exposed);
  CHECK_FALSE(std::filesystem::exists(file));
}

TEST_CASE_METHOD(state, "a second opener is refused, and the first goes on") {
  auto engine = open();
  CHECK(fault_of_open() == store_fault::locked);
  put(*engine, "a", "1");
  engine.reset();
  CHECK(get(*open(), "a") == "1");
}

TEST_CASE_METHOD(state, "the refusal names the process that holds the state") {
  auto engine = open();
  try {
    open();
    FAIL("it opened");
  } catch (const store_error& error) {
    CHECK(error.failure().why.find(std::to_string(getpid())) != std::string::npos);
  }
}

TEST_CASE_METHOD(state, "a program that goes around the lock file cannot read or write the state") {
  auto engine = open();
  put(*engine, "a", "1");
  sqlite_connection other(file, SQLITE_OPEN_READWRITE);
  CHECK(fault_of([&] { other.exec("DELETE FROM live"); }) == store_fault::locked);
  CHECK(get(*engine, "a") == "1");
}

TEST_CASE_METHOD(state, "a file that is no SQLite file is refused and left alone") {
  const std::string text =
      "a shopping list, longer than the header of a database: " + std::string(200, '.');
  std::ofstream(file) << text;
  CHECK(fault_of_open() == store_fault::foreign);
  CHECK(contents(file) == text);
}

TEST_CASE_METHOD(state, "a SQLite file of another program is refused and left alone") {
  {
    sqlite_connection other(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    other.exec("CREATE TABLE t(a); INSERT INTO t VALUES(1)");
  }
  const auto before = contents(file);
  CHECK(fault_of_open() == store_fault::foreign);
  CHECK(contents(file) == before);
}

TEST_CASE_METHOD(state, "a state of a newer version is refused and left alone") {
  open();
  {
    sqlite_connection other(file, SQLITE_OPEN_READWRITE);
    other.exec("PRAGMA user_version = 99");
  }
  CHECK(fault_of_open() == store_fault::schema_too_new);
}

TEST_CASE_METHOD(state, "an empty file is damage, never a beginning") {
  std::ofstream(file) << "";
  CHECK(fault_of_open() == store_fault::corrupt);
  CHECK(std::filesystem::file_size(file) == 0);
}

TEST_CASE_METHOD(state, "a log without its file is damage, never a beginning") {
  std::ofstream(file + "-wal") << "something";
  CHECK(fault_of_open() == store_fault::corrupt);
}

TEST_CASE_METHOD(state, "a directory or a link at the name is refused") {
  SECTION("directory") {
    std::filesystem::create_directory(file);
  }
  SECTION("link") {
    std::filesystem::create_symlink("/etc/passwd", file);
  }
  CHECK(fault_of_open() == store_fault::foreign);
}

TEST_CASE_METHOD(state, "a beginning that was cut short is begun again") {
  std::ofstream(file + ".new") << "half a file";
  auto engine = open();
  put(*engine, "a", "1");
  CHECK_FALSE(std::filesystem::exists(file + ".new"));
}

TEST_CASE_METHOD(state, "a file cut at any place is refused as damaged") {
  {
    auto engine = open();
    for (int i = 0; i < 200; ++i) put(*engine, fmt::format("key/{}", i), std::string(500, 'v'));
  }
  const auto whole = contents(file);
  REQUIRE(whole.size() > 100'000);
  std::mt19937 random(1);
  for (int i = 0; i < 40; ++i) {
    const auto size = i == 0 ? 50 : i == 1 ? whole.size() - 1 : random() % whole.size();
    INFO("cut to " << size << " of " << whole.size());
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    CHECK(fault_of_open() == store_fault::corrupt);
  }
}

TEST_CASE_METHOD(state, "no flipped bit goes unseen, wherever it is") {
  {
    auto engine = open();
    for (int i = 0; i < 60; ++i) put(*engine, fmt::format("key/{}", i), std::string(700, 'v'));
    for (int i = 0; i < 20; ++i) engine->txn({{}, {txn_op::erase(fmt::format("key/{}", i))}, {}});
  }
  const auto whole = contents(file);
  std::vector<store_row> rows = open()->range({}).rows;
  std::mt19937 random(2);
  unsigned refused = 0;
  for (int i = 0; i < 400; ++i) {
    const auto at = random() % whole.size();
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    INFO("byte " << at);
    try {
      // What is not refused must make no difference: free space, counters of SQLite.
      auto engine = open();
      CHECK(engine->range({}).rows == rows);
      CHECK(engine->changes_since({1, key_range::all(), 0}).changes.size() == 80);
      put(*engine, "new", "1");
    } catch (const store_error& error) {
      ++refused;
      CHECK((error.fault() == store_fault::corrupt || error.fault() == store_fault::foreign ||
             error.fault() == store_fault::schema_too_new));
    }
  }
  CHECK(refused > 200);
}

TEST_CASE_METHOD(state, "in every page of the file, no flipped byte of its head goes unseen") {
  {
    auto engine = open();
    for (int i = 0; i < 40; ++i) put(*engine, fmt::format("key/{}", i), std::string(900, 'v'));
  }
  const auto whole = contents(file);
  const auto rows = open()->range({}).rows;
  const auto changes = open()->changes_since({1, key_range::all(), 0}).changes;
  constexpr std::size_t page_bytes = 4096;
  constexpr std::size_t head_bytes = 100;  // of the file, and where the first page's tree begins
  const auto judge = [&](std::size_t at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    INFO("byte " << at);
    try {
      auto engine = open();
      CHECK(engine->range({}).rows == rows);
      CHECK(engine->changes_since({1, key_range::all(), 0}).changes == changes);
    } catch (const store_error& error) {
      CHECK((error.fault() == store_fault::corrupt || error.fault() == store_fault::foreign ||
             error.fault() == store_fault::schema_too_new));
    }
  };
  for (std::size_t at = 0; at < head_bytes; ++at) judge(at);
  for (std::size_t page = 0; page < whole.size(); page += page_bytes) {
    for (std::size_t at = 0; at < 16; ++at) judge(page + at + (page == 0 ? head_bytes : 0));
  }
}

TEST_CASE_METHOD(state, "garbage in the middle of the file is refused as damaged") {
  {
    auto engine = open();
    for (int i = 0; i < 60; ++i) put(*engine, fmt::format("key/{}", i), std::string(700, 'v'));
  }
  overwrite(file, 5 * 4096, std::string(4096, '\x5a'));
  CHECK(fault_of_open() == store_fault::corrupt);
}

TEST_CASE_METHOD(state,
                 "a full disk refuses the write whole, serves reads, and recovers by itself") {
  auto engine = open();
  put(*engine, "a", "1");
  const auto revision = engine->revision();
  engine->set_pages_max(20);
  CHECK(fault_of([&] { put(*engine, "b", std::string(200'000, 'v')); }) == store_fault::disk_full);
  CHECK(get(*engine, "a") == "1");
  CHECK(get(*engine, "b") == "(nothing)");
  CHECK(engine->revision() == revision);
  CHECK(engine->status().writable);
  engine->set_pages_max(1'000'000);
  put(*engine, "b", "2");
  CHECK(get(*engine, "b") == "2");
  CHECK(engine->revision() == revision + 1);
}

TEST_CASE_METHOD(state, "a group that meets a full disk happened not at all") {
  auto engine = open();
  put(*engine, "a", "1");
  engine->set_pages_max(20);
  engine->begin_group();
  put(*engine, "b", "1");
  CHECK(fault_of([&] { put(*engine, "c", std::string(200'000, 'v')); }) == store_fault::disk_full);
  bool committed = true;
  try {
    put(*engine, "d", "1");
    engine->commit_group();
  } catch (const store_error& error) {
    CHECK(error.fault() == store_fault::disk_full);
    engine->abandon_group();
    committed = false;
  }
  CHECK(get(*engine, "b") == (committed ? "1" : "(nothing)"));
  CHECK(get(*engine, "c") == "(nothing)");
  put(*engine, "e", "1");
  engine.reset();
  CHECK(get(*open(), "e") == "1");
}

TEST_CASE_METHOD(state, "a disk that is really full refuses writes and serves reads") {
  const auto disk = directory / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0) {
    WARN("no tmpfs can be mounted here: only the simulated full disk was tested");
    return;
  }
  file = disk + "/state.db";
  {
    auto engine = open();
    put(*engine, "a", "1");
    std::uint64_t written = 0;
    try {
      for (;; ++written) put(*engine, fmt::format("k{}", written), std::string(20'000, 'v'));
    } catch (const store_error& error) {
      CHECK(error.fault() == store_fault::disk_full);
    }
    CHECK(written > 5);
    CHECK(get(*engine, "a") == "1");
    CHECK(engine->range({key_range::prefix("k"), {}, 0, 0, true}).rows.size() == written);
    // With space the next write works, without a restart.
    REQUIRE(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=8m,mode=0700") == 0);
    put(*engine, "b", "2");
    engine.reset();
    engine = open();
    CHECK(get(*engine, "b") == "2");
    CHECK(engine->range({key_range::prefix("k"), {}, 0, 0, true}).rows.size() == written);
  }
  CHECK(umount(disk.c_str()) == 0);
}

TEST_CASE_METHOD(state, "a lone write is synced before it returns, and a group once for all") {
  store_faults faults;
  auto engine = open();
  put(*engine, "warm", "1");
  const auto before = faults.syncs;
  for (int i = 0; i < 10; ++i) put(*engine, fmt::format("a{}", i), "1");
  CHECK(faults.syncs == before + 10);
  engine->begin_group();
  for (int i = 0; i < 10; ++i) put(*engine, fmt::format("b{}", i), "1");
  engine->commit_group();
  CHECK(faults.syncs == before + 11);
  engine->range({});
  engine->txn({{}, {txn_op::get("a1")}, {}});
  CHECK(faults.syncs == before + 11);
}

TEST_CASE_METHOD(state, "after a failed sync no write is taken until the state is opened again") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) == store_fault::io_error);
  faults.fail_sync = SQLITE_OK;
  CHECK(fault_of([&] { put(*engine, "c", "1"); }) == store_fault::io_error);
  CHECK(fault_of([&] { engine->begin_group(); }) == store_fault::io_error);
  CHECK(get(*engine, "a") == "1");
  const auto status = engine->status();
  CHECK_FALSE(status.writable);
  REQUIRE(status.refusing);
  CHECK_FALSE(status.refusing->why.empty());
  engine.reset();
  engine = open();
  CHECK(get(*engine, "a") == "1");
  CHECK(get(*engine, "c") == "(nothing)");
  put(*engine, "c", "2");
}

TEST_CASE_METHOD(state, "when the disk works again so does the state, without being opened anew") {
  store_faults faults;
  auto engine = open();
  const auto lease = engine->grant(100'000).id;
  put(*engine, "a", "1");
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) == store_fault::io_error);
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  CHECK_FALSE(engine->status().writable);  // the disk still fails
  CHECK(get(*engine, "a") == "1");
  faults.fail_sync = SQLITE_OK;
  engine->maintain();
  CHECK_FALSE(engine->status().writable);  // looked at a moment ago
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  REQUIRE(engine->status().writable);
  CHECK(get(*engine, "a") == "1");
  put(*engine, "c", "1");
  CHECK(engine->keep_alive(lease).id == lease);
  engine.reset();
  engine = open();
  CHECK(get(*engine, "c") == "1");
  CHECK_FALSE(std::filesystem::exists(file + ".probe"));
}

TEST_CASE_METHOD(state, "a state whose acknowledged writes are gone is not gone on with") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) == store_fault::io_error);
  faults.fail_sync = SQLITE_OK;
  std::filesystem::resize_file(file + "-wal", 0);  // what a disk may do that lost its cache
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  CHECK_FALSE(engine->status().writable);
  CHECK(fault_of([&] { get(*engine, "a"); }) == store_fault::corrupt);
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  CHECK(fault_of([&] { put(*engine, "c", "1"); }) == store_fault::corrupt);
}

TEST_CASE_METHOD(state, "a state that cannot be opened again is looked for again and again") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) == store_fault::io_error);
  faults.fail_sync = SQLITE_OK;
  const auto away = file + ".away";
  std::filesystem::rename(file, away);
  for (int i = 0; i < 3; ++i) {
    clock.advance(store_limits::recover_retry_ms);
    engine->maintain();
    CHECK_FALSE(engine->status().writable);
    CHECK(fault_of([&] { get(*engine, "a"); }) == store_fault::io_error);
    CHECK(fault_of([&] { engine->begin_backup(directory / "backup"); }) == store_fault::io_error);
  }
  std::filesystem::rename(away, file);
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  CHECK(get(*engine, "a") == "1");
  put(*engine, "c", "1");
}

TEST_CASE_METHOD(state,
                 "a disk that fails while a group is given up does not make the state forget") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  const auto revision = engine->revision();
  engine->begin_group();
  put(*engine, "b", "1");
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  faults.fail_read = SQLITE_IOERR_READ;
  CHECK(fault_of([&] { engine->commit_group(); }) == store_fault::io_error);
  faults.fail_sync = faults.fail_read = SQLITE_OK;
  CHECK(engine->revision() >= revision);
}

TEST_CASE_METHOD(state, "a disk that takes no writes for a while is written to when it does") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  faults.fail_write = SQLITE_IOERR_WRITE;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) == store_fault::io_error);
  CHECK(get(*engine, "a") == "1");
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  CHECK_FALSE(engine->status().writable);
  faults.fail_write = SQLITE_OK;
  clock.advance(store_limits::recover_retry_ms);
  engine->maintain();
  put(*engine, "b", "2");
  engine.reset();
  CHECK(get(*open(), "b") == "2");
}

TEST_CASE_METHOD(state, "a failed write of the device refuses writes by name and serves reads") {
  store_faults faults;
  auto engine = open();
  put(*engine, "a", "1");
  faults.fail_write = SQLITE_IOERR_WRITE;
  CHECK(fault_of([&] { put(*engine, "b", "1"); }) != store_fault::internal);
  CHECK(get(*engine, "a") == "1");
  CHECK(get(*engine, "b") == "(nothing)");
}

TEST_CASE_METHOD(state, "a failed sync of housekeeping is noticed too") {
  store_faults faults;
  auto engine = open();
  for (int i = 0; i < 6; ++i) put(*engine, fmt::format("k{}", i), std::string(1'000'000, 'v'));
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  engine->maintain();
  CHECK_FALSE(engine->status().writable);
  CHECK(get(*engine, "k1").size() == 1'000'000);
}

TEST_CASE_METHOD(state, "housekeeping keeps the log and, after compaction, the file small") {
  auto engine = open();
  std::uint64_t largest = 0;
  for (int i = 0; i < 120; ++i) {
    put(*engine, "k", std::string(100'000, static_cast<char>('a' + i % 26)));
    if (engine->revision() > 12) engine->compact(engine->revision() - 10);
    while (engine->maintain()) {
    }
    largest = std::max(largest, engine->status().file_bytes);
  }
  // 12 MB were written; 11 revisions are kept, and the log is written back at 4 MiB.
  CHECK(largest < 8'000'000);
}

TEST_CASE_METHOD(state, "what was destroyed cannot be found in the file after compaction") {
  {
    auto engine = open();
    put(*engine, "k", "a secret that nobody should find");
    engine->txn({{}, {txn_op::erase("k")}, {}});
    engine->compact(engine->revision());
    while (engine->maintain()) {
    }
  }
  CHECK(contents(file).find("nobody should find") == std::string::npos);
}

TEST_CASE_METHOD(state, "a backup is a state of its own, and an existing file is not overwritten") {
  auto engine = open();
  put(*engine, "a", "1");
  const auto copy = directory / "copy.db";
  const auto made = backup(*engine, copy);
  CHECK(made.revision == engine->revision());
  CHECK(made.bytes == std::filesystem::file_size(copy));
  put(*engine, "a", "2");
  CHECK(fault_of([&] { backup(*engine, copy); }) == store_fault::exists);
  CHECK(fault_of([&] { backup(*engine, "copy.db"); }) == store_fault::invalid);
  CHECK(fault_of([&] { backup(*engine, directory / "none/copy.db"); }) == store_fault::io_error);
  CHECK(mode_of(copy) == 0600U);
  auto restored = sqlite_store::open(copy, clock.reader());
  CHECK(get(*restored, "a") == "1");
  CHECK(get(*engine, "a") == "2");
}

TEST_CASE_METHOD(state, "a backup that is made while writes go on is the state as of its end") {
  auto engine = open();
  for (int i = 0; i < 40; ++i) put(*engine, fmt::format("k{:02}", i), std::string(200'000, 'a'));
  const auto copying = engine->begin_backup(directory / "copy.db");
  std::optional<backup_result> made;
  unsigned steps = 0;
  while (!(made = copying->step())) {
    // What was copied already changes, and so does what is still to come.
    put(*engine, "k00", std::string(200'000, static_cast<char>('b' + steps % 20)));
    put(*engine, fmt::format("new{}", steps), "1");
    engine->maintain();
    if (++steps % 2 == 0) {
      engine->begin_group();
      put(*engine, "k39", "abandoned");
      engine->abandon_group();
    }
  }
  CHECK(steps > 3);
  auto copy = sqlite_store::open(directory / "copy.db", clock.reader());
  CHECK(copy->revision() == made->revision);
  CHECK(copy->range({}).rows == engine->range({}).rows);
  CHECK(copy->changes_since({1, key_range::all(), 0}).changes ==
        engine->changes_since({1, key_range::all(), 0}).changes);
}

TEST_CASE_METHOD(state, "a backup that is given up leaves nothing") {
  auto engine = open();
  for (int i = 0; i < 40; ++i) put(*engine, fmt::format("k{}", i), std::string(200'000, 'a'));
  engine->begin_backup(directory / "copy.db")->step();
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    CHECK(entry.path().filename().string().find("copy") == std::string::npos);
  }
}

TEST_CASE_METHOD(state, "a state of the first schema is brought up to date, with all it holds") {
  {
    auto engine = open();
    put(*engine, "a", "1");
    put(*engine, "a", "2");
  }
  const auto version = [&](const char* sql) {
    sqlite_connection other(file, SQLITE_OPEN_READWRITE);
    return other.number(sql);
  };
  version("PRAGMA user_version = 1");  // its tables are the same
  CHECK(version("PRAGMA user_version") == 1);
  {
    auto engine = open();
    CHECK(get(*engine, "a") == "2");
    CHECK(engine->range({key_range::all(), {}, 0, 2, false}).rows.at(0).value == "1");
  }
  CHECK(version("PRAGMA user_version") == state_schema_version);
}

TEST_CASE_METHOD(state, "a migration that fails leaves the old schema") {
  open();
  {
    sqlite_connection other(file, SQLITE_OPEN_READWRITE);
    other.exec("PRAGMA user_version = 1");
  }
  {
    store_faults faults;
    faults.fail_sync = SQLITE_IOERR_FSYNC;
    CHECK(fault_of_open() == store_fault::io_error);
  }
  {
    sqlite_connection other(file, SQLITE_OPEN_READWRITE);
    CHECK(other.number("PRAGMA user_version") <= state_schema_version);
  }
  auto engine = open();
  put(*engine, "a", "1");
}

TEST_CASE_METHOD(state, "a restored state goes on where none of its revisions was made before") {
  auto engine = open();
  put(*engine, "a", "1");
  const auto before = engine->revision();
  const auto after = engine->begin_anew(before + 1);
  CHECK(after > before + 1'000'000'000);
  CHECK(engine->changes_since({before, key_range::all(), 0}).compacted);
  CHECK(get(*engine, "a") == "1");
  put(*engine, "a", "2");
  while (engine->maintain()) {
  }
  engine.reset();
  engine = open();
  CHECK(engine->revision() == after + 1);
  CHECK(engine->begin_anew(std::uint64_t{1} << 42) == std::uint64_t{1} << 42);
}

// -- kill -9 ---------------------------------------------------

namespace {

/// Runs the writer, reads `acknowledgements` lines, kills it, reads what it said before it died.
/// Returns the last number it acknowledged.
std::uint64_t write_and_kill(const std::string& file, unsigned seed, unsigned acknowledgements) {
  std::array<int, 2> pipe_fds{};
  REQUIRE(pipe2(pipe_fds.data(), O_CLOEXEC) == 0);
  const std::string program = BULKHEAD_STORE_WRITER;
  const auto seed_text = std::to_string(seed);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(pipe_fds[1], STDOUT_FILENO);
    execl(program.c_str(), program.c_str(), file.c_str(), seed_text.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_fds[1]);
  std::string said;
  std::array<char, 4096> buffer{};
  bool killed = false;
  for (;;) {
    const auto size = read(pipe_fds[0], buffer.data(), buffer.size());
    if (size <= 0) break;
    said.append(buffer.data(), static_cast<std::size_t>(size));
    if (!killed && std::count(said.begin(), said.end(), '\n') > acknowledgements) {
      kill(pid, SIGKILL);
      killed = true;
    }
  }
  close(pipe_fds[0]);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  INFO(said);
  REQUIRE(WIFSIGNALED(status));
  said.resize(said.rfind('\n') + 1);
  if (said.size() <= 7) return 0;  // "opened" alone
  const auto line = said.rfind('\n', said.size() - 2) + 1;
  return std::stoull(said.substr(line));
}

/// Everything up to `acknowledged` is there, and nothing is there by half.
std::uint64_t check_pairs(store& engine, std::uint64_t acknowledged) {
  const auto newest_text = get(engine, "newest");
  const std::uint64_t newest = newest_text == "(nothing)" ? 0 : std::stoull(newest_text);
  CHECK(newest >= acknowledged);
  std::uint64_t pairs = 0;
  range_request request;
  request.keys = key_range::prefix("left/");
  for (;;) {
    const auto page = engine.range(request);
    for (const auto& row : page.rows) {
      ++pairs;
      const auto number = row.key.substr(5);
      if (row.value.rfind(number, 0) != 0 || get(engine, "right/" + number) != row.value) {
        FAIL("transaction " << number << " is there by half");
      }
    }
    if (!page.more) break;
    request.after = page.rows.back().key;
  }
  CHECK(pairs == newest);
  CHECK(engine.range({key_range::prefix("right/"), {}, 0, 0, true}).rows.size() ==
        std::min<std::uint64_t>(newest, store_limits::page_rows_max));
  return newest;
}

}  // namespace

TEST_CASE_METHOD(state,
                 "kill -9 at 50 random moments loses nothing acknowledged and leaves no half") {
  std::mt19937 random(7);
  std::uint64_t newest = 0;
  for (unsigned round = 0; round < 50; ++round) {
    INFO("round " << round);
    const auto acknowledged = write_and_kill(file, round, static_cast<unsigned>(random() % 25));
    REQUIRE(std::max(acknowledged, newest) >= newest);
    if (!std::filesystem::exists(file)) continue;  // killed before the state was made
    auto engine = open();
    newest = check_pairs(*engine, std::max(acknowledged, newest));
  }
  CHECK(newest > 100);
}
