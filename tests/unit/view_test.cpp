// SPDX-License-Identifier: Apache-2.0
// Views as a plugin meets them: through a real RPC connection over a pipe in memory, on the
// embedded engine. And the property that matters most: whatever a key holds, nothing outside the
// mount is read, listed, changed or removed.
#include "broker/view.hpp"

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <catch2/catch.hpp>
#include <random>

#include "broker/store/sqlite_store.hpp"
#include "schema/wire/connection.hpp"
#include "schema/wire/error_text.hpp"
#include "store_faults.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

const std::string mine = "11111111-aaaa-4bbb-8ccc-000000000001";
const std::string other = "11111111-aaaa-4bbb-8ccc-000000000002";

capnp::Text::Reader as_text(std::string_view bytes) {
  // Texts of Cap'n Proto end in NUL behind their last byte; those of a std::string do.
  return {bytes.data(), bytes.size()};
}

capnp::Data::Reader as_data(const std::string& bytes) {
  return kj::arrayPtr(bytes.data(), bytes.size()).asBytes();
}

struct got {
  bool found = false;
  std::string value;
  std::uint64_t revision = 0;
};

struct fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  std::unique_ptr<sqlite_store> engine = sqlite_store::in_memory([] { return std::uint64_t{1}; });
  inline_async_store store{*engine};
  kj::TwoWayPipe pipe = io.provider->newTwoWayPipe();
  wire::connection broker{kj::mv(pipe.ends[0]), wire::connection::side::SERVER,
                          capnp::Capability::Client(make_view(store, mine))};
  wire::connection plugin{kj::mv(pipe.ends[1]), wire::connection::side::CLIENT, nullptr};
  schema::View::Client view = plugin.bootstrap().castAs<schema::View>();

  using expectation = std::function<void(schema::Expect::Builder)>;
  static void anything(schema::Expect::Builder expect) { expect.setAnything(); }
  static void absent(schema::Expect::Builder expect) { expect.setAbsent(); }
  static expectation at_revision(std::uint64_t revision) {
    return [revision](schema::Expect::Builder expect) { expect.setRevision(revision); };
  }

  got get(const std::string& key) {
    auto request = view.getRequest();
    request.setKey(as_text(key));
    auto response = request.send().wait(io.waitScope);
    auto value = response.getValue().asChars();
    return {response.getFound(), std::string(value.begin(), value.size()), response.getRevision()};
  }
  std::uint64_t put(const std::string& key, const std::string& value,
                    const expectation& expect = anything) {
    auto request = view.putRequest();
    request.setKey(as_text(key));
    request.setValue(as_data(value));
    expect(request.initExpect());
    return request.send().wait(io.waitScope).getRevision();
  }
  bool erase(const std::string& key, const expectation& expect = anything) {
    auto request = view.deleteRequest();
    request.setKey(as_text(key));
    expect(request.initExpect());
    return request.send().wait(io.waitScope).getExisted();
  }
  std::pair<std::vector<std::string>, bool> list(const std::string& prefix,
                                                 const std::string& after = "",
                                                 std::uint32_t limit = 0) {
    auto request = view.listRequest();
    request.setPrefix(as_text(prefix));
    request.setAfter(as_text(after));
    request.setLimit(limit);
    auto response = request.send().wait(io.waitScope);
    std::vector<std::string> keys;
    for (auto key : response.getKeys()) keys.emplace_back(key.begin(), key.size());
    return {keys, response.getMore()};
  }

  template <class F>
  schema::ErrorKind kind_of(F&& operation) {
    schema::ErrorKind kind = schema::ErrorKind::UNKNOWN;
    auto thrown = kj::runCatchingExceptions([&] { operation(); });
    KJ_IF_MAYBE (exception, thrown) {
      // The broker speaks: one hop.
      const auto info = wire::parse_error(*exception);
      CHECK(info.hops == 1);
      CHECK_FALSE(info.what.empty());
      kind = info.kind;
    } else {
      FAIL("it did not fail");
    }
    return kind;
  }

  std::vector<store_row> everything_outside() {
    std::vector<store_row> outside;
    for (auto& row : engine->range({}).rows) {
      if (row.key.rfind("view/" + mine + "/", 0) != 0) outside.push_back(row);
    }
    return outside;
  }
};

std::string hostile_key(std::mt19937& random) {
  static const std::vector<std::string> parts = {"..",
                                                 "../",
                                                 "/",
                                                 "\\",
                                                 ".",
                                                 "view/",
                                                 other,
                                                 mine,
                                                 other + "/",
                                                 "secret",
                                                 "mounts/kv/",
                                                 "%2e%2e",
                                                 "%00",
                                                 "*",
                                                 "a",
                                                 "\x01",
                                                 "\x7f",
                                                 "\xc3\xa9",
                                                 "\xe2\x80\xae",
                                                 "\xf4\x8f\xbf\xbf",
                                                 " ",
                                                 "\n",
                                                 ";--",
                                                 "'",
                                                 std::string("\0", 1),
                                                 "\xff",
                                                 "\xc0\xaf",
                                                 "\xed\xa0\x80"};
  std::string key;
  for (auto count = random() % 6; count != 0; --count) key += parts[random() % parts.size()];
  return key;
}

}  // namespace

TEST_CASE_METHOD(fixture, "a key has a value and the revision of its last change") {
  CHECK_FALSE(get("a").found);
  CHECK(get("a").revision == 0);
  const auto revision = put("a", "1");
  CHECK(get("a").found);
  CHECK(get("a").value == "1");
  CHECK(get("a").revision == revision);
  CHECK(put("b", "1") > revision);
  CHECK(get("a").revision == revision);
  CHECK(erase("a"));
  CHECK_FALSE(erase("a"));
  CHECK_FALSE(get("a").found);
}

TEST_CASE_METHOD(fixture, "values are bytes, empty ones included") {
  const std::string bytes("\0\xff\x80z", 4);
  put("a", bytes);
  put("b", "");
  CHECK(get("a").value == bytes);
  CHECK(get("b").found);
  CHECK(get("b").value.empty());
}

TEST_CASE_METHOD(fixture, "a put that expects absence succeeds once") {
  put("a", "1", absent);
  CHECK(kind_of([&] { put("a", "2", absent); }) == schema::ErrorKind::CONFLICT);
  CHECK(get("a").value == "1");
}

TEST_CASE_METHOD(fixture, "a put or delete that expects a revision succeeds at that one alone") {
  const auto first = put("a", "1");
  const auto second = put("a", "2", at_revision(first));
  CHECK(kind_of([&] { put("a", "3", at_revision(first)); }) == schema::ErrorKind::CONFLICT);
  CHECK(kind_of([&] { erase("a", at_revision(first)); }) == schema::ErrorKind::CONFLICT);
  CHECK(kind_of([&] { erase("a", absent); }) == schema::ErrorKind::CONFLICT);
  CHECK(get("a").value == "2");
  CHECK(erase("a", at_revision(second)));
  CHECK_FALSE(erase("a", absent));
  CHECK(put("a", "new", at_revision(0)) != 0);
}

TEST_CASE_METHOD(fixture, "a list comes in order, by prefix, in pages") {
  for (const char* key : {"b/2", "a", "b/1", "b", "b/3", "c"}) put(key, "v");
  CHECK(list("").first == std::vector<std::string>{"a", "b", "b/1", "b/2", "b/3", "c"});
  CHECK(list("b/").first == std::vector<std::string>{"b/1", "b/2", "b/3"});
  CHECK(list("b/", "b/1").first == std::vector<std::string>{"b/2", "b/3"});
  CHECK(list("b/", "a").first.size() == 3);
  CHECK(list("b/", "c").first.empty());
  const auto page = list("", "", 4);
  CHECK(page.first.size() == 4);
  CHECK(page.second);
  CHECK(list("", page.first.back(), 4) == std::pair(std::vector<std::string>{"b/3", "c"}, false));
}

TEST_CASE_METHOD(fixture, "a page has at most 1000 keys, whatever is asked for") {
  for (int i = 0; i < 1001; ++i) {
    engine->txn({{}, {txn_op::put(view_prefix(mine) + "k" + std::to_string(i), "")}, {}});
  }
  CHECK(list("", "", 0).first.size() == 1000);
  CHECK(list("", "", 5000).first.size() == 1000);
  CHECK(list("", "", 999).first.size() == 999);
  CHECK(list("").second);
}

TEST_CASE_METHOD(fixture, "keys and values are accepted at their limits and refused above") {
  const std::string longest(view_key_bytes_max, 'k');
  const std::string largest(view_value_bytes_max, 'v');
  put(longest, largest);
  CHECK(get(longest).value == largest);
  CHECK(list("").first == std::vector<std::string>{longest});
  CHECK(kind_of([&] { put(longest + "k", ""); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { put("k", largest + "v"); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { get(""); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { get(std::string("a\0b", 3)); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { erase("\xff"); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { list(longest + "k"); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { list("", "\xc0\x80"); }) == schema::ErrorKind::INVALID_ARGUMENT);
}

TEST_CASE("the rules of a key") {
  const std::vector<std::string> good = {
      "a", "/", "..", "../x", "\xc3\xa9", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "\x01"};
  for (const auto& key : good) CHECK(check_view_key(key).empty());
  const std::vector<std::string> bad = {"",
                                        "\x80",
                                        "\xc0\xaf",
                                        "\xc1\xbf",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xc3",
                                        "\xe2\x82",
                                        "a\xff"};
  for (const auto& key : bad) CHECK_FALSE(check_view_key(key).empty());
}

TEST_CASE_METHOD(fixture, "a transaction does all or nothing") {
  const auto revision = put("a", "1");
  const auto transact = [&](std::uint64_t expected) {
    auto request = view.transactRequest();
    auto changes = request.initChanges(4);
    changes[0].setKey("a");
    changes[0].initExpect().setRevision(expected);
    changes[0].setCheck();
    changes[1].setKey("a");
    changes[1].setPut(as_data("2"));
    changes[2].setKey("b");
    changes[2].initExpect().setAbsent();
    changes[2].setPut(as_data("1"));
    changes[3].setKey("c");
    changes[3].setDelete();
    return request.send().wait(io.waitScope).getRevision();
  };
  CHECK(kind_of([&] { transact(revision + 7); }) == schema::ErrorKind::CONFLICT);
  CHECK(get("a").value == "1");
  CHECK_FALSE(get("b").found);
  const auto done = transact(revision);
  CHECK(get("a").revision == done);
  CHECK(get("b").revision == done);
  CHECK(kind_of([&] { transact(revision); }) == schema::ErrorKind::CONFLICT);
}

TEST_CASE_METHOD(fixture, "a transaction has at most 128 changes, and changes a key once") {
  const auto transact = [&](unsigned count, bool same_key) {
    auto request = view.transactRequest();
    auto changes = request.initChanges(count);
    for (unsigned i = 0; i < count; ++i) {
      changes[i].setKey(same_key ? std::string("k") : "k" + std::to_string(i));
      changes[i].setPut(as_data("v"));
    }
    request.send().wait(io.waitScope);
  };
  transact(128, false);
  transact(0, false);
  CHECK(list("").first.size() == 128);
  CHECK(kind_of([&] { transact(129, false); }) == schema::ErrorKind::INVALID_ARGUMENT);
  CHECK(kind_of([&] { transact(2, true); }) == schema::ErrorKind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "no key reaches anything outside the mount") {
  engine->txn(
      {{},
       {txn_op::put("mounts/kv/", "record"), txn_op::put("view", "x"), txn_op::put("view/", "x"),
        txn_op::put("view/" + mine, "x"), txn_op::put("view/" + mine + "0", "x"),
        txn_op::put("view/" + other + "/secret", "x"), txn_op::put("view0", "x"),
        txn_op::put("\xff", "x")},
       {}});
  const auto outside = everything_outside();
  std::map<std::string, std::string> model;
  std::mt19937 random(GENERATE(range(1U, 5U)));
  for (int i = 0; i < 1500; ++i) {
    const auto key = hostile_key(random);
    INFO("key " << wire::escape_line(key));
    const bool allowed = check_view_key(key).empty();
    const auto attempt = [&](auto operation) {
      if (allowed) {
        operation();
      } else {
        CHECK(kind_of(operation) == schema::ErrorKind::INVALID_ARGUMENT);
      }
    };
    switch (random() % 4) {
      case 0:
        attempt([&] {
          put(key, key);
          model[key] = key;
        });
        break;
      case 1:
        attempt([&] {
          const auto existed = erase(key);
          CHECK(existed == (model.erase(key) == 1));
        });
        break;
      case 2:
        attempt([&] {
          const auto found = get(key).found;
          CHECK(found == (model.count(key) == 1));
        });
        break;
      default:
        if (!key.empty() && !allowed) break;
        for (const auto& listed : list(key).first) {
          CHECK(listed.rfind(key, 0) == 0);
          CHECK(model.count(listed) == 1);
        }
        for (const auto& listed : list("", key).first) CHECK(model.count(listed) == 1);
    }
  }
  CHECK(everything_outside() == outside);
  std::vector<std::string> keys;
  keys.reserve(model.size());
  for (const auto& [key, value] : model) keys.push_back(key);
  CHECK(list("").first == keys);
}

TEST_CASE_METHOD(fixture, "a deleted view takes nothing of its neighbours along") {
  for (int i = 0; i < 300; ++i) put("k" + std::to_string(i), "v");
  engine->txn({{},
               {txn_op::put("view/" + other + "/k", "v"), txn_op::put("mounts/kv/", "v"),
                txn_op::put("view/" + mine + "0", "v")},
               {}});
  CHECK(delete_view(store, mine).wait(io.waitScope) == 300);
  CHECK(list("").first.empty());
  CHECK(engine->range({}).rows.size() == 3);
  CHECK(delete_view(store, mine).wait(io.waitScope) == 0);
}

TEST_CASE("the uuid of a view cannot lead elsewhere") {
  CHECK(view_prefix(mine) == "view/" + mine + "/");
  for (const std::string bad : {"", "a/b", "..", "a.b", "a b", "\xc3\xa9"}) {
    CHECK_THROWS(view_prefix(bad));
  }
  CHECK_THROWS(view_prefix(std::string(65, 'a')));
}

TEST_CASE_METHOD(fixture, "a full disk is told as a failure of storage, and reads go on") {
  put("a", "1");
  engine->set_pages_max(16);
  CHECK(kind_of([&] { put("b", std::string(500'000, 'v')); }) == schema::ErrorKind::STORAGE);
  CHECK(get("a").value == "1");
  CHECK_FALSE(get("b").found);
}

TEST_CASE_METHOD(fixture, "failures hold neither keys nor values") {
  const auto text_of = [&](auto operation) -> std::string {
    auto thrown = kj::runCatchingExceptions([&] { operation(); });
    KJ_IF_MAYBE (exception, thrown) return exception->getDescription().cStr();
    return {};
  };
  put("hidden", "1");
  for (const auto& text :
       {text_of([&] { put("hidden", "hidden", absent); }), text_of([&] { get("hidden\xff"); }),
        text_of([&] { put("k", "hidden" + std::string(view_value_bytes_max, 'v')); })}) {
    CHECK_FALSE(text.empty());
    CHECK(text.find("hidden") == std::string::npos);
  }
}

TEST_CASE("the promise store tells awaited changes, and forgets those whose promise was dropped") {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  auto engine = sqlite_store::in_memory([] { return std::uint64_t{1}; });
  inline_async_store store(*engine);
  auto waiting = store.await_changes({1, key_range::prefix("b"), 0});
  { auto dropped = store.await_changes({1, key_range::all(), 0}); }
  store.txn({{}, {txn_op::put("a", "1")}, {}}).wait(scope);
  CHECK_FALSE(waiting.poll(scope));
  store.txn({{}, {txn_op::put("b", "1")}, {}}).wait(scope);
  REQUIRE(waiting.poll(scope));
  CHECK(waiting.wait(scope).changes.size() == 1);
}
