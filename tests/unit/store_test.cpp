// SPDX-License-Identifier: Apache-2.0
// The interface of the store: the random suite against the model, and the rules one by one. All on
// the embedded engine in memory; the suite runs on a file, with reopening, in
// sqlite_store_test.cpp.
#include "broker/store/store.hpp"

#include <algorithm>
#include <set>

#include "broker/store/sqlite_store.hpp"
#include "broker/store/wipe.hpp"
#include "store_suite.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

struct fixture {
  hand_clock clock;
  std::unique_ptr<store> engine = sqlite_store::in_memory(clock.reader());

  txn_result put(const std::string& key, const std::string& value, std::uint64_t lease = 0) const {
    return engine->txn({{}, {txn_op::put(key, value, lease)}, {}});
  }
  std::vector<store_row> rows(const key_range& keys = key_range::all()) const {
    return engine->range({keys, {}, 0, 0, false}).rows;
  }
  template <class F>
  static store_fault fault_of(F&& operation) {
    try {
      operation();
    } catch (const store_error& error) {
      CHECK_FALSE(error.failure().what.empty());
      return error.fault();
    }
    FAIL("it did not fail");
    return store_fault::internal;
  }
};

}  // namespace

TEST_CASE("an engine does what the model does, whatever is asked of it") {
  const auto seed = GENERATE(range(1U, 13U));
  store_suite suite([](store_clock clock) { return sqlite_store::in_memory(std::move(clock)); },
                    nullptr, seed);
  suite.run(1200);
}

TEST_CASE_METHOD(fixture, "an empty state has revision 1 and no keys") {
  CHECK(engine->revision() == 1);
  CHECK(rows().empty());
}

TEST_CASE_METHOD(fixture, "each transaction that changes something makes one revision") {
  CHECK(put("a", "1").revision == 2);
  CHECK(engine->txn({{}, {txn_op::put("a", "2"), txn_op::put("b", "1")}, {}}).revision == 3);
  CHECK(engine->txn({{}, {txn_op::get("a")}, {}}).revision == 3);
  CHECK(engine->txn({{}, {txn_op::erase("nothing")}, {}}).revision == 3);
  CHECK(rows() == std::vector<store_row>{{"a", "2", 2, 3, 2, 0}, {"b", "1", 3, 3, 1, 0}});
}

TEST_CASE_METHOD(fixture, "a key that is made again starts a new life") {
  put("a", "1");
  engine->txn({{}, {txn_op::erase("a")}, {}});
  put("a", "2");
  CHECK(rows() == std::vector<store_row>{{"a", "2", 4, 4, 1, 0}});
}

TEST_CASE_METHOD(fixture, "a compare that fails runs the other branch and changes nothing else") {
  put("a", "1");
  const txn_request request{
      {txn_compare::absent("a")}, {txn_op::put("a", "2")}, {txn_op::get("a")}};
  const auto result = engine->txn(request);
  CHECK_FALSE(result.succeeded);
  REQUIRE(result.responses.size() == 1);
  REQUIRE(result.responses[0].row);
  CHECK(result.responses[0].row->value == "1");
  CHECK(result.revision == 2);
}

TEST_CASE_METHOD(fixture, "a transaction that fails leaves nothing behind") {
  const txn_request request{{}, {txn_op::put("a", "1"), txn_op::put("b", "1", 77)}, {}};
  CHECK(fault_of([&] { engine->txn(request); }) == store_fault::lease_not_found);
  CHECK(rows().empty());
  CHECK(engine->revision() == 1);
}

TEST_CASE_METHOD(fixture, "of two compares and sets from one revision only one wins") {
  const auto first = put("a", "0").revision;
  const auto set = [&](const char* value) {
    return engine->txn({{txn_compare::unchanged("a", first)}, {txn_op::put("a", value)}, {}})
        .succeeded;
  };
  CHECK(set("1"));
  CHECK_FALSE(set("2"));
  CHECK(rows()[0].value == "1");
}

TEST_CASE_METHOD(fixture, "keys and values are accepted at their limits and refused above") {
  const std::string longest(store_limits::key_bytes_max, 'k');
  const std::string largest(store_limits::value_bytes_max, 'v');
  CHECK(put(longest, largest).succeeded);
  CHECK(rows()[0].value == largest);
  CHECK(fault_of([&] { put(longest + "k", ""); }) == store_fault::invalid);
  CHECK(fault_of([&] { put("k", largest + "v"); }) == store_fault::invalid);
  CHECK(fault_of([&] { put("", "v"); }) == store_fault::invalid);
}

TEST_CASE_METHOD(fixture, "a transaction has at most 128 operations, and changes a key once") {
  txn_request request;
  for (std::size_t i = 0; i < store_limits::txn_ops_max; ++i) {
    request.then.push_back(txn_op::put("k" + std::to_string(i), "v"));
    request.compares.push_back(txn_compare::absent("k" + std::to_string(i)));
  }
  CHECK(engine->txn(request).succeeded);
  request.then.push_back(txn_op::put("one more", "v"));
  CHECK(fault_of([&] { engine->txn(request); }) == store_fault::invalid);
  request.then.pop_back();
  request.compares.push_back(txn_compare::absent("one more"));
  CHECK(fault_of([&] { engine->txn(request); }) == store_fault::invalid);
  const txn_request twice{{}, {txn_op::put("a", "1"), txn_op::erase("a")}, {}};
  CHECK(fault_of([&] { engine->txn(twice); }) == store_fault::invalid);
}

TEST_CASE_METHOD(fixture, "a transaction above 32 MiB is refused") {
  txn_request request;
  const std::string value(std::size_t{1} << 20, 'v');
  for (int i = 0; i < 31; ++i) request.then.push_back(txn_op::put("k" + std::to_string(i), value));
  CHECK(engine->txn(request).succeeded);
  request.then.push_back(txn_op::put("last", value));
  CHECK(fault_of([&] { engine->txn(request); }) == store_fault::invalid);
}

TEST_CASE_METHOD(fixture, "a range comes in pages of at most 1000 rows that hold each key once") {
  for (int i = 0; i < 2500; i += 100) {
    txn_request request;
    for (int j = i; j < i + 100; ++j) {
      request.then.push_back(txn_op::put("k" + std::to_string(10000 + j), "v"));
    }
    engine->txn(request);
  }
  range_request request;
  request.keys = key_range::prefix("k");
  request.keys_only = true;
  std::vector<std::size_t> pages;
  std::set<std::string> keys;
  for (;;) {
    const auto page = engine->range(request);
    pages.push_back(page.rows.size());
    for (const auto& row : page.rows) keys.insert(row.key);
    if (!page.more) break;
    request.after = page.rows.back().key;
  }
  CHECK(pages == std::vector<std::size_t>{1000, 1000, 500});
  CHECK(keys.size() == 2500);
}

TEST_CASE_METHOD(fixture, "a page of large values ends early and says that there is more") {
  const std::string value(std::size_t{1} << 20, 'v');
  for (int i = 0; i < 6; ++i) put("k" + std::to_string(i), value);
  const auto page = engine->range({});
  CHECK(page.rows.size() == 4);
  CHECK(page.more);
}

TEST_CASE_METHOD(fixture, "a read in the past sees the map as it was") {
  put("a", "1");
  const auto then = put("b", "1").revision;
  put("a", "2");
  engine->txn({{}, {txn_op::erase("b")}, {}});
  const auto past = engine->range({key_range::all(), {}, 0, then, false});
  CHECK(past.rows == std::vector<store_row>{{"a", "1", 2, 2, 1, 0}, {"b", "1", 3, 3, 1, 0}});
  CHECK(past.revision == engine->revision());
  const auto read_at = [&](std::uint64_t revision) {
    engine->range({key_range::all(), {}, 0, revision, false});
  };
  CHECK(fault_of([&] { read_at(99); }) == store_fault::future_revision);
  engine->compact(then + 1);
  while (engine->maintain()) {
  }
  CHECK(fault_of([&] { read_at(then); }) == store_fault::compacted);
  CHECK(engine->range({key_range::all(), {}, 0, then + 1, false}).rows.size() == 2);
}

TEST_CASE_METHOD(fixture, "whoever saw a revision learns each later change once and in order") {
  const auto seen = put("a", "1").revision;
  put("a", "2");
  put("other", "x");
  engine->txn({{}, {txn_op::erase("a")}, {}});
  const auto told = engine->changes_since({seen, key_range::one("a"), 0});
  REQUIRE(told.changes.size() == 2);
  CHECK(told.changes[0].row.value == "2");
  CHECK(told.changes[1].kind == change_kind::erase);
  CHECK(told.changes[1].row.mod_revision == engine->revision());
  CHECK(told.revision == engine->revision());
  CHECK(engine->changes_since({told.revision, key_range::one("a"), 0}).changes.empty());
}

TEST_CASE_METHOD(fixture, "a page of changes never splits a revision") {
  engine->txn({{}, {txn_op::put("a", "1"), txn_op::put("b", "1"), txn_op::put("c", "1")}, {}});
  put("d", "1");
  const auto page = engine->changes_since({1, key_range::all(), 2});
  CHECK(page.changes.size() == 3);
  CHECK(page.more);
  CHECK(page.revision == 2);
}

TEST_CASE_METHOD(fixture, "a watcher behind the compacted revision is told so") {
  put("a", "1");
  put("a", "2");
  put("a", "3");
  engine->compact(3);
  const auto told = engine->changes_since({2, key_range::all(), 0});
  CHECK(told.compacted);
  CHECK(told.revision == 3);
  CHECK(engine->changes_since({3, key_range::all(), 0}).changes.size() == 1);
}

TEST_CASE_METHOD(fixture, "a key goes with its lease, in a revision of its own") {
  const auto lease = engine->grant(1000).id;
  put("a", "1", lease);
  const auto before = put("b", "1").revision;
  clock.advance(999);
  CHECK(engine->expire() == 0);
  CHECK(rows().size() == 2);
  clock.advance(1);
  CHECK(engine->expire() == 1);
  CHECK(rows().size() == 1);
  CHECK(engine->revision() == before + 1);
  CHECK(fault_of([&] { engine->keep_alive(lease); }) == store_fault::lease_not_found);
}

TEST_CASE_METHOD(fixture,
                 "a lease that is kept alive stays, and one that is revoked goes at once") {
  const auto lease = engine->grant(1000).id;
  put("a", "1", lease);
  clock.advance(900);
  engine->keep_alive(lease);
  clock.advance(900);
  CHECK(engine->expire() == 0);
  engine->revoke(lease);
  CHECK(rows().empty());
  CHECK(engine->grant(1000).id != lease);
}

TEST_CASE_METHOD(fixture, "a key that is put again without its lease outlives it") {
  const auto lease = engine->grant(1000).id;
  put("a", "1", lease);
  put("a", "2");
  engine->revoke(lease);
  CHECK(rows().size() == 1);
}

TEST_CASE_METHOD(fixture, "the time to live of a lease has limits") {
  CHECK(fault_of([&] { engine->grant(0); }) == store_fault::invalid);
  CHECK(fault_of([&] { engine->grant(store_limits::lease_ttl_ms_max + 1); }) ==
        store_fault::invalid);
  CHECK(engine->grant(store_limits::lease_ttl_ms_max).id != 0);
}

TEST_CASE_METHOD(fixture, "each write of a group fails or succeeds by itself") {
  engine->begin_group();
  put("a", "1");
  const auto bad = [&] { put("b", "1", 77); };
  CHECK(fault_of(bad) == store_fault::lease_not_found);
  put("c", "1");
  engine->commit_group();
  CHECK(rows() == std::vector<store_row>{{"a", "1", 2, 2, 1, 0}, {"c", "1", 3, 3, 1, 0}});
}

TEST_CASE_METHOD(fixture, "an abandoned group leaves no trace, leases included") {
  const auto lease = engine->grant(1000).id;
  engine->begin_group();
  put("a", "1", lease);
  const auto other = engine->grant(1000).id;
  engine->revoke(lease);
  engine->abandon_group();
  CHECK(rows().empty());
  CHECK(engine->revision() == 1);
  CHECK(engine->keep_alive(lease).id == lease);
  CHECK(fault_of([&] { engine->keep_alive(other); }) == store_fault::lease_not_found);
}

TEST_CASE("a prefix of bytes that cannot grow has no end") {
  CHECK_FALSE(key_range::prefix("\xff\xff").end);
  CHECK(key_range::prefix("a\xff").end == "b");
  CHECK(key_range::prefix("a\xff").contains("a\xff\xff"));
  CHECK_FALSE(key_range::prefix("a\xff").contains("b"));
}

TEST_CASE("a value that is wiped is gone from where it was, also where a longer one was before") {
  txn_request request;
  request.then.push_back(txn_op::put("a", std::string(100, 's')));
  request.otherwise.push_back(txn_op::put("b", "short"));
  auto& longer = request.then[0].value;
  auto& shorter = request.otherwise[0].value;
  longer.resize(10);
  const char* const first = longer.data();
  const char* const second = shorter.data();
  wipe(request);
  CHECK(longer.empty());
  CHECK(shorter.empty());
  REQUIRE(longer.data() == first);
  CHECK(std::all_of(first, first + longer.capacity(), [](char each) { return each == 0; }));
  CHECK(std::all_of(second, second + shorter.capacity(), [](char each) { return each == 0; }));
  CHECK(request.then[0].key == "a");
}
