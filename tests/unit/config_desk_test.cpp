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
  /// A file of the plugin "subject" for each version.
  void provide(const std::string& version) {
    const auto file = "subject-" + version;
    tb.plugin(file, test::make_version(version));
    tb.write_file(file, "#!/bin/false " + version + "\n");
    std::filesystem::permissions(tb.directory() / file, std::filesystem::perms::owner_all);
  }
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
  CHECK(applied() == texts{"unmount m/ !"});
  CHECK(version() == "1.0.0");
  file.releases.clear();
  CHECK(applied() == texts{"unmount m/ !", "deregister generic/subject@1.0.0 !"});
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

TEST_CASE_METHOD(desk_fixture, "what only a new start changes is told against the first reading") {
  file.fixed = {{"limits.call_ms_max", "1"}};
  CHECK(diff().empty());
  file.fixed = {{"limits.call_ms_max", "2"}};
  CHECK(applied() == texts{"configure limits.call_ms_max !"});
  file.fixed = {{"limits.call_ms_max", "1"}};
  CHECK(diff().empty());
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
