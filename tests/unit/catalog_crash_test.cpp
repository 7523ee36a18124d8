// SPDX-License-Identifier: Apache-2.0
//
// What an operator does to the catalog, to trust, and to what a mount runs is done or not done,
// whenever the broker ends; what was acknowledged is there; and a broker that lives on goes by what
// its state says, whatever the disk said of a write.

#include "broker/catalog/trust_record.hpp"
#include "tests/unit/crash_points.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

/// The same keys in every run, so that states can be compared.
struct signer {
  trust::minisign_secret_key key = trust::generate_key();

  std::string id() const { return trust::key_id(key.key.verifier()); }
  std::string sign(const std::string& manifest) const {
    return trust::print_signature(trust::sign_file(manifest, key, "test"));
  }
  trusted_key_info info(const std::string& name) const {
    trusted_key_info info;
    info.public_key = trust::public_key_text(key.verifier());
    info.name = name;
    return info;
  }
};

const signer& ci() {
  static const signer key;
  return key;
}

const signer& next_ci() {
  static const signer key;
  return key;
}

std::string file_of(const std::string& version) {
  return "subject-" + version;
}

/// Writes what vouches for a file.
void vouch(test_broker& tb, const std::string& version, const std::vector<const signer*>& by,
           std::uint32_t security_version) {
  const auto bytes = "#!/bin/false " + version + "\n";
  trust::manifest says;
  says.kind = "generic";
  says.name = "subject";
  says.version = version;
  says.security_version = security_version;
  says.os_arch = trust::this_os_arch();
  says.sha256 = trust::sha256(bytes);
  says.size_bytes = bytes.size();
  says.link = trust::link_kind::script;
  const auto text = trust::print_manifest(says);
  tb.write_file(file_of(version) + ".manifest", text);
  std::string signatures;
  for (const auto* each : by) signatures += each->sign(text);
  tb.write_file(file_of(version) + ".manifest.minisig", signatures);
}

/// Two releases of a plugin, as files.
void plugins(test_broker& tb) {
  tb.services().config.allow_unregistered = false;
  for (const std::string version : {"1.0.0", "2.0.0"}) {
    tb.plugin(file_of(version), make_version(version));
    tb.write_file(file_of(version), "#!/bin/false " + version + "\n");
    std::filesystem::permissions(tb.directory() / file_of(version),
                                 std::filesystem::perms::owner_all);
  }
}

release_spec spec_of(const std::string& version) {
  release_spec spec;
  spec.name = "subject";
  spec.command = file_of(version);
  return spec;
}

void enter(test_broker& tb, const std::string& version) {
  tb.wait(tb.core().register_release(spec_of(version)));
}

void believe(test_broker& tb, const signer& whom, const std::string& name) {
  tb.wait(tb.trust().trust_key(whom.info(name)));
}

/// What a registration comes to, as its last step enters it: those before write nothing.
std::shared_ptr<const release> registered;

void register_and_take_back(test_broker& tb, const std::string& version) {
  enter(tb, version);
  registered = tb.catalog().find({"generic", "subject", version});
  tb.wait(tb.catalog().remove({"generic", "subject", version}));
}

kj::Promise<void> enter_registered(test_broker& tb) {
  return tb.catalog().add(*registered, tb.services().limits.releases_max).ignoreResult();
}

void mount(test_broker& tb, const std::string& version = {}) {
  mount_spec spec{"m/", "subject"};
  spec.version = version;
  tb.wait(tb.core().mount(std::move(spec)));
}

/// "generic/subject@1.0.0 sha256 2 signers pinned preferred" and so on: all that is decided by.
std::string describe(release_catalog& catalog, const trust_desk& trust) {
  std::string text;
  for (const auto& each : catalog.list({}, {}))
    text += fmt::format("{}/{}@{} {} {} signers{}{}; {}\n", each.kind, each.name, each.version,
                        each.sha256, each.signed_by.size(), each.pinned ? " pinned" : "",
                        each.preferred ? " preferred" : "", each.refusal);
  const auto report = trust.report();
  for (const auto& each : report.keys)
    text += fmt::format("key {} {} {}{} {}\n", each.id, each.name, each.plugins,
                        each.revoked ? " revoked" : "", each.reason);
  for (const auto& each : report.policies)
    text += fmt::format("policy {} {}\n", each.kind, static_cast<int>(each.policy));
  for (const auto& each : report.floors)
    text += fmt::format("floor {}/{} {} {}\n", each.kind, each.name, each.signers,
                        each.security_version);
  return text;
}

std::string describe_memory(test_broker& tb) {
  return describe(tb.catalog(), tb.trust());
}

std::string describe_store(test_broker& tb) {
  auto& store = tb.services().store;
  event_log unseen;
  trust_desk trust(store, unseen, tb.timer(), test_broker_version, [&tb] { return tb.unix_ms; });
  release_catalog catalog(store, unseen, tb.timer(), trust);
  tb.wait(trust.load());
  tb.wait(catalog.load());
  return describe(catalog, trust);
}

/// The same with which release each mount runs, and would.
std::string describe_all(test_broker& tb) {
  auto text = describe_memory(tb);
  for (const auto& each : tb.wait(tb.core().query_all()))
    if (each.status.state == mount_state::ready)
      text += fmt::format("{} runs {}, then {}\n", each.status.path, each.status.plugin_version,
                          each.status.version_wanted);
  return text;
}

crash_points points(std::function<void(test_broker&)> prepare,
                    std::function<kj::Promise<void>(test_broker&)> operate) {
  crash_points all;
  all.plugins = plugins;
  all.prepare = std::move(prepare);
  all.operate = std::move(operate);
  all.lies = true;
  all.describe_more = describe_all;
  all.in_memory = describe_memory;
  all.in_store = describe_store;
  return all;
}

void nothing(test_broker&) {}

void enter_both(test_broker& tb) {
  enter(tb, "1.0.0");
  enter(tb, "2.0.0");
}

}  // namespace

TEST_CASE("a release is registered or not, at whichever write the broker ends") {
  auto all = points([](test_broker& tb) { register_and_take_back(tb, "1.0.0"); }, enter_registered);
  CHECK(all.run() == 1);
}

TEST_CASE("a release is vouched for anew or as before, at whichever write the broker ends") {
  auto all = points(
      [](test_broker& tb) {
        believe(tb, ci(), "ci");
        believe(tb, next_ci(), "next");
        vouch(tb, "1.0.0", {&ci(), &next_ci()}, 1);
        register_and_take_back(tb, "1.0.0");
        vouch(tb, "1.0.0", {&ci()}, 1);
        enter(tb, "1.0.0");
      },
      enter_registered);
  CHECK(all.run() == 2);  // it finds the release, and replaces what vouches for it
}

TEST_CASE("a release is deregistered or not, at whichever write the broker ends") {
  auto all = points(enter_both, [](test_broker& tb) {
    return tb.catalog().remove({"generic", "subject", "2.0.0"});
  });
  CHECK(all.run() == 1);
}

TEST_CASE("a pin is set or not, at whichever write the broker ends") {
  auto all = points(enter_both, [](test_broker& tb) {
    return tb.catalog().pin({"generic", "subject", "1.0.0"});
  });
  CHECK(all.run() == 1);
}

TEST_CASE("a pin is moved or not, and lifted or not, at whichever write the broker ends") {
  const auto pinned = [](test_broker& tb) {
    enter_both(tb);
    tb.wait(tb.catalog().pin({"generic", "subject", "1.0.0"}));
  };
  auto moved = points(pinned, [](test_broker& tb) {
    return tb.catalog().pin({"generic", "subject", "2.0.0"});
  });
  CHECK(moved.run() == 1);
  auto lifted =
      points(pinned, [](test_broker& tb) { return tb.catalog().unpin("generic", "subject"); });
  CHECK(lifted.run() == 1);
}

TEST_CASE("a key is trusted, changed or forgotten, or not, at whichever write the broker ends") {
  auto added = points(nothing, [](test_broker& tb) {
    return tb.trust().trust_key(ci().info("ci")).ignoreResult();
  });
  CHECK(added.run() == 1);
  const auto trusted = [](test_broker& tb) { believe(tb, ci(), "ci"); };
  auto changed = points(trusted, [](test_broker& tb) {
    auto how = ci().info("ci");
    how.plugins = "secrets/*";
    return tb.trust().trust_key(how).ignoreResult();
  });
  CHECK(changed.run() == 1);
  auto forgotten = points(trusted, [](test_broker& tb) {
    return tb.core().untrust(ci().id(), false, {}).ignoreResult();
  });
  CHECK(forgotten.run() == 1);
}

TEST_CASE("a policy is set or not, at whichever write the broker ends") {
  auto all = points(nothing, [](test_broker& tb) {
    return tb.trust().set_policy("generic", signature_rule::required);
  });
  CHECK(all.run() == 1);
}

TEST_CASE("a key is revoked with its floors or not, at whichever write the broker ends") {
  auto all = points(
      [](test_broker& tb) {
        believe(tb, ci(), "ci");
        vouch(tb, "1.0.0", {&ci()}, 3);
        enter(tb, "1.0.0");
        mount(tb);
      },
      [](test_broker& tb) { return tb.core().untrust(ci().id(), true, "stolen").ignoreResult(); });
  CHECK(all.run() == 1);
}

TEST_CASE("what runs has raised its floor, at whichever write the broker ends") {
  auto all = points(
      [](test_broker& tb) {
        believe(tb, ci(), "ci");
        vouch(tb, "1.0.0", {&ci()}, 3);
        enter(tb, "1.0.0");
      },
      [](test_broker& tb) {
        mount_spec spec{"m/", "subject"};
        return tb.core().mount(std::move(spec)).ignoreResult();
      });
  // The release has run, and its mount could not be stored: the floor holds.
  all.also_allowed = [](const std::string& before, const std::string& after) {
    const auto floor = after.find("floor ");
    return before + after.substr(floor, after.find('\n', floor) + 1 - floor);
  };
  CHECK(all.run() == 2);
}

TEST_CASE("a reload brings a mount to the other release or not, whenever the broker ends") {
  auto all = points(
      [](test_broker& tb) {
        enter(tb, "1.0.0");
        mount(tb);
        enter(tb, "2.0.0");
      },
      [](test_broker& tb) {
        return tb.core().reload("m", {}).then([](std::vector<reload_result>&& all) {
          if (all.front().outcome != reload_outcome::replaced)
            KJ_FAIL_REQUIRE("not reloaded", all.front().reason.c_str());
        });
      });
  CHECK(all.run() == 1);
}

TEST_CASE("a reload that cannot be stored has failed, and the old instance serves on") {
  mortal_broker one(test_state{}.engine, plugins);
  auto& tb = *one.broker;
  enter(tb, "1.0.0");
  mount(tb);
  enter(tb, "2.0.0");
  one.disk->arm(write_fault::fails, 1);
  const auto failed = tb.finish(tb.core().reload("m", {})).front();
  CHECK(failed.outcome == reload_outcome::failed);
  CHECK(failed.reason.find("generic/subject@2.0.0 could not be stored") != std::string::npos);
  CHECK(tb.status("m").status.generation == 1);
  CHECK(tb.core().require("m").entry->version_running == "1.0.0");
  CHECK(tb.finish(tb.core().reload("m", {})).front().outcome == reload_outcome::replaced);
  CHECK(tb.core().require("m").entry->version_running == "2.0.0");
}

TEST_CASE("nothing overtakes a revocation on its way to the store") {
  const auto state = test_state{}.engine;
  {
    mortal_broker one(state, plugins);
    auto& tb = *one.broker;
    believe(tb, ci(), "ci");
    auto revoked = tb.trust().untrust(ci().id(), true, "stolen").eagerlyEvaluate(nullptr);
    CHECK_FALSE(one.acknowledges(tb.trust().trust_key(ci().info("ci")).ignoreResult()));
    CHECK_FALSE(one.acknowledges(tb.trust().untrust(ci().id(), false, {})));
    tb.wait(kj::mv(revoked));
  }
  {
    mortal_broker one(state, plugins);
    believe(*one.broker, next_ci(), "next");
    auto& trust = one.broker->trust();
    auto revoked = trust.untrust(next_ci().id(), true, "stolen").eagerlyEvaluate(nullptr);
    auto trusted = trust.trust_key(next_ci().info("next")).ignoreResult().eagerlyEvaluate(nullptr);
    CHECK_FALSE(one.acknowledges(kj::mv(trusted)));
    one.broker->wait(kj::mv(revoked));
  }
  mortal_broker next(state, plugins);
  const auto report = next.broker->trust().report();
  REQUIRE(report.keys.size() == 2);
  for (const auto& key : report.keys) CHECK(key.revoked);
}

TEST_CASE("what is in doubt is said, and looked up before the next change") {
  mortal_broker one(test_state{}.engine, plugins);
  auto& tb = *one.broker;
  enter_both(tb);
  one.disk->arm(write_fault::lies, 1);
  CHECK_FALSE(one.acknowledges(tb.catalog().remove({"generic", "subject", "2.0.0"})));
  const auto said = [&tb](const std::string& name) {
    const auto all = tb.events().after(0, 1000);
    return std::count_if(all.begin(), all.end(),
                         [&](const auto& each) { return each.name == name; });
  };
  CHECK(said("in_doubt") == 1);
  one.disk->arm(write_fault::none, 0);
  CHECK_FALSE(one.acknowledges(tb.catalog().pin({"generic", "subject", "2.0.0"})));
  CHECK(said("looked_up") == 1);
  CHECK(describe_memory(tb) == describe_store(tb));
}
