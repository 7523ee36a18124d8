// SPDX-License-Identifier: Apache-2.0
//
// Other rules, another path, or no mount any more, while it serves.

#include "broker/view.hpp"
#include "tests/unit/crash_points.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct fixture : mount_fixture {
  using mount_fixture::mount_fixture;
  mount_snapshot tune(const std::function<void(tune_request&)>& change) {
    tune_request what;
    what.path = "m";
    change(what);
    return tb.finish(tb.core().tune(what));
  }
  template <class T>
  error failure(kj::Promise<T> what) {
    auto problem = kj::runCatchingExceptions([&] { tb.finish(kj::mv(what)); });
    return to_error(KJ_REQUIRE_NONNULL(problem));
  }
  error tune_failure(const std::function<void(tune_request&)>& change) {
    auto problem = kj::runCatchingExceptions([&] { tune(change); });
    return to_error(KJ_REQUIRE_NONNULL(problem));
  }
  mount_snapshot move(const char* from, const char* to) {
    return tb.wait(tb.core().move(from, to));
  }
  const mount_spec& spec(const char* path = "m") { return tb.core().require(path).entry->spec; }
};

}  // namespace

// -- tune ----------------------------------------------------------------------------------------

TEST_CASE("rules of calls count at once, also for the calls that are under way") {
  fixture f;
  f.mount();
  auto hanging = f.start("m/hang");
  f.tb.settle();
  f.tune([](tune_request& what) {
    what.calls = call_rules{};
    what.calls->in_flight_max = 1;
    what.calls->call_max = seconds(3);
  });
  CHECK(f.status().generation == 1);
  CHECK(f.read("m/x") == "overloaded: mount 'm/' is overloaded");
  f.pass_seconds(4);
  CHECK(f.tb.text_of(kj::mv(hanging)).find("deadline_exceeded") == 0);
  CHECK(f.version() == "1.0.0");
}

TEST_CASE("a window that was made narrower counts what has been") {
  fixture f;
  f.mount();
  f.tb.crash("p");
  f.tb.crash("p");
  f.tb.advance(seconds(1));
  REQUIRE(f.status().state == mount_state::ready);
  f.tune([](tune_request& what) {
    what.supervision = restart_limits{};
    what.supervision->intensity = 2;
  });
  f.tb.crash("p");
  CHECK(f.status().state == mount_state::quarantined);
}

TEST_CASE("the restart type counts from the next end on") {
  fixture f;
  f.mount();
  f.tune([](tune_request& what) { what.restart = restart_rule::temporary; });
  f.tb.crash("p");
  f.pass_seconds(2);
  CHECK(f.status().state == mount_state::stopped);
}

TEST_CASE("rules of life count at once: idle, calls, pings") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.life.ping_every = milliseconds(0); });
  SECTION("idle") {
    f.tune([](tune_request& what) {
      what.life = life_rules{};
      what.life->idle_stop = seconds(2);
    });
    f.pass_seconds(4);
    CHECK(f.status().state == mount_state::stopped);
    CHECK(f.version() == "1.0.0");
  }
  SECTION("calls") {
    f.read("m/x");
    f.tune([](tune_request& what) {
      what.life = life_rules{};
      what.life->calls_max = 3;
    });
    for (int i = 0; i < 3; ++i) f.read("m/x");
    f.pass_seconds(1);
    CHECK(f.status().generation == 2);
  }
  SECTION("pings") {
    f.tune([](tune_request& what) {
      what.life = life_rules{};
      what.life->ping_every = seconds(1);
      what.life->ping_wait = seconds(2);
    });
    f.tb.process("p")->freeze();
    f.pass_seconds(6);
    CHECK(f.status().generation == 2);
  }
  SECTION("no pings any more") {
    f.tune([](tune_request& what) {
      what.life = life_rules{};
      what.life->ping_every = seconds(1);
      what.life->ping_wait = seconds(2);
    });
    f.tune([](tune_request& what) {
      what.life = life_rules{};
      what.life->ping_every = milliseconds(0);
    });
    f.tb.process("p")->freeze();
    f.pass_seconds(6);
    CHECK(f.status().generation == 1);
  }
}

TEST_CASE("a mount that sleeps because it is lazy starts when it is made eager") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.life.start = start_mode::lazy; });
  REQUIRE(f.tb.starts("p") == 0);
  f.tune([](tune_request& what) { what.life = life_rules{}; });
  f.tb.settle();
  CHECK(f.status().state == mount_state::ready);
}

TEST_CASE("options wait for the next instance, and the status says which ones run") {
  fixture f;
  f.tb.plugin("p", make_version("1.0.0").option(sdk::text("a")).option(sdk::integer("n")));
  f.mount([](mount_spec& spec) { spec.options = {{"a", "1"}}; });
  const auto now = f.tune([](tune_request& what) { what.options = {{"n", "5"}, {"a", "2"}}; });
  REQUIRE(now.options_running);
  CHECK(*now.options_running == std::vector<option>{{"a", "1"}});
  CHECK(f.spec().options == std::vector<option>{{"a", "2"}, {"n", "5"}});
  f.reload();
  CHECK_FALSE(f.tb.status("m").options_running);
  const auto later = f.tune([](tune_request& what) {
    what.unset_options = {"n"};
    what.reload = true;
  });
  CHECK_FALSE(later.options_running);
  CHECK(later.status.generation == 3);
  CHECK(f.spec().options == std::vector<option>{{"a", "2"}});
}

TEST_CASE("what is against a rule changes nothing, whatever else is asked for") {
  fixture f;
  f.tb.plugin("p", make_version("1.0.0").option(sdk::integer("n")));
  f.mount([](mount_spec& spec) {
    spec.options = {{"n", "1"}};
    spec.description = "before";
  });
  const auto refused = [&f](const std::function<void(tune_request&)>& change) {
    const auto said = f.tune_failure([&change](tune_request& what) {
      what.description = "after";
      change(what);
    });
    CHECK(said.kind() == error_kind::invalid_argument);
    CHECK(f.spec().description == "before");
    return std::string(said.what());
  };
  CHECK(refused([](tune_request& what) {
          what.options = {{"n", "many"}};
        }) == "option 'n' is ill-typed");
  CHECK(refused([](tune_request& what) {
          what.options = {{"m", "1"}};
        }) == "the plugin has no option 'm'");
  CHECK(refused([](tune_request& what) { what.unset_options = {"m"}; }) ==
        "option 'm' cannot be unset");
  CHECK(refused([](tune_request& what) {
          what.options = {{"n", "2"}};
          what.unset_options = {"n"};
        }) == "option 'n' cannot be unset");
  CHECK(refused([](tune_request& what) {
          what.supervision = restart_limits{};
          what.supervision->period = milliseconds(0);
        }) == "supervision.period is out of range");
  CHECK_FALSE(f.happened("tuned"));
}

TEST_CASE("a tuning whose reload fails has changed nothing") {
  fixture f;
  f.mount();
  f.tb.plugin("p", exits_at_once(f.tb));
  const auto said = f.tune_failure([](tune_request& what) {
    what.description = "after";
    what.reload = true;
  });
  CHECK(said.kind() == error_kind::start_failed);
  CHECK(std::string(said.what()) == "'m/' was not tuned: its reload failed");
  CHECK(f.spec().description.empty());
  CHECK(f.version() == "1.0.0");
  CHECK(f.happened("tune_undone"));
}

TEST_CASE("a tuning that cannot be taken back says that it counts") {
  test::test_state state;
  auto disk = std::make_shared<test::crashing_store>(*state.engine);
  state.opened = disk;
  fixture f(state);
  f.mount();
  f.tb.plugin("p", exits_at_once(f.tb));
  disk->arm(test::write_fault::fails, 2);  // the first is the tuning's
  const auto said = f.tune_failure([](tune_request& what) {
    what.description = "after";
    what.reload = true;
  });
  CHECK(said.kind() == error_kind::storage);
  CHECK(std::string(said.what()) == "'m/' is tuned, but its reload failed");
  CHECK(f.spec().description == "after");
  CHECK_FALSE(f.happened("tune_undone"));
}

TEST_CASE("two changes of one mount do not undo each other, nor a block of generations") {
  fixture f;
  f.mount();
  tune_request what{"m"};
  what.description = "tuned";
  auto tuning = f.tb.core().tune(what).eagerlyEvaluate(nullptr);
  auto entry = f.tb.core().require("m").entry;
  auto block = f.tb.core().services().change_record(
      entry, [](mount_record& record) { record.generations_reserved = 500; });
  CHECK(f.failure(f.tb.core().tune(what)).kind() == error_kind::failed_precondition);
  f.tb.wait(kj::mv(block));
  f.tb.wait(kj::mv(tuning));
  range_request request;
  request.keys = key_range::one(mount_key("m/"));
  const auto found = f.tb.wait(f.tb.core().services().store.range(std::move(request)));
  mount_record record;
  REQUIRE(decode_record(found.rows.front().value, record));
  CHECK(record.spec.description == "tuned");
  CHECK(record.generations_reserved == 500);
}

// -- move ----------------------------------------------------------------------------------------

TEST_CASE("a moved mount keeps its identity and its instance, and is found at its new path only") {
  fixture f;
  const auto before = f.mount().status;
  auto held = f.tb.core().require("m").entry->slot->backend();
  auto hanging = f.start("m/hang");
  f.tb.settle();
  const auto now = f.move("m", "team/m").status;
  CHECK(now.path == "team/m/");
  CHECK(now.uuid == before.uuid);
  CHECK(now.pid == before.pid);
  CHECK(now.calls_in_flight == 1);
  CHECK(f.version("team/m/x") == "1.0.0");
  CHECK(f.read("m/x") == "not_found: no mount serves 'm/x'");
  auto request = held.handleRequest();
  request.initRequest().setPath("x");
  CHECK(f.tb.wait(request.send()).getResponse().getFields().size() == 1);
  f.tb.crash("p");
  CHECK(f.tb.text_of(kj::mv(hanging)).find("team/m/") != std::string::npos);
  CHECK(f.status("team/m").state == mount_state::ready);
  CHECK(f.tb.core().crashes("team/m", 0).front().mount == "team/m/");
  CHECK(f.mount().status.path == "m/");  // its old path is free
  CHECK(f.tb.wait(f.tb.core().query_all()).size() == 2);
  f.tb.finish(f.tb.core().unmount("m"));
  f.tb.crash("p");  // the newest process is that of m/, and gone; nothing happens
  CHECK(f.status("team/m").state == mount_state::ready);
}

TEST_CASE("a path that is taken, kept or none is refused, but a mount may move below itself") {
  fixture f;
  f.mount();
  f.mount({}, "a/b");
  struct row {
    const char* to;
    error_kind kind;
  };
  const std::vector<row> rows{
      {"a/b", error_kind::already_exists},       {"a/b/c", error_kind::already_exists},
      {"a", error_kind::already_exists},         {"m", error_kind::already_exists},
      {"sys/m", error_kind::invalid_argument},   {"auth/m", error_kind::invalid_argument},
      {"audit/m", error_kind::invalid_argument}, {"identity/m", error_kind::invalid_argument},
      {"../m", error_kind::invalid_argument},    {"", error_kind::invalid_argument},
      {"m//x", error_kind::invalid_argument},
  };
  for (const auto& each : rows) {
    INFO(each.to);
    CHECK(f.failure(f.tb.core().move("m", each.to)).kind() == each.kind);
  }
  CHECK(f.failure(f.tb.core().move("nothing", "x")).kind() == error_kind::not_found);
  CHECK(f.version() == "1.0.0");
  CHECK(f.move("m", "m/below").status.path == "m/below/");
  CHECK(f.move("m/below", "m").status.path == "m/");
  CHECK(f.move("a/b", "a").status.path == "a/");
}

TEST_CASE("a quarantined mount names its new path") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.supervision.intensity = 0; });
  f.tb.crash("p");
  REQUIRE(f.status().state == mount_state::quarantined);
  f.move("m", "n");
  f.tb.settle();
  CHECK(f.read("n/x") == "quarantined: mount 'n/' is quarantined");
  CHECK(f.tb.wait(f.tb.core().reset("n")).status.state == mount_state::ready);
}

TEST_CASE("a moved mount stays in its group, and the group speaks of it by its new path") {
  group_spec group;
  group.name = "g";
  group.strategy = group_strategy::one_for_all;
  test_broker tb({group});
  tb.plugin("a", make_version("1.0.0"));
  tb.plugin("b", make_version("1.0.0"));
  tb.mount("a/", "a", {}, "g");
  tb.mount("b/", "b", {}, "g");
  CHECK(tb.wait(tb.core().move("a", "c")).status.path == "c/");
  tb.mount("a/", "a", {}, "g");  // another child at the old path
  tb.plugin("b", make_version("2.0.0"));
  tb.crash("b");
  for (int i = 0; i < 20; ++i) tb.advance(std::chrono::seconds(1));
  for (const auto* path : {"a/", "b/", "c/"}) {
    INFO(path);
    CHECK(tb.status(path).status.state == mount_state::ready);
    CHECK(tb.status(path).status.restarts == 1);
  }
  const auto tree = tb.finish(tb.tree().describe(tb.core()));
  const auto& mounts = tree.children.back();
  REQUIRE(mounts.children.size() == 1);
  std::vector<std::string> names;
  for (const auto& each : mounts.children.front().children) names.push_back(each.name);
  CHECK(names == std::vector<std::string>{"a/", "b/", "c/"});
  tb.finish(tb.core().unmount("c"));
  tb.finish(tb.core().unmount("a"));
  CHECK(tb.status("b/").status.state == mount_state::ready);
}

// -- unmount -------------------------------------------------------------------------------------

TEST_CASE("a second unmount waits for the same end") {
  fixture f;
  f.mount();
  auto hanging = f.start("m/hang");
  f.tb.settle();
  auto first = f.tb.core().unmount("m").eagerlyEvaluate(nullptr);
  f.tb.settle();
  auto second = f.tb.core().unmount("m").eagerlyEvaluate(nullptr);
  f.tb.settle();
  CHECK_FALSE(first.poll(f.tb.wait_scope()));
  CHECK(f.status().state == mount_state::draining);
  CHECK(f.status().reason == "being removed");
  CHECK(f.failure(f.tb.core().mount({"m", "p"})).kind() == error_kind::already_exists);
  CHECK(f.failure(f.tb.core().move("m", "n")).kind() == error_kind::failed_precondition);
  f.tb.finish(kj::mv(first));
  f.tb.finish(kj::mv(second));
  CHECK(f.tb.core().mount_count() == 0);
  CHECK(f.tb.text_of(kj::mv(hanging)).find("unavailable") != std::string::npos);
}

TEST_CASE("a removal goes on without whoever asked for it") {
  fixture f;
  f.mount();
  { auto dropped = f.tb.core().unmount("m"); }
  f.pass_seconds(5);
  CHECK(f.tb.core().mount_count() == 0);
}

TEST_CASE("a disk error leaves a removal that stands still, is shown, and goes on when asked") {
  const auto plugins = [](test_broker& tb) { tb.plugin("p", make_version("1.0.0")); };
  const auto state = test_state{}.engine;
  mortal_broker one(state, plugins);
  auto& tb = *one.broker;
  tb.mount("m/", "p");
  one.disk->arm(write_fault::fails, 1);
  CHECK_FALSE(one.acknowledges(tb.core().unmount("m")));
  CHECK(tb.status("m").status.state == mount_state::ready);  // nothing has happened
  one.disk->arm(write_fault::fails, 2);
  CHECK_FALSE(one.acknowledges(tb.core().unmount("m")));
  const auto status = tb.status("m").status;
  CHECK(status.state == mount_state::draining);
  CHECK(status.reason ==
        "being removed, and stands still: a test has failed this write; `bulkhead unmount m/` goes "
        "on");
  CHECK(tb.handle("(operation = read, path = \"m/x\")") == "unmounted: 'm/' was unmounted");
  auto refused = kj::runCatchingExceptions([&] { tb.wait(tb.core().restart("m")); });
  CHECK(to_error(KJ_REQUIRE_NONNULL(refused)).kind() == error_kind::failed_precondition);
  CHECK(one.acknowledges(tb.core().unmount("m")));
  CHECK(tb.core().mount_count() == 0);
  one.check_nothing_is_left();
}

TEST_CASE("a broker that finds a removal goes on with it and does not start the mount") {
  int starts = 0;
  const auto plugins = [&starts](test_broker& tb) {
    starts = 0;
    tb.plugin("p", program{[&starts](kj::Own<kj::AsyncIoStream> link) {
                ++starts;
                return make_version("1.0.0").serve_on(kj::mv(link));
              }});
  };
  const auto state = test_state{}.engine;
  {
    mortal_broker one(state, plugins);
    one.broker->mount("m/", "p");
    CHECK(starts == 1);
    one.disk->arm(write_fault::dies_after, 1);
    CHECK_FALSE(one.acknowledges(one.broker->core().unmount("m")));
  }
  {
    mortal_broker next(state, plugins, write_fault::fails, 1);
    CHECK(next.broker->status("m").status.state == mount_state::draining);
    CHECK(next.broker->core().mount_count() == 1);
    CHECK(starts == 0);
  }
  mortal_broker last(state, plugins);
  CHECK(last.broker->core().mount_count() == 0);
  CHECK(starts == 0);
  last.check_nothing_is_left();
}
