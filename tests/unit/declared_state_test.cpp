// SPDX-License-Identifier: Apache-2.0
//
// From what is declared and what is there to what is to be done: every rule by itself, and small
// states in all combinations.

#include "broker/declared_state.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>

#include "tests/bars.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

release_spec release(const std::string& version, const std::string& command = "kv") {
  return {"secrets", "kv", version, command, {}, {}, {}};
}

mount_spec mount(const std::string& path, const std::string& version = {}) {
  mount_spec spec;
  spec.path = path;
  spec.plugin = "kv";
  spec.version = version;
  return spec;
}

/// As the broker keeps it: the kind is known.
mount_spec kept(mount_spec spec) {
  spec.kind = "secrets";
  return spec;
}

std::string line(const config_change& change) {
  return change.action + " " + change.target + ": " + change.detail +
         (change.problem.empty() ? "" : " !");
}

std::vector<std::string> lines(const declared_state& wanted, const actual_state& is,
                               bool prune = false) {
  std::vector<std::string> result;
  for (const auto& step : plan(wanted, is, prune)) result.push_back(line(step.shown));
  return result;
}

using texts = std::vector<std::string>;

/// What the broker holds after all steps of a plan.
actual_state carried_out(actual_state is, const std::vector<config_step>& steps) {
  for (const auto& step : steps) {
    if (!step.shown.problem.empty()) continue;
    const auto at_path = [&step](const auto& each) { return each.spec.path == step.mount.path; };
    const auto of_plugin = [&step](const auto& each) { return each.name == step.pin.name; };
    switch (step.action) {
      case config_action::register_release:
        is.releases.push_back({step.release, true, {}});
        break;
      case config_action::pin:
        std::erase_if(is.pins, of_plugin);
        is.pins.push_back({step.pin.kind, step.pin.name, step.pin.version, step.pin.version});
        break;
      case config_action::mount:
        is.mounts.push_back({kept(step.mount), true, {}});
        break;
      case config_action::tune:
        for (auto& each : is.mounts)
          if (each.spec.path == step.tune.path) {
            if (step.tune.version) each.spec.version = *step.tune.version;
            if (step.tune.description) each.spec.description = *step.tune.description;
          }
        break;
      case config_action::unmount:
        std::erase_if(is.mounts, at_path);
        break;
      case config_action::unpin:
        std::erase_if(is.pins, of_plugin);
        break;
      case config_action::deregister:
        std::erase_if(is.releases, [&step](const auto& each) { return each.spec == step.release; });
        break;
      case config_action::keep:
      case config_action::configure:
        break;
    }
  }
  return is;
}

}  // namespace

TEST_CASE("nothing declared and nothing there is nothing to do") {
  CHECK(plan({}, {}, false).empty());
  CHECK(plan({}, {}, true).empty());
}

TEST_CASE("what is declared is registered, pinned and mounted, in this order") {
  declared_state wanted;
  wanted.mounts = {mount("b/"), mount("a/", "1.0.0")};
  wanted.pins = {{"secrets", "kv", "1.0.0"}};
  wanted.releases = {release("1.1.0", "kv-1.1.0"), release("1.0.0")};
  CHECK(lines(wanted, {}) == texts{"register secrets/kv@1.1.0: command kv-1.1.0",
                                   "register secrets/kv@1.0.0: command kv",
                                   "pin secrets/kv: version 1.0.0", "mount b/: plugin kv",
                                   "mount a/: plugin kv@1.0.0"});
}

TEST_CASE("what is there as declared is left alone, whoever brought it, but for mounts") {
  declared_state wanted;
  wanted.releases = {release("1.0.0")};
  wanted.pins = {{"secrets", "kv", "1.0.0"}};
  wanted.mounts = {mount("kv/")};
  auto its = release("1.0.0");
  its.sha256 = std::string(64, 'a');
  for (const bool declared : {false, true}) {
    const std::string pinned = declared ? "1.0.0" : "";
    actual_state is;
    is.releases = {{its, declared, {}}};
    is.pins = {{"secrets", "kv", "1.0.0", pinned}};
    is.mounts = {{kept(mount("kv/")), true, {}}};
    CHECK(lines(wanted, is).empty());
    is.mounts.front().declared = false;
    const auto steps = plan(wanted, is, true);
    REQUIRE(steps.size() == 1);
    CHECK(steps[0].shown.problem ==
          "made by an operator: take it out of the file, or move or unmount it (unmounting deletes "
          "its data)");
    is.mounts.front().problem = "its record makes no sense";
    CHECK(plan(wanted, is, true).at(0).shown.problem == "its record makes no sense");
  }
}

TEST_CASE("a registered version that the file says otherwise is a problem") {
  declared_state wanted;
  wanted.releases = {release("1.0.0")};
  actual_state is;
  is.releases = {{release("1.0.0"), true, {}}};
  auto& spec = is.releases.front().spec;
  SECTION("command") {
    spec.command = "other";
  }
  SECTION("hash") {
    wanted.releases.front().sha256 = std::string(64, 'a');
    spec.sha256 = std::string(64, 'b');
  }
  SECTION("arguments") {
    spec.arguments = {"x"};
  }
  SECTION("environment") {
    spec.environment = {"A=b"};
  }
  const auto steps = plan(wanted, is, false);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].shown.action == "register");
  CHECK(steps[0].shown.problem.find("never changes") != std::string::npos);
}

TEST_CASE("a pin of the file is brought back, and one of an operator's is not touched") {
  declared_state wanted;
  wanted.pins = {{"secrets", "kv", "1.0.0"}};
  actual_state is;
  is.releases = {{release("1.0.0"), false, {}}, {release("2.0.0"), false, {}}};
  is.pins = {{"secrets", "kv", "2.0.0", "1.0.0"}};
  CHECK(lines(wanted, is) == texts{"pin secrets/kv: version 2.0.0 -> 1.0.0"});
  is.pins = {{"secrets", "kv", "2.0.0", ""}};
  CHECK(lines(wanted, is) == texts{"pin secrets/kv: version 2.0.0 -> 1.0.0 !"});
  is.pins = {};
  is.releases = {};
  CHECK(plan(wanted, is, false).at(0).shown.problem == "there is no such release");
}

TEST_CASE("a pin that the file lists no more goes, unless an operator has changed it since") {
  actual_state is;
  is.pins = {{"secrets", "kv", "1.0.0", "1.0.0"}};
  CHECK(lines({}, is) == texts{"unpin secrets/kv: version 1.0.0"});
  is.pins = {{"secrets", "kv", "2.0.0", "1.0.0"}};
  CHECK(lines({}, is).empty());
  is.pins = {{"secrets", "kv", "1.0.0", ""}};
  CHECK(lines({}, is).empty());
}

TEST_CASE("a mount of the file that is otherwise is tuned, and reloaded where it takes that") {
  auto wanted = mount("kv/", "1.0.0");
  wanted.options = {{"a", "1"}, {"b", "2"}};
  declared_state file;
  file.mounts = {wanted};
  actual_state is;
  is.mounts = {{kept(wanted), true, {}}};
  auto& spec = is.mounts.front().spec;
  const auto tune = [&] {
    const auto steps = plan(file, is, false);
    REQUIRE(steps.size() == 1);
    CHECK(steps[0].shown.action == "tune");
    CHECK(steps[0].shown.problem.empty());
    CHECK(steps[0].tune.path == "kv/");
    return steps[0];
  };
  SECTION("options, whose values are never shown, in whatever order") {
    spec.options = {{"secret", "x"}, {"b", "3"}, {"a", "1"}};
    const auto step = tune();
    CHECK(step.shown.detail == "options b, -secret");
    CHECK(step.tune.options == std::vector<option>{{"b", "2"}});
    CHECK(step.tune.unset_options == texts{"secret"});
    CHECK(step.tune.reload);
    spec.options = {{"b", "2"}, {"a", "1"}};
    CHECK(plan(file, is, false).empty());
  }
  SECTION("the version") {
    spec.version = "";
    const auto step = tune();
    CHECK(step.shown.detail == "version any -> 1.0.0");
    CHECK(step.tune.version == "1.0.0");
    CHECK(step.tune.reload);
  }
  SECTION("what counts at once") {
    spec.description = "x";
    spec.restart = restart_rule::temporary;
    spec.supervision.intensity = 9;
    spec.life.idle_stop = 9s;
    spec.calls.waiting_max = 9;
    const auto step = tune();
    CHECK(step.shown.detail == "description; restart; supervision; life; calls");
    CHECK(step.tune.description == "");
    CHECK(step.tune.restart == restart_rule::permanent);
    CHECK(step.tune.supervision == restart_limits{});
    CHECK(step.tune.life == life_rules{});
    CHECK(step.tune.calls == call_rules{});
    CHECK_FALSE(step.tune.version);
    CHECK_FALSE(step.tune.reload);
  }
  SECTION("grants, of which only addresses count at once") {
    spec.confinement.grants = {"net:a:1", "net:b:1"};
    const auto step = tune();
    CHECK(step.shown.detail == "grants");
    CHECK(step.tune.grants == texts{});
    CHECK_FALSE(step.tune.reload);
    spec.confinement.grants = {"net:a:1", "read-dir:/srv"};
    CHECK(tune().tune.reload);
  }
}

TEST_CASE("another plugin, kind or group, or a mount that nothing can be done to, is a problem") {
  declared_state wanted;
  wanted.mounts = {mount("kv/", "1.0.0")};
  actual_state is;
  is.mounts = {{kept(mount("kv/", "2.0.0")), true, {}}};
  SECTION("plugin") {
    is.mounts.front().spec.plugin = "other";
  }
  SECTION("kind") {
    wanted.mounts.front().kind = "generic";
  }
  SECTION("group") {
    wanted.mounts.front().group = "g";
  }
  SECTION("unusable") {
    is.mounts.front().problem = "its record makes no sense";
  }
  const auto steps = plan(wanted, is, true);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].shown.action == "tune");
  CHECK_FALSE(steps[0].shown.problem.empty());
}

TEST_CASE("a mount that would overlap with another is a problem") {
  for (const auto* path : {"a/b/", "a/b/c/d/"}) {
    declared_state wanted;
    wanted.mounts = {mount(path)};
    actual_state is;
    is.mounts = {{kept(mount("a/b/c/")), false, {}}};
    CHECK(plan(wanted, is, false).at(0).shown.problem == "the mount 'a/b/c/' overlaps with it");
  }
}

TEST_CASE("a mount that the file lists no more stays, with its data, until pruned") {
  actual_state is;
  is.mounts = {{kept(mount("a/")), true, {}, "uuid-a", "a/"}, {kept(mount("b/")), false, {}}};
  const auto kept_steps = plan({}, is, false);
  REQUIRE(kept_steps.size() == 1);
  CHECK(kept_steps[0].shown.action == "keep");
  CHECK(kept_steps[0].shown.detail.find("config apply --prune") != std::string::npos);
  CHECK(kept_steps[0].shown.problem.empty());
  CHECK(lines({}, is, true) == texts{"unmount a/: deletes its data"});
  CHECK(plan({}, is, true).at(0).uuid == "uuid-a");
}

TEST_CASE("nothing is pruned while another change has a problem") {
  declared_state wanted;
  wanted.mounts = {mount("b/")};
  actual_state is;
  is.releases = {{release("1.0.0"), true, {"a/"}}};
  is.mounts = {{kept(mount("a/")), true, {}}, {kept(mount("b/")), false, {}}};
  CHECK(lines(wanted, is, true) == texts{"mount b/: plugin kv !", "unmount a/: deletes its data !",
                                         "deregister secrets/kv@1.0.0: no longer in the file !"});
  is.mounts.pop_back();
  CHECK(lines(wanted, is, true) == texts{"mount b/: plugin kv", "unmount a/: deletes its data",
                                         "deregister secrets/kv@1.0.0: no longer in the file"});
}

TEST_CASE("a mount that an operator moved is not made anew, and never pruned") {
  declared_state wanted;
  wanted.mounts = {mount("a/")};
  actual_state is;
  is.mounts = {{kept(mount("b/")), true, {}, "uuid", "a/"}};
  SECTION("while the file has it at its old path that is a problem") {
    const auto steps = plan(wanted, is, true);
    REQUIRE(steps.size() == 1);
    CHECK(steps[0].shown.action == "mount");
    CHECK(steps[0].shown.problem.find("an operator moved it to 'b/'") == 0);
  }
  SECTION("also below its old path") {
    is.mounts.front().spec.path = "a/b/";
    CHECK(plan(wanted, is, true).at(0).shown.problem.find("moved it to 'a/b/'") !=
          std::string::npos);
  }
  SECTION("a file that has it at its new path has it again") {
    wanted.mounts = {mount("b/", "1.0.0")};
    const auto steps = plan(wanted, is, true);
    REQUIRE(steps.size() == 2);
    CHECK(line(steps[0].shown) == "tune b/: in the file where an operator moved it, from 'a/'");
    CHECK(steps[0].adopt);
    CHECK(steps[0].uuid == "uuid");
    CHECK(line(steps[1].shown) == "tune b/: version any -> 1.0.0");
    CHECK_FALSE(steps[1].adopt);
  }
  SECTION("a file that has it nowhere leaves it alone") {
    for (const bool prune : {false, true}) {
      const auto steps = plan({}, is, prune);
      REQUIRE(steps.size() == 1);
      CHECK(steps[0].shown.action == "keep");
      CHECK(steps[0].shown.detail.find("moved it here from 'a/'") != std::string::npos);
      CHECK(steps[0].shown.problem.empty());
    }
  }
  SECTION("two that changed places are told both") {
    wanted.mounts.push_back(mount("b/"));
    is.mounts.push_back({kept(mount("a/")), true, {}, "other", "b/"});
    CHECK(lines(wanted, is, true) == texts{"mount a/: plugin kv !", "mount b/: plugin kv !"});
  }
}

TEST_CASE("a release that the file lists no more goes when nothing keeps it") {
  actual_state is;
  is.releases = {{release("1.0.0"), true, {}}, {release("2.0.0"), false, {}}};
  CHECK(lines({}, is) == texts{"deregister secrets/kv@1.0.0: no longer in the file"});
  const auto problem = [&](const declared_state& wanted = {}, bool prune = false) {
    return plan(wanted, is, prune).back().shown.problem;
  };
  SECTION("an operator's mount uses it") {
    is.releases[0].users = {"a/", "b/"};
    is.mounts = {{kept(mount("a/")), false, {}}, {kept(mount("b/")), false, {}}};
    CHECK(problem() == "in use by a/, b/");
  }
  SECTION("a mount that goes with it does not count") {
    is.releases[0].users = {"a/"};
    is.mounts = {{kept(mount("a/")), true, {}}};
    CHECK(plan({}, is, false).back().shown.action == "keep");
    CHECK(plan({}, is, false).back().shown.detail == "no longer in the file; it is kept for a/");
    CHECK(problem().empty());
    CHECK(plan({}, is, true).back().shown.action == "deregister");
    CHECK(problem({}, true).empty());
  }
  SECTION("nor one that takes another version") {
    declared_state wanted;
    wanted.mounts = {mount("a/", "2.0.0")};
    is.releases[0].users = {"a/"};
    is.mounts = {{kept(mount("a/", "1.0.0")), true, {}}};
    CHECK(lines(wanted, is) == texts{"tune a/: version 1.0.0 -> 2.0.0",
                                     "deregister secrets/kv@1.0.0: no longer in the file"});
  }
  SECTION("a pin holds it, but not one that goes or changes") {
    is.pins = {{"secrets", "kv", "1.0.0", ""}};
    CHECK(problem() == "it is pinned by an operator");
    is.pins = {{"secrets", "kv", "1.0.0", "1.0.0"}};
    CHECK(lines({}, is) == texts{"unpin secrets/kv: version 1.0.0",
                                 "deregister secrets/kv@1.0.0: no longer in the file"});
    declared_state wanted;
    wanted.pins = {{"secrets", "kv", "2.0.0"}};
    CHECK(problem(wanted).empty());
    wanted.pins = {{"secrets", "kv", "1.0.0"}};
    CHECK(problem(wanted) == "the file pins it");
  }
}

TEST_CASE("what only a new start changes is told, and not done, and no problem") {
  declared_state wanted;
  wanted.fixed = {{"limits.call_ms_max", "1 -> 2"}, {"group.a", "nothing -> x"}};
  CHECK(lines(wanted, {}) ==
        texts{"configure group.a: nothing -> x, from the next start of the broker on",
              "configure limits.call_ms_max: 1 -> 2, from the next start of the broker on"});
}

TEST_CASE("a plan for 10,000 mounts costs little more for each than one for 2,500") {
  const auto seconds = [](int count) {
    declared_state wanted;
    actual_state is;
    for (int i = 0; i < count; ++i) {
      const auto path = "team/" + std::to_string(i) + "/";
      const auto version = std::to_string(i) + ".0.0";
      wanted.releases.push_back(release(version));
      is.releases.push_back({release(version), true, {path}});
      wanted.mounts.push_back(mount(path + "new/"));
      is.mounts.push_back({kept(mount("there/" + path, version)), true, {}});
      wanted.pins.push_back({"secrets", "kv" + std::to_string(i), version});
      is.pins.push_back({"secrets", "kv" + std::to_string(i), "0.0.1", "0.0.1"});
    }
    auto best = 1h + 0ns;
    for (int i = 0; i < 3; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      CHECK(plan(wanted, is, true).size() == 3 * static_cast<std::size_t>(count));
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    }
    return std::chrono::duration<double>(best).count();
  };
  CHECK(bars::met([&] {
    const auto few = seconds(2500);
    const auto many = seconds(10'000);
    std::printf("a plan for 2,500 mounts: %.1f ms, for 10,000: %.1f ms\n", few * 1e3, many * 1e3);
    return many < few * 12;  // a quadratic one: 16 times
  }));
}

TEST_CASE("whatever is declared and there: applied once is applied, and operators' is untouched") {
  // Each of two releases, a pin and two mounts: not there, an operator's, the file's; each declared
  // or not; pruned or not.
  const std::vector<std::string> versions{"1.0.0", "2.0.0"};
  const std::vector<std::string> paths{"a/", "b/"};
  int cases = 0;
  for (int there = 0; there < 3 * 3 * 3 * 3 * 3; ++there)
    for (int asked = 0; asked < 64; ++asked) {
      const bool prune = (asked & 32) != 0;
      actual_state is;
      declared_state wanted;
      int code = there;
      for (int i = 0; i < 2; ++i, code /= 3) {
        if (code % 3 != 0) is.releases.push_back({release(versions[i]), code % 3 == 2, {}});
        if ((asked & (1 << i)) != 0) wanted.releases.push_back(release(versions[i]));
      }
      if (code % 3 != 0)
        is.pins.push_back({"secrets", "kv", "2.0.0", code % 3 == 2 ? "2.0.0" : ""});
      if ((asked & 4) != 0) wanted.pins.push_back({"secrets", "kv", "1.0.0"});
      code /= 3;
      for (int i = 0; i < 2; ++i, code /= 3) {
        if (code % 3 != 0) is.mounts.push_back({kept(mount(paths[i], "9.0.0")), code % 3 == 2, {}});
        if ((asked & (8 << i)) != 0) wanted.mounts.push_back(mount(paths[i]));
      }
      const auto steps = plan(wanted, is, prune);
      CHECK(std::is_sorted(steps.begin(), steps.end(),
                           [](const auto& a, const auto& b) { return a.action < b.action; }));
      const auto after = carried_out(is, steps);
      for (const auto& step : plan(wanted, after, prune)) {
        // What is left are problems that were told before.
        INFO(there << " " << asked << " " << line(step.shown));
        CHECK((step.action == config_action::keep || !step.shown.problem.empty()));
      }
      for (const auto& each : is.mounts) {
        const auto same = std::find_if(after.mounts.begin(), after.mounts.end(), [&](auto& other) {
          return other.spec.path == each.spec.path;
        });
        const bool stays = same != after.mounts.end();
        CHECK((stays || (each.declared && prune)));
        if (!each.declared) CHECK((stays && same->spec.version == "9.0.0"));
      }
      for (const auto& each : is.releases)
        if (!each.declared)
          CHECK(std::any_of(after.releases.begin(), after.releases.end(),
                            [&](const auto& other) { return other.spec == each.spec; }));
      if (!is.pins.empty() && is.pins[0].declared.empty()) {
        REQUIRE(after.pins.size() == 1);
        CHECK(after.pins[0].version == "2.0.0");
      }
      ++cases;
    }
  CHECK(cases == 243 * 64);
}
