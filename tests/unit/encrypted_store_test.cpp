// SPDX-License-Identifier: Apache-2.0
// The encrypting layer over the embedded engine on real files: the random suite, what is on the
// disk, keys that fit and do not, the way from plain to encrypted and from key to key, and values
// that somebody changed.
#include "broker/store/encrypted_store.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "broker/store/key_check.hpp"
#include "broker/store/row_checksum.hpp"
#include "broker/store/sqlite_connection.hpp"
#include "broker/store/sqlite_store.hpp"
#include "store_faults.hpp"
#include "store_suite.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

struct sealed_state {
  temporary_directory directory;
  std::string file = directory / "state.db";
  std::string keys = directory / "keys";
  hand_clock clock;

  std::unique_ptr<store> open() const {
    return with_encryption(sqlite_store::open(file, clock.reader()),
                           {[file = keys] { return state_keys::load(file); }, {"view/"}, {}});
  }
  std::unique_ptr<store> open_plain() const {
    return with_encryption(sqlite_store::open(file, clock.reader()), {});
  }
  std::string contents() const {
    std::string all;
    for (const char* suffix : {"", "-wal"}) {
      std::ifstream stream(file + suffix, std::ios::binary);
      all.append(std::istreambuf_iterator<char>(stream), {});
    }
    return all;
  }
};

void put(store& engine, const std::string& key, const std::string& value) {
  engine.txn({{}, {txn_op::put(key, value)}, {}});
}

std::string get(store& engine, const std::string& key) {
  const auto rows = engine.range({key_range::one(key), {}, 0, 0, false}).rows;
  return rows.empty() ? "(nothing)" : rows.front().value;
}

void finish(store& engine) {
  while (engine.maintain()) {
  }
  CHECK_FALSE(engine.status().rewriting);
  CHECK_FALSE(engine.status().rewrite_failure);
}

template <class F>
store_failure failure_of(F&& operation) {
  try {
    operation();
  } catch (const store_error& error) {
    return error.failure();
  }
  FAIL("it did not fail");
  return {};
}

/// Puts other bytes in a value's place as somebody would who knows the format: the checksum fits.
void forge(const std::string& file, const std::string& key,
           const std::function<std::string(std::string)>& change) {
  sqlite_connection db(file, SQLITE_OPEN_READWRITE);
  sqlite_statement find(db,
                        "SELECT id, create_revision, version, lease, value FROM history "
                        "WHERE key = ?1 ORDER BY id DESC LIMIT 1");
  std::uint64_t id = 0;
  store_row row;
  {
    sqlite_query query(find);
    query.bytes(key);
    REQUIRE(query.row());
    id = query.number_at(0);
    row = {key,
           change(std::string(query.bytes_at(4))),
           query.number_at(1),
           0,
           query.number_at(2),
           query.number_at(3)};
  }
  sqlite_statement set(db, "UPDATE history SET value = ?1, checksum = ?2 WHERE id = ?3");
  sqlite_query(set).bytes(row.value).number(row_checksum(row, false, id)).number(id).run();
}

}  // namespace

TEST_CASE("an encrypted state does what the model does, over reopening and new keys") {
  const auto seed = GENERATE(range(300U, 304U));
  const sealed_state at;
  add_state_key(at.keys);
  unsigned lives = 0;
  const auto open = [&](store_clock clock) {
    // Of the keys that meet in one transaction some are encrypted and others are not.
    return with_encryption(sqlite_store::open(at.file, std::move(clock)),
                           {[&at] { return state_keys::load(at.keys); }, {"k/1", "a"}, {}});
  };
  store_suite suite(open,
                    [&](std::unique_ptr<store> engine, store_clock clock) {
                      engine.reset();
                      if (++lives % 2 == 0 && lives < 20) add_state_key(at.keys);
                      return open(std::move(clock));
                    },
                    seed, {.compares_values = false});
  suite.run(500);
}

TEST_CASE_METHOD(sealed_state, "no encrypted value is in the file, the log or a backup") {
  add_state_key(keys);
  auto engine = open();
  put(*engine, "view/1/a", "a value that nobody should find");
  put(*engine, "other/1/a", "a value that anybody may find");
  CHECK(contents().find("nobody should find") == std::string::npos);
  CHECK(contents().find("anybody may find") != std::string::npos);
  CHECK(get(*engine, "view/1/a") == "a value that nobody should find");
  const auto copy = directory / "copy.db";
  backup(*engine, copy);
  engine.reset();
  CHECK(contents().find("nobody should find") == std::string::npos);
  file = copy;
  CHECK(contents().find("nobody should find") == std::string::npos);
  CHECK(get(*open(), "view/1/a") == "a value that nobody should find");
}

TEST_CASE_METHOD(sealed_state, "the same value is never the same bytes twice") {
  add_state_key(keys);
  auto engine = open();
  put(*engine, "view/1/a", "v");
  put(*engine, "view/1/b", "v");
  engine.reset();
  const auto plain = sqlite_store::open(file, clock.reader());
  CHECK(get(*plain, "view/1/a") != get(*plain, "view/1/b"));
  CHECK(get(*plain, "view/1/a").size() == 1 + seal_overhead_bytes);
}

TEST_CASE_METHOD(sealed_state, "without its key, or with another one, the state does not open") {
  const auto id = add_state_key(keys);
  put(*open(), "view/1/a", "v");
  const auto before = contents();
  const auto without = failure_of([&] { open_plain(); });
  CHECK(without.fault == store_fault::wrong_key);
  CHECK(without.why.find(key_id_text(id)) != std::string::npos);
  const auto good = keys;
  keys = directory / "other-keys";
  add_state_key(keys);
  const auto other = failure_of([&] { open(); });
  CHECK(other.fault == store_fault::wrong_key);
  CHECK(other.why.find(key_id_text(id)) != std::string::npos);
  CHECK(contents() == before);
  keys = directory / "none";
  CHECK(failure_of([&] { open(); }).fault == store_fault::wrong_key);
  keys = good;
  CHECK(get(*open(), "view/1/a") == "v");
}

TEST_CASE_METHOD(sealed_state, "a plain state is encrypted in steps while it is used") {
  {
    auto engine = open_plain();
    for (int i = 0; i < 1200; ++i) {
      put(*engine, fmt::format("view/1/{:04}", i), fmt::format("a plain secret {}", i));
    }
    put(*engine, "view/1/0000", "a plain secret again");
  }
  CHECK(contents().find("plain secret") != std::string::npos);
  add_state_key(keys);
  auto engine = open();
  const auto first = engine->range({key_range::prefix("view/"), {}, 0, 0, false}).rows;
  CHECK(engine->maintain());
  CHECK(engine->status().rewriting);
  CHECK(get(*engine, "view/1/0001") == "a plain secret 1");
  CHECK(get(*engine, "view/1/1199") == "a plain secret 1199");
  put(*engine, "view/1/1198", "written meanwhile");
  // Killed in between: the rest is done by the next broker.
  engine.reset();
  engine = open();
  CHECK(get(*engine, "view/1/0001") == "a plain secret 1");
  CHECK(get(*engine, "view/1/1199") == "a plain secret 1199");
  finish(*engine);
  CHECK(get(*engine, "view/1/1198") == "written meanwhile");
  auto last = engine->range({key_range::prefix("view/"), {}, 0, 0, false}).rows;
  last.at(998) = first.at(998);
  REQUIRE(last.size() == 1000);
  CHECK(std::equal(last.begin(), last.begin() + 998, first.begin()));  // revisions too
  CHECK(engine->range({key_range::one("view/1/0000"), {}, 0, 2, false}).rows.at(0).value ==
        "a plain secret 0");
  engine.reset();
  CHECK(contents().find("plain secret") == std::string::npos);
  CHECK(failure_of([&] { open_plain(); }).fault == store_fault::wrong_key);
}

TEST_CASE_METHOD(sealed_state, "a new key encrypts everything anew, and then the old one may go") {
  const auto old_key = add_state_key(keys);
  auto engine = open();
  for (int i = 0; i < 700; ++i) put(*engine, fmt::format("view/1/{:04}", i), fmt::to_string(i));
  finish(*engine);
  const auto new_key = add_state_key(keys);
  engine->rotate_key();
  CHECK(engine->maintain());
  CHECK(engine->status().rewriting);
  CHECK(get(*engine, "view/1/0000") == "0");
  CHECK(get(*engine, "view/1/0699") == "699");
  finish(*engine);
  CHECK(engine->status().rewritten == 700);
  CHECK(get(*engine, "view/1/0350") == "350");
  engine.reset();
  // The file as an operator leaves it: without the old key.
  std::ifstream in(keys);
  std::string head;
  std::string line;
  std::getline(in, head);
  std::getline(in, line);
  std::getline(in, line);
  std::ofstream(keys, std::ios::trunc) << head << "\n" << line << "\n";
  CHECK(state_keys::load(keys).find(old_key) == nullptr);
  engine = open();
  CHECK(get(*engine, "view/1/0699") == "699");
  CHECK(key_of_state(*engine) == new_key);
}

TEST_CASE_METHOD(sealed_state, "a key that is still needed cannot be taken away") {
  const auto old_key = add_state_key(keys);
  auto engine = open();
  for (int i = 0; i < 700; ++i) put(*engine, fmt::format("view/1/{:04}", i), fmt::to_string(i));
  finish(*engine);
  add_state_key(keys);
  engine->rotate_key();
  engine->maintain();
  engine.reset();
  const auto whole = keys;
  keys = directory / "cut";
  {
    std::ifstream in(whole);
    std::string head;
    std::string line;
    std::getline(in, head);
    std::getline(in, line);
    std::getline(in, line);
    std::ofstream(keys) << head << "\n" << line << "\n";
    std::filesystem::permissions(keys, std::filesystem::perms::owner_read);
  }
  const auto refused = failure_of([&] { open(); });
  CHECK(refused.fault == store_fault::wrong_key);
  CHECK(refused.why.find(key_id_text(old_key)) != std::string::npos);
  keys = whole;
  engine = open();
  finish(*engine);
  CHECK(get(*engine, "view/1/0001") == "1");
}

TEST_CASE_METHOD(sealed_state, "a value that was changed or moved is damaged, and no other") {
  add_state_key(keys);
  {
    auto engine = open();
    for (const char* key : {"view/1/a", "view/1/b", "view/2/a"}) put(*engine, key, "v");
    finish(*engine);
  }
  std::string other;
  forge(file, "view/2/a", [&](std::string value) { return other = std::move(value); });
  SECTION("one bit") {
    forge(file, "view/1/a", [](std::string value) {
      value.back() = static_cast<char>(value.back() ^ 1);
      return value;
    });
  }
  SECTION("another mount's value") {
    forge(file, "view/1/a", [&](const std::string&) { return other; });
  }
  SECTION("cut") {
    forge(file, "view/1/a", [](std::string value) { return value.substr(0, value.size() - 1); });
  }
  SECTION("nothing") {
    forge(file, "view/1/a", [](const std::string&) { return ""; });
  }
  SECTION("a plain value") {
    forge(file, "view/1/a", [](const std::string&) { return "v"; });
  }
  auto engine = open();
  const auto failure = failure_of([&] { get(*engine, "view/1/a"); });
  CHECK(failure.fault == store_fault::corrupt);
  CHECK((failure.what + failure.why).find("view/") == std::string::npos);
  CHECK(get(*engine, "view/1/b") == "v");
  CHECK(get(*engine, "view/2/a") == "v");
  add_state_key(keys);
  engine->rotate_key();
  finish(*engine);  // what is damaged stays so, and holds up nothing
  CHECK(get(*engine, "view/1/b") == "v");
  CHECK(failure_of([&] { get(*engine, "view/1/a"); }).fault == store_fault::corrupt);
  put(*engine, "view/1/a", "mended");
  CHECK(get(*engine, "view/1/a") == "mended");
}

TEST_CASE_METHOD(sealed_state, "a key check that was changed is damage") {
  add_state_key(keys);
  put(*open(), "view/1/a", "v");
  forge(file, std::string(key_check_key), [](std::string value) {
    value.back() = static_cast<char>(value.back() ^ 1);
    return value;
  });
  CHECK(failure_of([&] { open(); }).fault == store_fault::corrupt);
}

TEST_CASE_METHOD(sealed_state, "a step whose outcome is unknown is judged by what the disk has") {
  {
    auto engine = open_plain();
    for (int i = 0; i < 20; ++i) put(*engine, fmt::format("view/1/{:04}", i), fmt::to_string(i));
  }
  add_state_key(keys);
  store_faults faults;
  auto engine = open();
  faults.fail_sync = SQLITE_IOERR_FSYNC;
  engine->maintain();
  REQUIRE(engine->status().rewrite_failure);
  CHECK(engine->status().rewrite_failure->fault == store_fault::io_error);
  CHECK(get(*engine, "view/1/0007") == "7");
  faults.fail_sync = SQLITE_OK;
  clock.advance(store_limits::recover_retry_ms);
  finish(*engine);
  for (int i = 0; i < 20; ++i) {
    CHECK(get(*engine, fmt::format("view/1/{:04}", i)) == fmt::to_string(i));
  }
}

TEST_CASE_METHOD(sealed_state,
                 "an encrypted value cannot be compared, and one too large is named") {
  add_state_key(keys);
  auto engine = open();
  txn_compare compare;
  compare.key = "view/1/a";
  compare.target = compare_target::value;
  CHECK(failure_of([&] { engine->txn({{compare}, {}, {}}); }).fault == store_fault::invalid);
  const std::string most(store_limits::value_bytes_max - seal_overhead_bytes, 'v');
  put(*engine, "view/1/a", most);
  CHECK(get(*engine, "view/1/a") == most);
  CHECK(failure_of([&] { put(*engine, "view/1/a", most + "v"); }).fault == store_fault::invalid);
}

TEST_CASE("a key check is read back as it was written, and nothing else is one") {
  const key_check check{120, 4711, {0x0f3a55c2d1e09b77, 1}};
  const auto text = print_key_check(check);
  CHECK(parse_key_check(text) == check);
  CHECK_FALSE(parse_key_check(text + "x"));
  CHECK_FALSE(parse_key_check(text.substr(0, text.size() - 1)));
  CHECK_FALSE(parse_key_check("bulkhead-key-check 1\nplain 0 0\nkeys\n"));
  CHECK_FALSE(parse_key_check(""));
}

namespace {

/// Microseconds of one put and one get of a value of that size.
std::pair<double, double> cost_of(store& engine, std::size_t bytes) {
  constexpr int rounds = 200;
  const std::string value(bytes, 'v');
  const auto us_each = [](auto work) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) work(i);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    return took.count() / rounds;
  };
  const auto put_us = us_each([&](int i) { put(engine, fmt::format("view/1/{}", i), value); });
  const auto get_us = us_each([&](int i) { get(engine, fmt::format("view/1/{}", i)); });
  return {put_us, get_us};
}

}  // namespace

TEST_CASE_METHOD(sealed_state, "what encryption costs, without a disk, is a small part of a call") {
  add_state_key(keys);
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{64} << 10U}) {
    const auto plain_engine = sqlite_store::in_memory(clock.reader());
    const auto sealed_engine = with_encryption(sqlite_store::in_memory(clock.reader()),
                                               {[this] { return state_keys::load(keys); }});
    cost_of(*plain_engine, bytes);
    const auto plain = cost_of(*plain_engine, bytes);
    cost_of(*sealed_engine, bytes);
    const auto sealed = cost_of(*sealed_engine, bytes);
    std::printf(
        "%zu bytes: put %.1f us plain, %.1f us encrypted (x%.2f); get %.1f us, %.1f us (x%.2f)\n",
        bytes, plain.first, sealed.first, sealed.first / plain.first, plain.second, sealed.second,
        sealed.second / plain.second);
    CHECK(sealed.first < 2000);
    CHECK(sealed.second < 2000);
  }
}
