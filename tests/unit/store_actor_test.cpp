// SPDX-License-Identifier: Apache-2.0
// The store on a thread of its own. Groups are made certain by an engine that is opened only when
// the test says so: until then requests pile up in the mailbox.
#include "broker/store/store_actor.hpp"

#include <catch2/catch.hpp>
#include <future>

#include "broker/store/sqlite_store.hpp"
#include "store_faults.hpp"
#include "store_model.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

constexpr auto patience = std::chrono::seconds(30);

struct configuration : caf::actor_system_config {
  configuration() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{1});
  }
};

struct fixture {
  temporary_directory directory;
  std::string file = directory / "state.db";
  std::shared_ptr<std::atomic<std::uint64_t>> now_ms =
      std::make_shared<std::atomic<std::uint64_t>>(1000);
  configuration config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  std::promise<void> gate;
  store_actor actor;

  ~fixture() {
    if (actor) stop();
  }

  store_factory factory() {
    return [file = file, now = now_ms] {
      return sqlite_store::open(file, [now] { return now->load(); });
    };
  }
  void start(store_actor_options options = {0, 0}) {
    actor = spawn_store(system, factory(), options);
  }
  /// The engine opens when `gate` is set.
  void start_gated(store_factory make_engine) {
    auto opened = gate.get_future().share();
    actor = spawn_store(system,
                        [make_engine = std::move(make_engine), opened] {
                          opened.wait();
                          return make_engine();
                        },
                        {0, 0});
  }
  void stop() {
    self->monitor(actor);
    self->send_exit(actor, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {});
    actor = nullptr;
  }

  template <class T, class Message>
  store_outcome<T> ask(Message message) {
    store_outcome<T> answer;
    self->request(actor, patience, std::move(message))
        .receive([&](const store_outcome<T>& outcome) { answer = outcome; },
                 [&](const caf::error& error) { FAIL(system.render(error)); });
    return answer;
  }
  store_outcome<txn_result> put(const std::string& key, const std::string& value,
                                std::uint64_t lease = 0) {
    return ask<txn_result>(txn_request{{}, {txn_op::put(key, value, lease)}, {}});
  }
  std::string get(const std::string& key) {
    auto outcome = ask<range_result>(range_request{key_range::one(key), {}, 0, 0, false});
    REQUIRE(outcome.value);
    return outcome.value->rows.empty() ? "(nothing)" : outcome.value->rows.front().value;
  }
  auto put_later(const std::string& key, std::string value, std::uint64_t lease = 0) {
    return self->request(actor, patience,
                         txn_request{{}, {txn_op::put(key, std::move(value), lease)}, {}});
  }
  auto await_later(std::uint64_t token, std::uint64_t revision, key_range keys) {
    return self->request(actor, patience, store_await{token, {revision, std::move(keys), 0}});
  }
  template <class T, class Request>
  store_outcome<T> receive(Request& request) {
    store_outcome<T> answer;
    request.receive([&](const store_outcome<T>& outcome) { answer = outcome; },
                    [&](const caf::error& error) { FAIL(system.render(error)); });
    return answer;
  }
};

}  // namespace

TEST_CASE_METHOD(fixture, "what the actor acknowledged is there after it ended") {
  start();
  REQUIRE(put("a", "1").value);
  stop();
  start();
  CHECK(get("a") == "1");
}

TEST_CASE_METHOD(fixture, "the state is free for the next opener when monitors learn of the end") {
  for (int i = 0; i < 20; ++i) {
    start();
    REQUIRE(put("a", std::to_string(i)).value);
    stop();
  }
  CHECK_NOTHROW(factory()());
}

TEST_CASE_METHOD(fixture, "writes that wait together share one sync and are answered one by one") {
  store_faults faults;
  std::atomic<std::uint64_t> opening = 0;
  start_gated([&, make = factory()] {
    auto engine = make();
    engine->txn({{}, {txn_op::put("first", "")}, {}});  // it syncs the head of a new log, too
    opening = faults.syncs;
    return engine;
  });
  using response = decltype(put_later("", ""));
  std::vector<response> requests;
  requests.reserve(100);
  for (int i = 0; i < 100; ++i) requests.push_back(put_later("k" + std::to_string(i), "v"));
  gate.set_value();
  std::uint64_t revision = 2;
  for (auto& request : requests) {
    auto outcome = receive<txn_result>(request);
    REQUIRE(outcome.value);
    CHECK(outcome.value->revision == ++revision);
  }
  CHECK(faults.syncs == opening + 1);
  stop();  // before the faulty disk goes
}

TEST_CASE_METHOD(fixture, "a write that fails takes no other of its group along") {
  start_gated(factory());
  auto first = put_later("a", "1");
  auto wrong = put_later("b", "1", 77);
  auto last = put_later("c", "1");
  gate.set_value();
  CHECK(receive<txn_result>(first).value);
  const auto refused = receive<txn_result>(wrong);
  CHECK_FALSE(refused.value);
  CHECK(refused.failure.fault == store_fault::lease_not_found);
  CHECK(receive<txn_result>(last).value);
  CHECK(get("b") == "(nothing)");
  CHECK(get("c") == "1");
}

TEST_CASE_METHOD(fixture, "a group that the disk has no room for is repeated one by one") {
  start_gated([this]() -> std::unique_ptr<store> {
    auto engine = sqlite_store::open(file, [] { return std::uint64_t{1}; });
    engine->set_pages_max(20);
    return engine;
  });
  auto small = put_later("small", "1");
  auto large = put_later("large", std::string(300'000, 'v'));
  auto other = put_later("other", "1");
  gate.set_value();
  CHECK(receive<txn_result>(small).value);
  CHECK(receive<txn_result>(large).failure.fault == store_fault::disk_full);
  CHECK(receive<txn_result>(other).value);
  CHECK(get("small") == "1");
  CHECK(get("large") == "(nothing)");
}

TEST_CASE_METHOD(fixture, "a read behind a write sees it, though the write waits for its group") {
  start_gated(factory());
  auto write = put_later("a", "1");
  auto read = self->request(actor, patience, range_request{key_range::one("a"), {}, 0, 0, false});
  auto again = put_later("a", "2");
  gate.set_value();
  CHECK(receive<txn_result>(write).value);
  const auto seen = receive<range_result>(read);
  REQUIRE(seen.value);
  REQUIRE(seen.value->rows.size() == 1);
  CHECK(seen.value->rows[0].value == "1");
  CHECK(receive<txn_result>(again).value);
}

TEST_CASE_METHOD(fixture,
                 "every request is answered with the reason when the state cannot be opened") {
  auto holder = factory()();
  start();
  CHECK(ask<store_status>(store_query{}).failure.fault == store_fault::locked);
  CHECK(put("a", "1").failure.fault == store_fault::locked);
  CHECK(ask<changes_result>(store_await{1, {1, key_range::all(), 0}}).failure.fault ==
        store_fault::locked);
  self->send(actor, store_tick{});
  CHECK(ask<lease_info>(store_grant{1000}).failure.fault == store_fault::locked);
}

TEST_CASE_METHOD(fixture, "an awaited change is told when it is durable, and others are not") {
  start();
  REQUIRE(put("a", "1").value);
  auto waiting = await_later(1, 2, key_range::prefix("b/"));
  REQUIRE(put("a", "2").value);
  REQUIRE(put("b/1", "x").value);
  const auto told = receive<changes_result>(waiting);
  REQUIRE(told.value);
  REQUIRE(told.value->changes.size() == 1);
  CHECK(told.value->changes[0].row.key == "b/1");
  CHECK(told.value->revision == 4);
}

TEST_CASE_METHOD(fixture, "an awaited change that happened already is told at once") {
  start();
  REQUIRE(put("a", "1").value);
  auto waiting = await_later(1, 1, key_range::all());
  CHECK(receive<changes_result>(waiting).value->changes.size() == 1);
}

TEST_CASE_METHOD(fixture, "a watcher follows a series of writes and misses none") {
  start();
  std::uint64_t seen = 1;
  std::uint64_t changes = 0;
  for (int i = 0; i < 50; ++i) {
    auto waiting = await_later(1, seen, key_range::prefix("w/"));
    auto first = put_later("w/" + std::to_string(i), "v");
    auto second = put_later("w/more/" + std::to_string(i), "v");
    const auto told = receive<changes_result>(waiting);
    REQUIRE(told.value);
    changes += told.value->changes.size();
    seen = told.value->revision;
    CHECK(receive<txn_result>(first).value);
    CHECK(receive<txn_result>(second).value);
  }
  auto rest = ask<changes_result>(changes_request{seen, key_range::prefix("w/"), 0});
  CHECK(changes + rest.value->changes.size() == 100);
}

TEST_CASE_METHOD(fixture, "a watch that is cancelled ends, and one that is not goes on") {
  start();
  auto cancelled = await_later(1, 1, key_range::all());
  auto kept = await_later(2, 1, key_range::all());
  self->send(actor, store_cancel{1});
  CHECK(receive<changes_result>(cancelled).failure.fault == store_fault::closed);
  REQUIRE(put("a", "1").value);
  CHECK(receive<changes_result>(kept).value);
}

TEST_CASE_METHOD(fixture, "a watch ends with its asker, and the store goes on") {
  start();
  {
    caf::scoped_actor other(system);
    other->request(actor, patience, store_await{1, {1, key_range::all(), 0}});
  }
  REQUIRE(put("a", "1").value);
  CHECK(get("a") == "1");
}

TEST_CASE_METHOD(fixture, "a watch is answered when the store is closed") {
  start();
  auto waiting = await_later(1, 1, key_range::all());
  REQUIRE(ask<store_status>(store_query{}).value);
  stop();
  CHECK(receive<changes_result>(waiting).failure.fault == store_fault::closed);
}

TEST_CASE_METHOD(fixture, "a tick ends leases whose time is up and tells watchers") {
  start();
  const auto lease = ask<lease_info>(store_grant{500}).value->id;
  const auto revision = put("a", "1", lease).value->revision;
  auto waiting = await_later(1, revision, key_range::all());
  *now_ms += 499;
  self->send(actor, store_tick{});
  CHECK(get("a") == "1");
  *now_ms += 1;
  self->send(actor, store_tick{});
  const auto told = receive<changes_result>(waiting);
  REQUIRE(told.value);
  CHECK(told.value->changes.at(0).kind == change_kind::erase);
  CHECK(get("a") == "(nothing)");
}

TEST_CASE_METHOD(fixture,
                 "history is compacted by itself once twice of what is kept has gathered") {
  start({0, 10});
  std::uint64_t revision = 0;
  for (int i = 0; i < 20; ++i) revision = put("k", std::to_string(i)).value->revision;
  self->send(actor, store_tick{});
  auto status = ask<store_status>(store_query{});
  CHECK(status.value->compacted_revision == revision - 10);
  CHECK(ask<changes_result>(changes_request{2, key_range::all(), 0}).value->compacted);
}

TEST_CASE_METHOD(fixture, "a backup holds what was acknowledged") {
  start();
  REQUIRE(put("a", "1").value);
  const auto made = ask<backup_result>(store_backup{directory / "copy.db"});
  REQUIRE(made.value);
  CHECK(made.value->revision == 2);
  REQUIRE(put("a", "2").value);
  auto copy = sqlite_store::open(directory / "copy.db", [] { return std::uint64_t{1}; });
  CHECK(copy->range({}).rows.at(0).value == "1");
}

TEST_CASE_METHOD(fixture, "others are answered while a backup is made") {
  start();
  for (int i = 0; i < 40; ++i) {
    REQUIRE(put("k" + std::to_string(i), std::string(200'000, 'v')).value);
  }
  auto copying = self->request(actor, patience, store_backup{directory / "copy.db"});
  unsigned answered = 0;
  while (!std::filesystem::exists(directory / "copy.db")) {
    REQUIRE(put("meanwhile", std::to_string(answered)).value);
    ++answered;
  }
  const auto made = receive<backup_result>(copying);
  REQUIRE(made.value);
  CHECK(answered > 1);
  CHECK(made.value->revision > 41);
}

TEST_CASE_METHOD(fixture, "a backup that is refused, or cut short, says why") {
  start();
  CHECK(ask<backup_result>(store_backup{"copy.db"}).failure.fault == store_fault::invalid);
  CHECK(ask<std::uint64_t>(store_rotate{}).failure.fault == store_fault::invalid);
  for (int i = 0; i < 40; ++i) {
    REQUIRE(put("k" + std::to_string(i), std::string(200'000, 'v')).value);
  }
  auto copying = self->request(actor, patience, store_backup{directory / "copy.db"});
  stop();
  const auto outcome = receive<backup_result>(copying);
  if (!outcome.value) CHECK(outcome.failure.fault == store_fault::closed);
  CHECK(std::filesystem::exists(directory / "copy.db") == outcome.value.has_value());
}
