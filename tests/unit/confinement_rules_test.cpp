// SPDX-License-Identifier: Apache-2.0
//
// What comes out when broker, release, mount and manifest each say something of confinement.
#include "broker/confinement_rules.hpp"

#include <kj/exception.h>

#include <array>
#include <catch2/catch.hpp>

#include "broker/convert.hpp"

using namespace bulkhead;

namespace {

constexpr std::array profiles{profile::strict, profile::strict_unprivileged, profile::no_userns,
                              profile::interpreter};

std::string word(profile which) {
  return std::string(to_string(which));
}

confinement_rules saying(std::string profile) {
  confinement_rules rules;
  rules.profile = std::move(profile);
  return rules;
}

const confinement_rules nothing;
const confinement_rules strict_broker = saying("strict");

template <class Work>
std::string refusal_of(Work work) {
  KJ_IF_MAYBE (problem, kj::runCatchingExceptions([&] { work(); })) {
    const auto said = to_error(*problem);
    return to_string(said.kind()) + ": " + said.what() + ": " + said.why();
  }
  return {};
}

confinement of_mount(const confinement_rules& mount, const manifest_bounds& bounds = {}) {
  return effective_confinement(strict_broker, nothing, mount, bounds);
}

std::string refused(const confinement_rules& rules) {
  return refusal_of([&] { check_confinement(rules); });
}

}  // namespace

TEST_CASE("the mount's profile goes before the release's, and that before the broker's") {
  for (const auto broker : profiles) {
    CHECK(effective_confinement(saying(word(broker)), nothing, nothing, {}).of == broker);
    for (const auto release : profiles) {
      const auto said = saying(word(release));
      CHECK(effective_confinement(saying(word(broker)), said, nothing, {}).of == release);
      for (const auto mount : profiles)
        CHECK(effective_confinement(saying(word(broker)), said, saying(word(mount)), {}).of ==
              mount);
    }
  }
}

TEST_CASE(
    "a manifest narrows every profile that is wider, and is refused where it is not narrower") {
  for (const auto operators : profiles) {
    for (const auto makers : profiles) {
      confinement found;
      const auto problem = refusal_of([&] {
        found =
            effective_confinement(saying(word(operators)), nothing, nothing, {word(makers), {}});
      });
      // Worked out from the walls themselves, and not by the function that is under test.
      const bool less_tried = (wanted_walls(operators) & ~wanted_walls(makers)).any();
      const bool less_needed = (required_walls(operators) & ~required_walls(makers)).any();
      INFO(word(operators) << " and " << word(makers));
      if (less_tried || less_needed) {
        CHECK(problem ==
              "failed_precondition: its manifest asks for a wider profile than it may "
              "have: it asks for " +
                  word(makers) + ", and is given " + word(operators));
      } else {
        CHECK(problem.empty());
        CHECK(found.of == makers);
        CHECK((required_walls(found.of) & required_walls(operators)) == required_walls(operators));
      }
    }
  }
  CHECK(narrower_or_same(profile::strict, profile::interpreter));
  CHECK_FALSE(narrower_or_same(profile::interpreter, profile::strict));
  CHECK_FALSE(narrower_or_same(profile::interpreter, profile::no_userns));
}

TEST_CASE("a manifest's profile that nobody knows is refused by name") {
  CHECK(refusal_of([] {
          of_mount(nothing, {"static-v1", {}});
        }) ==
        "failed_precondition: its manifest names a profile that is not known: 'static-v1'; the "
        "profiles are strict, strict-unprivileged, no-userns or interpreter");
}

TEST_CASE("each limit by itself: the mount's, else the release's, else the broker's") {
  for (const auto& name : confinement_limit_names()) {
    const auto at = [&name](std::uint64_t value) {
      confinement_rules rules;
      rules.limits = {{name, value}};
      return rules;
    };
    const auto value_of = [&name](const confinement& found) {
      for (const auto& each : limits_shown(found.limits))
        if (each.name == name) return each.value;
      return std::uint64_t{0};
    };
    auto broker = at(200'000'0);
    auto release = at(300'000'0);
    auto mount = at(400'000'0);
    if (!is_byte_limit(name)) broker = at(200), release = at(300), mount = at(400);
    if (name == "memory")
      broker = at(64U << 20U), release = at(32U << 20U), mount = at(128U << 20U);
    broker.profile = "strict";
    INFO(name);
    CHECK(value_of(effective_confinement(strict_broker, nothing, nothing, {})) ==
          value_of(confinement{}));
    CHECK(value_of(effective_confinement(broker, nothing, nothing, {})) == broker.limits[0].value);
    CHECK(value_of(effective_confinement(broker, release, nothing, {})) == release.limits[0].value);
    CHECK(value_of(effective_confinement(broker, nothing, mount, {})) == mount.limits[0].value);
    CHECK(value_of(effective_confinement(broker, release, mount, {})) == mount.limits[0].value);
    // A smaller number of the manifest's counts, a larger one does not.
    const auto now = mount.limits[0].value;
    CHECK(value_of(effective_confinement(broker, release, mount, {{}, {{name, now - 1}}})) ==
          now - 1);
    CHECK(value_of(effective_confinement(broker, release, mount, {{}, {{name, now + 1}}})) == now);
    CHECK(value_of(effective_confinement(broker, release, mount, {{}, {{name, 0}}})) == now);
  }
}

TEST_CASE("a manifest sets a limit where operators set none, and opens nothing that they forbid") {
  confinement_rules mount;
  mount.limits = {{"tasks", 0}, {"memory", 0}, {"swap", 0}, {"file-size", 0}};
  const auto found =
      of_mount(mount, {{}, {{"tasks", 4}, {"memory", 1U << 20U}, {"swap", 99}, {"file-size", 99}}});
  CHECK(found.limits.tasks == 4);
  CHECK(found.limits.memory_bytes == 1U << 20U);
  CHECK(found.limits.swap_bytes == 0);
  CHECK(found.limits.file_bytes == 0);
}

TEST_CASE("limits of a manifest that are times are none of confinement's") {
  CHECK(of_mount(nothing, {{}, {{"start-ms", 5}, {"call-ms", 5}}}) == of_mount(nothing));
}

TEST_CASE(
    "a release that is a script gets the interpreter's profile when no word of it says other") {
  const auto of_script = [](const std::string& release, const std::string& mount) {
    return effective_confinement(strict_broker, saying(release), saying(mount), {},
                                 release_form::script)
        .of;
  };
  CHECK(of_script("", "") == profile::interpreter);
  CHECK(of_script("strict", "") == profile::strict);
  CHECK(of_script("", "no-userns") == profile::no_userns);
  CHECK(of_mount(nothing).of == profile::strict);
  CHECK(effective_confinement(strict_broker, nothing, nothing, {"strict", {}}, release_form::script)
            .of == profile::strict);
}

TEST_CASE("waivers and grants of the three add up, and a manifest has none") {
  confinement_rules broker = strict_broker;
  broker.waive = {"cg.cpu"};
  broker.grants = {"read-dir:/etc/ssl"};
  confinement_rules release;
  release.waive = {"cg.memory"};
  release.grants = {"env:TZ=UTC", "read-dir:/etc/ssl"};
  confinement_rules mount;
  mount.waive = {"cg.cpu", "user-ns"};
  mount.grants = {"write-dir:/srv/data:/data"};
  const auto found = effective_confinement(broker, release, mount, {});
  wall_set waived;
  for (const auto which : {wall::cgroup_cpu, wall::cgroup_memory, wall::user_namespace})
    waived.set(index_of(which));
  CHECK(found.waived == waived);
  CHECK(found.grants == std::vector<grant>{{grant_kind::read_directory, "/etc/ssl", ""},
                                           {grant_kind::environment, "TZ=UTC", ""},
                                           {grant_kind::write_directory, "/srv/data", "/data"}});
}

TEST_CASE("a grant with another name inside is refused by a profile without a root of its own") {
  const std::string why =
      " cannot be given: it has another name inside, and by the profile no-userns the plugin sees "
      "the host's names";
  confinement_rules rules = saying("no-userns");
  for (const auto* const one :
       {"read-dir:/srv/a:/a", "write-dir:/srv/a:/a", "device:/dev/null:/null"}) {
    rules.grants = {"env:A=b", one};
    const auto about = std::string("the grant '") + one + "'" + why;
    CHECK(refused(rules) == "invalid_argument: " + about);
    confinement_rules unsaid;
    unsaid.grants = rules.grants;
    CHECK(refused(unsaid).empty());
    CHECK(refusal_of([&] { effective_confinement(saying("no-userns"), nothing, unsaid, {}); }) ==
          "failed_precondition: " + about);
    CHECK(refusal_of([&] { effective_confinement(strict_broker, nothing, unsaid, {}); }).empty());
  }
  rules.grants = {"read-dir:/srv/a", "write-dir:/srv/b:/srv/b", "file:/etc/hosts"};
  CHECK(refused(rules).empty());
  CHECK(effective_confinement(strict_broker, nothing, rules, {}).grants.size() == 3);
}

TEST_CASE("a directory is not granted within another") {
  const auto refused_with = [](std::vector<std::string> grants) {
    confinement_rules rules;
    rules.grants = std::move(grants);
    return refusal_of([&] { effective_confinement(strict_broker, nothing, rules, {}); });
  };
  const std::string why =
      "failed_precondition: the grant 'write-dir:/srv/a/b' cannot be given: its name inside lies "
      "in that of 'read-dir:/srv/a'";
  CHECK(refused_with({"read-dir:/srv/a", "write-dir:/srv/a/b"}) == why);
  CHECK(refused_with({"write-dir:/srv/a/b", "read-dir:/srv/a"}) == why);
  CHECK(refused_with({"device:/dev/null:/x/y", "read-dir:/srv/a:/x"}).find("lies in that of") !=
        std::string::npos);
  for (const auto* const beside :
       {"write-dir:/srv/a/b:/b", "write-dir:/srv/ab", "file:/srv/a/b", "env:A=/srv/a/b"})
    CHECK(refused_with({"read-dir:/srv/a", beside}).empty());
  // The host's own names are where they are.
  confinement_rules rules = saying("no-userns");
  rules.grants = {"read-dir:/srv/a", "write-dir:/srv/a/b"};
  CHECK(refused(rules).empty());
}

TEST_CASE("words that mean nothing are refused by name") {
  confinement_rules rules;
  rules.profile = "Strict";
  CHECK(refused(rules) ==
        "invalid_argument: 'Strict' is no profile: it is strict, strict-unprivileged, no-userns or "
        "interpreter");
  rules = {};
  rules.waive = {"cgroup"};
  CHECK(refused(rules).find("invalid_argument: 'cgroup' is no wall that could be waived: the walls "
                            "are user-ns, uid, groups") == 0);
  rules = {};
  rules.limits = {{"ram", 1}};
  CHECK(refused(rules).find("invalid_argument: 'ram' is no limit of a plugin: the limits are "
                            "memory, swap, stack, file-size, tasks, fds") == 0);
  rules.limits = {{"tasks", 1}, {"tasks", 2}};
  CHECK(refused(rules) ==
        "invalid_argument: the limit tasks is given twice: each may be given once");
  rules.limits = {{"memory", 1}};
  CHECK(refused(rules) ==
        "invalid_argument: the limit memory is out of range: it is 0, or 4194304 to "
        "1125899906842624");
  rules.limits = {{"cpu-weight", 0}};
  CHECK(refused(rules) ==
        "invalid_argument: the limit cpu-weight is out of range: it is 1 to 10000");
  rules = {};
  rules.grants.assign(grants_max, "env:A=b");
  CHECK(refused(rules).empty());
  rules.grants.emplace_back("env:A=b");
  CHECK(refused(rules) ==
        "invalid_argument: there are too many grants: 65, the limit is 64 (grants_max)");
}

TEST_CASE("a grant is one thing, by a path that leads nowhere else") {
  std::string why;
  for (const char* good : {"read-dir:/etc/ssl", "write-dir:/srv/a:/a", "device:/dev/null",
                           "file:/etc/motd", "env:TZ=Europe/Berlin:x=y", "net:db-1.example:5432",
                           "net:127.0.0.1:1", "net:[::1]:65535", "net:unix:/run/db.sock"}) {
    const auto one = parse_grant(good, why);
    REQUIRE(one);
    CHECK(to_string(*one) == good);
  }
  for (const char* bad : {"",
                          "read-dir",
                          "read-dir:",
                          "read-dir:etc",
                          "read-dir:/",
                          "read-dir:/a/../b",
                          "read-dir:/a//b",
                          "read-dir:/a/",
                          "read-dir:/a:b",
                          "read-dir:/a:",
                          "file:/a:/b",
                          "net:example.org",
                          "net::80",
                          "net:a:0",
                          "net:a:65536",
                          "net:a:080",
                          "net:a:80:90",
                          "net:::1:80",
                          "net:[::1]",
                          "net:a b:80",
                          "net:*:80",
                          "net:unix:db.sock",
                          "net:unix:/a/../b",
                          "net:",
                          "env:TZ",
                          "env:=x",
                          "env:1A=x",
                          "env:LD_PRELOAD=/x",
                          "env:BULKHEAD_FD=4"}) {
    INFO(bad);
    why.clear();
    CHECK_FALSE(parse_grant(bad, why));
    CHECK_FALSE(why.empty());
  }
  CHECK_FALSE(parse_grant("read-dir:/" + std::string(grant_bytes_max, 'a'), why));
  CHECK(why.find("grant_bytes_max") != std::string::npos);
}

TEST_CASE("addresses are granted by broker, release and mount together") {
  confinement_rules broker, release, mount;
  broker.grants = {"net:ntp.example:123", "env:TZ=UTC"};
  release.grants = {"read-dir:/etc/ssl", "net:db.example:5432"};
  mount.grants = {"net:db.example:5432", "net:unix:/run/db.sock"};
  CHECK(granted_addresses(broker, release, mount) ==
        std::vector<std::string>{"ntp.example:123", "db.example:5432", "unix:/run/db.sock"});
  const auto longest = "unix:/" + std::string(106, 'a');
  std::string why;
  CHECK(parse_grant("net:" + longest, why));
  CHECK_FALSE(parse_grant("net:" + longest + "a", why));
  CHECK(parse_grant("net:" + std::string(253, 'a') + ":80", why));
  CHECK_FALSE(parse_grant("net:" + std::string(254, 'a') + ":80", why));
}

TEST_CASE("the value of a variable is not shown, also where the grant makes no sense") {
  CHECK(grant_shown("env:TOKEN=geheim") == "env:TOKEN");
  CHECK(grant_shown("environment:TOKEN=geheim") == "environment:TOKEN");
  CHECK(grant_shown("read-dir:/a=b") == "read-dir:/a=b");
  confinement_rules rules;
  rules.grants = {"env:1TOKEN=geheim"};
  CHECK(refused(rules).find("geheim") == std::string::npos);
  CHECK(rules_shown(rules).grants == std::vector<std::string>{"env:1TOKEN"});
}

TEST_CASE("root is confined by strict, anybody else by strict-unprivileged") {
  CHECK(default_profile(true) == profile::strict);
  CHECK(default_profile(false) == profile::strict_unprivileged);
}
