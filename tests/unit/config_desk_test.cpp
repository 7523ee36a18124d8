// SPDX-License-Identifier: Apache-2.0
//
// The declared state in a whole broker in memory: what a file brings, what it takes back, and what
// it leaves alone.

#include "broker/config_desk.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

using changes = std::vector<config_change>;

struct desk_fixture : test::mount_fixture {
  using mount_fixture::mount_fixture;

  /// A file of the plugin "subject" for each version.
  static void provide(test::test_broker& tb, const std::string& version, test::program what) {
    const auto file = "subject-" + version;
    tb.plugin(file, std::move(what));
    tb.write_file(file, "#!/bin/false " + version + "\n");
    std::filesystem::permissions(tb.directory() / file, std::filesystem::perms::owner_all);
  }
  static test::program serving(const std::string& version) {
    return {[version](kj::Own<kj::AsyncIoStream> link) {
      return test::make_version(version).serve_on(kj::mv(link));
    }};
  }
  /// One that says nothing until the promise is there.
  static test::program behind(kj::ForkedPromise<void>& free, const std::string& version) {
    return {[&free, version](kj::Own<kj::AsyncIoStream> link) {
      return free.addBranch().then([version, link = kj::mv(link)]() mutable {
        return test::make_version(version).serve_on(kj::mv(link));
      });
    }};
  }
  void provide(const std::string& version) { provide(tb, version, serving(version)); }
  /// Holds up the starts of a version until it is opened.
  struct gate {
    gate(test::test_broker& tb, const std::string& version) {
      provide(tb, version, behind(free, version));
    }
    void open() { held.fulfiller->fulfill(); }
    kj::PromiseFulfillerPair<void> held = kj::newPromiseAndFulfiller<void>();
    kj::ForkedPromise<void> free = held.promise.fork();
  };
  void declare_release(const std::string& version) {
    provide(version);
    release_spec spec{"generic", "subject", version, "subject-" + version, {}, {}, {}};
    file.releases.push_back(spec);
  }
  mount_spec& declare_mount(const std::string& path, const std::string& version = {}) {
    mount_spec spec;
    spec.path = path;
    spec.plugin = "subject";
    spec.version = version;
    file.mounts.push_back(spec);
    return file.mounts.back();
  }
  kj::Promise<declared_state> read() {
    if (broken) return to_exception(*broken);
    return file;
  }
  changes apply(bool prune = false) { return tb.wait(desk.apply(prune)); }
  changes diff(bool prune = false) { return tb.wait(desk.diff(prune)); }

  /// "mount kv/", with " !" for one that was not done.
  static std::vector<std::string> lines(const changes& all) {
    std::vector<std::string> result;
    for (const auto& each : all)
      result.push_back(each.action + " " + each.target + (each.problem.empty() ? "" : " !"));
    return result;
  }
  std::vector<std::string> applied(bool prune = false) { return lines(apply(prune)); }
  std::string reasons_of(const std::string& event) {
    std::string all;
    for (const auto& each : tb.events().after(0, 1000))
      if (each.name == event) all += each.reason + "\n";
    return all;
  }

  declared_state file;
  std::optional<error> broken;
  config_desk desk{tb.core(), [this] { return read(); }};
};

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(desk_fixture,
                 "releases, pins and mounts come, and a second time changes nothing") {
  declare_release("1.0.0");
  declare_release("1.1.0");
  file.pins = {{"generic", "subject", "1.0.0"}};
  declare_mount("m/");
  const texts all{"register generic/subject@1.0.0", "register generic/subject@1.1.0",
                  "pin generic/subject", "mount m/"};
  CHECK(lines(diff()) == all);
  CHECK(tb.catalog().size() == 0);
  CHECK(applied() == all);
  CHECK(version() == "1.0.0");
  CHECK(tb.core().require("m").entry->declared);
  const auto shown = tb.catalog().show({"generic", "subject", "1.0.0"});
  CHECK(shown.declared);
  CHECK(shown.pin_declared);
  CHECK(diff().empty());
  CHECK(applied().empty());
  CHECK(reasons_of("configured").find("mount m/: plugin subject") != std::string::npos);
}

TEST_CASE_METHOD(desk_fixture, "another version of a mount is tuned, with a reload") {
  declare_release("1.0.0");
  declare_release("1.1.0");
  declare_mount("m/", "1.0.0");
  apply();
  file.mounts[0].version = "1.1.0";
  CHECK(applied() == texts{"tune m/"});
  CHECK(version() == "1.1.0");
  CHECK(status().generation == 2);
  file.releases.erase(file.releases.begin());
  CHECK(applied() == texts{"deregister generic/subject@1.0.0"});
  CHECK(diff().empty());
}

TEST_CASE_METHOD(desk_fixture, "a version that does not come up changes nothing, and is told") {
  declare_release("1.0.0");
  declare_mount("m/", "1.0.0");
  apply();
  file.mounts[0].version = "7.0.0";
  const auto done = apply();
  REQUIRE(done.size() == 1);
  CHECK_FALSE(done[0].problem.empty());
  CHECK(version() == "1.0.0");
  CHECK(lines(diff()) == texts{"tune m/"});
  CHECK(happened("config_problem"));
}

TEST_CASE_METHOD(desk_fixture, "what was tuned by hand is tuned back") {
  declare_release("1.0.0");
  declare_mount("m/").description = "of the file";
  apply();
  tune_request by_hand;
  by_hand.path = "m";
  by_hand.description = "of an operator";
  tb.wait(tb.core().tune(by_hand));
  CHECK(diff().at(0).detail == "description");
  CHECK(applied() == texts{"tune m/"});
  CHECK(tb.core().require("m").entry->spec.description == "of the file");
}

TEST_CASE_METHOD(desk_fixture, "an operator's mount, release and pin stay as they are") {
  provide("1.0.0");
  tb.wait(tb.core().register_release({"", "subject", "1.0.0", "subject-1.0.0", {}, {}, {}}));
  tb.wait(tb.catalog().pin({"generic", "subject", "1.0.0"}));
  mount({}, "mine");
  CHECK(diff(true).empty());
  declare_mount("mine/");
  declare_release("1.1.0");
  file.pins = {{"generic", "subject", "1.1.0"}};
  CHECK(applied(true) ==
        texts{"register generic/subject@1.1.0", "pin generic/subject !", "mount mine/ !"});
  CHECK(status("mine").generation == 1);
  CHECK_FALSE(tb.catalog().show({"generic", "subject", "1.0.0"}).pin_declared);
}

TEST_CASE_METHOD(desk_fixture, "a mount that is declared no more keeps its data until pruned") {
  declare_release("1.0.0");
  declare_mount("m/");
  apply();
  file.mounts.clear();
  CHECK(applied() == texts{"keep m/"});
  CHECK(version() == "1.0.0");
  file.releases.clear();
  CHECK(applied() == texts{"keep m/", "keep generic/subject@1.0.0"});
  auto pruned = desk.apply(true);
  CHECK(lines(tb.finish(kj::mv(pruned))) ==
        texts{"unmount m/", "deregister generic/subject@1.0.0"});
  CHECK_FALSE(tb.core().knows("m"));
  CHECK(tb.catalog().size() == 0);
}

TEST_CASE_METHOD(desk_fixture, "one change that fails stops no other") {
  declare_release("1.0.0");
  file.releases.push_back({"generic", "nothing", "1.0.0", "nothing", {}, {}, {}});
  declare_mount("a/", "9.9.9");
  declare_mount("m/");
  CHECK(applied() == texts{"register generic/subject@1.0.0", "register generic/nothing@1.0.0 !",
                           "mount a/ !", "mount m/"});
  CHECK(applied() == texts{"register generic/nothing@1.0.0 !", "mount a/ !"});
}

TEST_CASE_METHOD(desk_fixture,
                 "a declaration that cannot be read changes nothing, and is an event") {
  declare_release("1.0.0");
  declare_mount("m/");
  apply();
  broken = error(error_kind::invalid_argument, "b.toml:3: key 'x' is not known", "", "");
  file = {};
  const auto said = [&](kj::Promise<changes> what) {
    const auto problem = kj::runCatchingExceptions([&] { tb.wait(kj::mv(what)); });
    return std::string(to_error(KJ_REQUIRE_NONNULL(problem)).what());
  };
  CHECK(said(desk.diff(true)) == "b.toml:3: key 'x' is not known");
  CHECK_FALSE(happened("config_refused"));
  CHECK(said(desk.apply(true)) == "b.toml:3: key 'x' is not known");
  CHECK(reasons_of("config_refused") == "b.toml:3: key 'x' is not known\n");
  CHECK(version() == "1.0.0");
  desk.apply_soon();
  tb.settle();
  CHECK(status().generation == 1);
}

TEST_CASE_METHOD(desk_fixture, "without a declaration both are refused by name") {
  config_desk nothing(tb.core(), {});
  const auto problem = kj::runCatchingExceptions([&] { tb.wait(nothing.diff(false)); });
  const auto said = to_error(KJ_REQUIRE_NONNULL(problem));
  CHECK(said.kind() == error_kind::failed_precondition);
  CHECK(std::string(said.what()) == "nothing is declared");
}

TEST_CASE_METHOD(desk_fixture, "a second apply waits for the first, and finds what it has left") {
  declare_release("1.0.0");
  declare_mount("m/");
  auto first = desk.apply(false).eagerlyEvaluate(nullptr);
  auto second = desk.apply(false).eagerlyEvaluate(nullptr);
  CHECK(lines(tb.wait(kj::mv(first))).size() == 2);
  CHECK(tb.wait(kj::mv(second)).empty());
}

TEST_CASE_METHOD(desk_fixture, "what is only told is an event when it is new, and no problem") {
  const auto told = [&] {
    const auto all = events();
    return std::count(all.begin(), all.end(), "config_note");
  };
  file.fixed = {{"limits.call_ms_max", "1 -> 2"}};
  CHECK(lines(diff()) == texts{"configure limits.call_ms_max"});
  CHECK(told() == 0);
  CHECK(applied() == texts{"configure limits.call_ms_max"});
  CHECK(applied() == texts{"configure limits.call_ms_max"});
  CHECK(told() == 1);
  file.fixed = {{"limits.call_ms_max", "1 -> 3"}};
  apply();
  CHECK(told() == 2);
  CHECK_FALSE(happened("config_problem"));
}

// -- operators, while an apply is under way ------------------------------------------------------

TEST_CASE_METHOD(desk_fixture, "a mount that an operator put in the place of a pruned one stays") {
  declare_release("1.0.0");
  declare_release("2.0.0");
  declare_mount("old/", "1.0.0");
  apply();
  gate hold(tb, "2.0.0");
  file.mounts.clear();
  declare_mount("new/", "2.0.0");
  auto pruning = desk.apply(true).eagerlyEvaluate(nullptr);
  tb.settle();
  tb.finish(tb.core().unmount("old"));
  mount({}, "old");
  const auto uuid = tb.core().require("old").entry->uuid;
  hold.open();
  const auto done = tb.finish(kj::mv(pruning));
  CHECK(lines(done) == texts{"mount new/", "unmount old/ !"});
  CHECK(done.at(1).problem.find("an operator has put another in its place") != std::string::npos);
  CHECK(tb.core().require("old").entry->uuid == uuid);
  CHECK(version("old/x") == "1.0.0");
}

TEST_CASE_METHOD(desk_fixture, "nothing is pruned once a change before it has failed") {
  declare_release("1.0.0");
  declare_mount("old/");
  apply();
  file.mounts.clear();
  declare_mount("new/", "9.9.9");
  CHECK(applied(true) == texts{"mount new/ !", "unmount old/ !"});
  CHECK(version("old/x") == "1.0.0");
  file.mounts.back().version = "1.0.0";
  auto pruned = desk.apply(true);
  CHECK(lines(tb.finish(kj::mv(pruned))) == texts{"mount new/", "unmount old/"});
}

TEST_CASE_METHOD(desk_fixture, "a mount that an operator put in the place of a tuned one stays") {
  declare_release("1.0.0");
  declare_release("2.0.0");
  declare_mount("m/", "1.0.0").description = "first";
  apply();
  gate hold(tb, "2.0.0");
  file.mounts[0].description = "second";
  declare_mount("new/", "2.0.0");
  auto applying = desk.apply(false).eagerlyEvaluate(nullptr);
  tb.settle();
  tb.finish(tb.core().unmount("m"));
  mount([](mount_spec& spec) { spec.description = "of an operator"; }, "m");
  hold.open();
  CHECK(lines(tb.finish(kj::mv(applying))) == texts{"mount new/", "tune m/ !"});
  CHECK(tb.core().require("m").entry->spec.description == "of an operator");
}

TEST_CASE_METHOD(desk_fixture, "a pin and a release that became an operator's meanwhile stay") {
  declare_release("1.0.0");
  declare_release("2.0.0");
  file.pins = {{"generic", "subject", "1.0.0"}};
  apply();
  file.pins.clear();
  file.releases.erase(file.releases.begin());
  declare_release("3.0.0");
  gate hold(tb, "3.0.0");
  auto applying = desk.apply(false).eagerlyEvaluate(nullptr);
  tb.settle();
  auto& catalog = tb.catalog();
  tb.wait(catalog.unpin("generic", "subject"));
  tb.wait(catalog.remove({"generic", "subject", "1.0.0"}));
  tb.wait(tb.core().register_release({"generic", "subject", "1.0.0", "subject-1.0.0", {}, {}, {}}));
  tb.wait(catalog.pin({"generic", "subject", "1.0.0"}));
  hold.open();
  CHECK(lines(tb.finish(kj::mv(applying))) == texts{"register generic/subject@3.0.0",
                                                    "unpin generic/subject !",
                                                    "deregister generic/subject@1.0.0 !"});
  CHECK(catalog.pins().at(0).version == "1.0.0");
  CHECK(catalog.find({"generic", "subject", "1.0.0"}) != nullptr);
  const auto over = kj::runCatchingExceptions([&] {
    tb.wait(catalog.pin({"generic", "subject", "2.0.0"}, true));
  });
  CHECK(to_error(KJ_REQUIRE_NONNULL(over)).kind() == error_kind::failed_precondition);
}

TEST_CASE("what an operator pinned is his, also when the file pinned the same before") {
  test::test_state state;
  const auto plugins = [](test::test_broker& tb) {
    tb.plugin("subject-1.0.0", test::make_version("1.0.0"));
  };
  declared_state file;
  file.releases = {{"generic", "subject", "1.0.0", "subject-1.0.0", {}, {}, {}}};
  file.pins = {{"generic", "subject", "1.0.0"}};
  const auto read = [&file]() -> kj::Promise<declared_state> { return file; };
  {
    test::test_broker tb({}, state);
    plugins(tb);
    config_desk desk(tb.core(), read);
    CHECK(tb.wait(desk.apply(false)).size() == 2);
    tb.wait(tb.catalog().pin({"generic", "subject", "1.0.0"}));
    CHECK(tb.wait(desk.diff(false)).empty());
    CHECK_FALSE(tb.catalog().show({"generic", "subject", "1.0.0"}).pin_declared);
  }
  state.before_load = plugins;
  test::test_broker tb({}, state);
  config_desk desk(tb.core(), read);
  file.pins.clear();
  CHECK(tb.wait(desk.apply(false)).empty());
  CHECK(tb.catalog().pins().at(0).version == "1.0.0");
}

TEST_CASE_METHOD(desk_fixture, "a mount that an operator moved is not made anew, nor pruned") {
  declare_release("1.0.0");
  declare_mount("m/");
  apply();
  tb.wait(tb.core().move("m", "n"));
  CHECK(applied(true) == texts{"mount m/ !"});
  CHECK_FALSE(tb.core().knows("m"));
  auto pruned = file;
  std::swap(pruned.mounts, file.mounts);
  file.mounts.clear();
  CHECK(applied(true) == texts{"keep n/"});
  CHECK(version("n/x") == "1.0.0");
  declare_mount("n/");
  CHECK(applied() == texts{"tune n/"});
  CHECK(diff(true).empty());
  file.mounts.clear();
  auto gone = desk.apply(true);
  CHECK(lines(tb.finish(kj::mv(gone))) == texts{"unmount n/"});
}

TEST_CASE_METHOD(desk_fixture, "of applies that nobody waits for at most one is queued") {
  int readings = 0;
  auto held = kj::newPromiseAndFulfiller<void>();
  auto free = held.promise.fork();
  config_desk slow(tb.core(), [&] {
    ++readings;
    return free.addBranch().then([this] { return file; });
  });
  for (int i = 0; i < 5; ++i) slow.apply_soon();
  tb.settle();
  CHECK(readings == 1);
  for (int i = 0; i < 5; ++i) slow.apply_soon();
  held.fulfiller->fulfill();
  tb.settle();
  CHECK(readings == 2);
  slow.apply_soon();
  tb.settle();
  CHECK(readings == 3);
}

TEST_CASE("a mount that is just starting is tuned once it has started") {
  test::test_state state;
  declared_state file;
  for (const auto* version : {"1.0.0", "1.1.0"})
    file.releases.push_back(
        {"generic", "subject", version, std::string("subject-") + version, {}, {}, {}});
  mount_spec spec;
  spec.path = "m/";
  spec.plugin = "subject";
  spec.version = "1.0.0";
  file.mounts = {spec};
  const auto read = [&file]() -> kj::Promise<declared_state> { return file; };
  {
    desk_fixture first(state);
    first.file = file;
    first.provide("1.0.0");
    first.provide("1.1.0");
    CHECK(first.apply().size() == 3);
  }
  std::optional<desk_fixture::gate> hold;
  state.before_load = [&hold](test::test_broker& tb) {
    hold.emplace(tb, "1.0.0");
    desk_fixture::provide(tb, "1.1.0", desk_fixture::serving("1.1.0"));
  };
  test::test_broker tb({}, state);
  config_desk desk(tb.core(), read);
  file.mounts[0].version = "1.1.0";
  auto applying = desk.apply(false).eagerlyEvaluate(nullptr);
  tb.settle();
  CHECK_FALSE(applying.poll(tb.wait_scope()));
  hold->open();
  CHECK(desk_fixture::lines(tb.finish(kj::mv(applying))) == texts{"tune m/"});
  CHECK(tb.status("m").status.plugin_version == "1.1.0");
  hold.reset();
}

TEST_CASE("another broker on the same state knows what the file brought") {
  test::test_state state;
  const auto plugins = [](test::test_broker& tb) {
    tb.plugin("subject-1.0.0", test::make_version("1.0.0"));
  };
  declared_state file;
  file.releases = {{"generic", "subject", "1.0.0", "subject-1.0.0", {}, {}, {}}};
  file.pins = {{"generic", "subject", "1.0.0"}};
  mount_spec spec;
  spec.path = "m/";
  spec.plugin = "subject";
  file.mounts = {spec};
  const auto read = [&file]() -> kj::Promise<declared_state> { return file; };
  {
    test::test_broker tb({}, state);
    plugins(tb);
    config_desk desk(tb.core(), read);
    CHECK(tb.wait(desk.apply(false)).size() == 3);
  }
  state.before_load = plugins;
  test::test_broker tb({}, state);
  config_desk desk(tb.core(), read);
  CHECK(tb.wait(desk.diff(false)).empty());
  file = {};
  auto pruned = desk.apply(true);
  CHECK(desk_fixture::lines(tb.finish(kj::mv(pruned))) ==
        texts{"unmount m/", "unpin generic/subject", "deregister generic/subject@1.0.0"});
}
