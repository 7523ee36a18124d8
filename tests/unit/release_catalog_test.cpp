// SPDX-License-Identifier: Apache-2.0
//
// The catalog in a whole broker in memory: registering, mounting by name, keeping to a version,
// trust. Files and their hashes are real, programs are objects (test_broker.hpp).

#include <catch2/catch.hpp>

#include "broker/catalog/trust_record.hpp"
#include "tests/unit/crash_points.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using test::silent;

namespace {

/// A plugin "subject" whose file says another version whenever a test wants it.
struct catalog_fixture : test::mount_fixture {
  explicit catalog_fixture(test::test_state state = {}) : mount_fixture(std::move(state)) {
    tb.services().config.allow_unregistered = false;
  }

  /// A file of its own for each version, so that each has bytes of its own.
  release_info enter(const std::string& version, release_spec spec = {}) {
    provide(version);
    spec.name = "subject";
    spec.command = "subject-" + version;
    return tb.wait(tb.core().register_release(spec));
  }
  void provide(const std::string& version) {
    tb.plugin("subject-" + version, test::make_version(version));
    tb.write_file("subject-" + version, "#!/bin/false " + version + "\n");
    std::filesystem::permissions(tb.directory() / ("subject-" + version),
                                 std::filesystem::perms::owner_all);
  }
  mount_snapshot mount_subject(const std::string& version = {}) {
    return mount([&](mount_spec& spec) {
      spec.plugin = "subject";
      spec.version = version;
    });
  }
  template <class T>
  error failure_of(kj::Promise<T> work) {
    const auto problem = kj::runCatchingExceptions([&] { tb.wait(kj::mv(work)); });
    KJ_IF_MAYBE (why, problem) {
      return to_error(*why);
    }
    return {error_kind::unknown, "it succeeded", {}, {}};
  }
  std::string running() { return status().plugin_version; }
  std::string wanted() { return status().version_wanted; }
  std::string subject_file(const std::string& version) { return "subject-" + version; }
};

/// A key of the test's own, and the files that it makes.
struct signer {
  trust::minisign_secret_key key = trust::generate_key();

  trusted_key_info info() const {
    trusted_key_info info;
    info.public_key = trust::public_key_text(key.verifier());
    return info;
  }
  std::string id() const { return trust::key_id(key.key.verifier()); }
  std::string sign(const std::string& manifest) const {
    return trust::print_signature(trust::sign_file(manifest, key, "test"));
  }
};

struct trust_fixture : catalog_fixture {
  explicit trust_fixture(test::test_state state = {}) : catalog_fixture(std::move(state)) {}
  /// Writes the manifest of the file, signed by all of `by`.
  void vouch(const std::string& version, const std::vector<const signer*>& by,
             const std::function<void(trust::manifest&)>& change = {}) {
    provide(version);
    const auto file = "subject-" + version;
    std::ifstream in(tb.directory() / file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    trust::manifest says;
    says.kind = "generic";
    says.name = "subject";
    says.version = version;
    says.os_arch = trust::this_os_arch();
    says.sha256 = trust::sha256(bytes);
    says.size_bytes = bytes.size();
    says.link = trust::link_kind::script;
    if (change) change(says);
    const auto text = trust::print_manifest(says);
    tb.write_file(file + ".manifest", text);
    std::string signatures;
    for (const auto* each : by) signatures += each->sign(text);
    tb.write_file(file + ".manifest.minisig", signatures);
  }
  release_info enter_signed(const std::string& version) {
    release_spec spec;
    spec.name = "subject";
    spec.command = "subject-" + version;
    return tb.wait(tb.core().register_release(spec));
  }
  void believe(const signer& whom, trusted_key_info how = {}) {
    how.public_key = whom.info().public_key;
    tb.wait(tb.trust().trust_key(how));
  }
};

}  // namespace

TEST_CASE_METHOD(catalog_fixture, "a release is registered as what it says it is") {
  const auto info = enter("1.0.0");
  CHECK(info.kind == "generic");
  CHECK(info.name == "subject");
  CHECK(info.version == "1.0.0");
  CHECK(info.sha256.size() == 64);
  CHECK(info.link == "script");
  CHECK(info.preferred);
  CHECK(info.refusal.empty());
  CHECK(happened("registered"));
  CHECK(tb.living().empty());  // it was only asked
}

TEST_CASE_METHOD(catalog_fixture, "the same again changes nothing, and other words are refused") {
  const auto first = enter("1.0.0");
  CHECK(enter("1.0.0").registered_unix_ms == first.registered_unix_ms);
  release_spec other;
  other.arguments = {"x"};
  other.name = "subject";
  other.command = "subject-1.0.0";
  CHECK(failure_of(tb.core().register_release(other)).kind() == error_kind::already_exists);
  CHECK(tb.catalog().size() == 1);
}

TEST_CASE_METHOD(catalog_fixture, "a plugin that is not what it is registered as is refused") {
  provide("1.0.0");
  release_spec spec;
  spec.name = "subject";
  spec.command = "subject-1.0.0";
  auto wrong = spec;
  wrong.version = "2.0.0";
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::start_failed);
  wrong = spec;
  wrong.kind = "auth";
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::start_failed);
  wrong = spec;
  wrong.name = "other";
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::start_failed);
  wrong = spec;
  wrong.sha256 = std::string(64, '0');
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::permission_denied);
  wrong = spec;
  wrong.command = "../subject";
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::invalid_argument);
  wrong.command = "nothing";
  CHECK(failure_of(tb.core().register_release(wrong)).kind() == error_kind::not_found);
  CHECK(tb.catalog().size() == 0);
}

TEST_CASE_METHOD(catalog_fixture, "a plugin that never says hello holds up nobody but itself") {
  tb.plugin("mute", silent());
  release_spec mute;
  mute.name = "mute";
  auto waiting = tb.core().register_release(mute).eagerlyEvaluate(nullptr);
  while (tb.starts("mute") == 0) tb.settle();  // its files are read by a thread
  CHECK(enter("1.0.0").version == "1.0.0");
  CHECK(mount_subject().status.state == mount_state::ready);
  CHECK_FALSE(waiting.poll(tb.wait_scope()));
  tb.advance(6s);
  CHECK(failure_of(kj::mv(waiting)).kind() == error_kind::start_failed);
}

TEST_CASE_METHOD(catalog_fixture, "at most registrations_at_once_max are under way") {
  tb.plugin("mute", silent());
  tb.services().limits.registrations_at_once_max = 2;
  release_spec mute;
  mute.name = "mute";
  auto one = tb.core().register_release(mute).eagerlyEvaluate(nullptr);
  auto two = tb.core().register_release(mute).eagerlyEvaluate(nullptr);
  CHECK(failure_of(tb.core().register_release(mute)).kind() == error_kind::overloaded);
  one = nullptr;  // whoever asked has gone
  CHECK(enter("1.0.0").version == "1.0.0");
}

TEST_CASE_METHOD(catalog_fixture, "a mount runs the release that its name means, and keeps to it") {
  enter("1.0.0");
  CHECK(mount_subject().status.plugin_version == "1.0.0");
  CHECK(status().kind == "generic");
  CHECK(status().sha256.size() == 64);
  CHECK_FALSE(status().unregistered);
  enter("1.1.0");
  CHECK(running() == "1.0.0");
  CHECK(wanted() == "1.1.0");
  tb.crash(subject_file("1.0.0"));
  CHECK(running() == "1.0.0");  // a crash upgrades nobody
  CHECK(status().generation == 2);
  CHECK(reload().outcome == reload_outcome::replaced);
  CHECK(running() == "1.1.0");
  tb.crash(subject_file("1.1.0"));
  CHECK(running() == "1.1.0");
}

TEST_CASE_METHOD(catalog_fixture,
                 "an operator's restart takes the wanted version, a recycling does not") {
  enter("1.0.0");
  mount([](mount_spec& spec) {
    spec.plugin = "subject";
    spec.life.lifetime_max = 1h;
  });
  enter("1.1.0");
  for (int i = 0; i < 61; ++i) tb.advance(1min);
  CHECK(status().generation > 1);
  CHECK(running() == "1.0.0");
  tb.finish(tb.core().restart("m").ignoreResult());
  CHECK(running() == "1.1.0");
}

TEST_CASE_METHOD(catalog_fixture,
                 "a reload to a release that does not come up leaves the old one") {
  enter("1.0.0");
  mount_subject();
  enter("1.1.0");
  tb.plugin(subject_file("1.1.0"), silent());
  auto reloading = begin_reload();
  tb.advance(6s);
  tb.advance(6s);
  CHECK(tb.wait(kj::mv(reloading)).front().outcome == reload_outcome::failed);
  CHECK(running() == "1.0.0");
  CHECK(version() == "1.0.0");
}

TEST_CASE_METHOD(catalog_fixture, "a reload takes no version but the one that the name means") {
  enter("1.0.0");
  mount_subject();
  enter("1.1.0");
  const auto refused = reload({"1.0.0"});
  CHECK(refused.outcome == reload_outcome::failed);
  CHECK(refused.reason.find("its next release is 1.1.0") == 0);
  CHECK(reload({"1.1.0"}).outcome == reload_outcome::replaced);
}

TEST_CASE_METHOD(catalog_fixture, "what is used or pinned is not deregistered") {
  enter("1.0.0");
  mount_subject();
  enter("1.1.0");
  const release_id old{"generic", "subject", "1.0.0"};
  const release_id fresh{"generic", "subject", "1.1.0"};
  auto refused = failure_of(tb.catalog().remove(old));
  CHECK(refused.kind() == error_kind::failed_precondition);
  CHECK(refused.why().find("m/") != std::string::npos);
  CHECK(failure_of(tb.catalog().remove(fresh)).kind() == error_kind::failed_precondition);
  tb.wait(tb.catalog().pin(old));
  CHECK(wanted() == "1.0.0");
  CHECK(std::string(failure_of(tb.catalog().remove(old)).what()).find("pinned") !=
        std::string::npos);
  tb.wait(tb.catalog().remove(fresh));  // nobody would take it any more
  tb.wait(tb.catalog().unpin({}, "subject"));
  tb.wait(tb.catalog().unpin({}, "subject"));  // once more is no error
  tb.finish(tb.core().unmount("m"));
  tb.wait(tb.catalog().remove(old));
  CHECK(tb.catalog().size() == 0);
  CHECK(failure_of(tb.catalog().remove(old)).kind() == error_kind::not_found);
}

TEST_CASE_METHOD(catalog_fixture, "a file that changed since registration does not run") {
  enter("1.0.0");
  tb.write_file(subject_file("1.0.0"), "#!/bin/false other bytes\n");
  std::filesystem::permissions(tb.directory() / subject_file("1.0.0"),
                               std::filesystem::perms::owner_all);
  tb.forget_images();
  const auto refused = failure_of(tb.core().mount([] {
    mount_spec spec;
    spec.path = "m";
    spec.plugin = "subject";
    return spec;
  }()));
  CHECK(refused.kind() == error_kind::start_failed);
  CHECK(std::string(refused.what()).find("was not started") != std::string::npos);
}

TEST_CASE_METHOD(catalog_fixture, "outside of development a file is not mounted") {
  mount_spec spec;
  spec.path = "m";
  spec.plugin = "p";
  CHECK(failure_of(tb.core().mount(spec)).kind() == error_kind::not_found);
  tb.services().config.allow_unregistered = true;
  CHECK(tb.wait(tb.core().mount(spec)).status.unregistered);
  spec.path = "n";
  spec.version = "1.0.0";
  CHECK(failure_of(tb.core().mount(spec)).kind() == error_kind::not_found);
}

TEST_CASE_METHOD(catalog_fixture, "a later broker finds releases, pins and damage as they were") {
  enter("1.0.0");
  enter("1.1.0");
  tb.wait(tb.catalog().pin({"generic", "subject", "1.0.0"}));
  txn_request damage;
  damage.then.push_back(txn_op::put("catalog/generic/subject/3.0.0", "nonsense"));
  tb.wait(tb.services().store.txn(std::move(damage)));
  release_catalog later(tb.services().store, tb.events(), tb.timer(), tb.trust());
  tb.wait(later.load());
  const auto all = later.list({}, {});
  REQUIRE(all.size() == 3);
  CHECK(all[0].version == "1.1.0");
  CHECK(all[1].version == "1.0.0");
  CHECK(all[1].pinned);
  CHECK(all[1].preferred);
  CHECK(all[2].refusal == "its record in the store makes no sense");
  CHECK(later.resolve({{}, "subject", {}}).chosen->spec.version == "1.0.0");
  tb.wait(later.remove({"generic", "subject", "3.0.0"}));
}

// -- trust ---------------------------------------------------------------------------------------

TEST_CASE_METHOD(trust_fixture,
                 "with a trusted key only what it signed is registered and started") {
  const signer ci;
  enter("1.0.0");
  mount_subject();
  believe(ci);
  CHECK(status().state == mount_state::ready);  // until its next start
  release_spec spec;
  provide("1.1.0");
  spec.name = "subject";
  spec.command = "subject-1.1.0";
  CHECK(failure_of(tb.core().register_release(spec)).kind() == error_kind::permission_denied);
  vouch("1.2.0", {&ci});
  CHECK(enter_signed("1.2.0").signed_by == std::vector<std::string>{ci.id()});
  tb.crash(subject_file("1.0.0"));
  CHECK(status().state == mount_state::quarantined);
  tb.finish(tb.core().reset("m").ignoreResult());
  CHECK(running() == "1.2.0");
}

TEST_CASE_METHOD(trust_fixture, "an unsigned plugin that does not say its kind is not even asked") {
  tb.wait(tb.trust().set_policy("auth", signature_rule::required));
  provide("1.0.0");
  release_spec spec;
  spec.name = "subject";
  spec.command = "subject-1.0.0";
  CHECK(failure_of(tb.core().register_release(spec)).kind() == error_kind::permission_denied);
  CHECK(tb.starts(subject_file("1.0.0")) == 0);
  spec.kind = "generic";
  CHECK(tb.wait(tb.core().register_release(spec)).version == "1.0.0");
}

TEST_CASE_METHOD(trust_fixture, "a revoked key stops what runs on it alone, for good") {
  const signer ci;
  const signer next;
  believe(ci);
  believe(next);
  vouch("1.0.0", {&ci});
  enter_signed("1.0.0");
  mount_subject();
  auto process = tb.process(subject_file("1.0.0"));
  auto revoked = tb.core().untrust(ci.id(), true, "stolen").eagerlyEvaluate(nullptr);
  CHECK(tb.finish(kj::mv(revoked)) == std::vector<std::string>{"m/"});
  CHECK(status().state == mount_state::quarantined);
  CHECK(process->peek());
  CHECK(failure_of(tb.trust().trust_key(ci.info())).kind() == error_kind::failed_precondition);
  CHECK(failure_of(tb.core().untrust(ci.id(), false, {})).kind() ==
        error_kind::failed_precondition);
  CHECK(happened("key_revoked"));
}

TEST_CASE_METHOD(trust_fixture,
                 "a second signature takes the place of the first, and nothing else does") {
  const signer ci;
  const signer next;
  believe(ci);
  believe(next);
  vouch("1.0.0", {&ci});
  enter_signed("1.0.0");
  vouch("1.0.0", {&ci, &next});
  CHECK(enter_signed("1.0.0").signed_by.size() == 2);
  mount_subject();
  CHECK(tb.wait(tb.core().untrust(ci.id(), true, {})).empty());
  CHECK(status().state == mount_state::ready);
}

TEST_CASE_METHOD(trust_fixture, "time and the floor are judged at each start, not once") {
  const signer ci;
  believe(ci);
  vouch("1.0.0", {&ci}, [&](trust::manifest& says) {
    says.security_version = 1;
    says.expires_unix_ms = tb.unix_ms + 3'600'000;
  });
  vouch("1.1.0", {&ci}, [](trust::manifest& says) { says.security_version = 2; });
  enter_signed("1.0.0");
  enter_signed("1.1.0");
  mount_subject("1.0.0");
  CHECK(tb.trust().report().floors.at(0).security_version == 1);
  tb.unix_ms += 3'600'001;
  tb.crash(subject_file("1.0.0"));
  CHECK(status().state == mount_state::quarantined);
  tb.unix_ms -= 3'600'001;
  tb.finish(tb.core().reset("m").ignoreResult());
  CHECK(status().state == mount_state::ready);
  mount([](mount_spec& spec) { spec.plugin = "subject"; }, "n");
  CHECK(tb.trust().report().floors.at(0).security_version == 2);
  tb.crash(subject_file("1.0.0"));
  CHECK(status().state == mount_state::quarantined);
  CHECK(status().reason.find("security") != std::string::npos);
}

TEST_CASE_METHOD(trust_fixture, "what is trusted is durable, and a damaged key closes the door") {
  const signer ci;
  believe(ci, {{}, {}, "ci", "generic/*"});
  tb.wait(tb.trust().set_policy("auth", signature_rule::optional));
  trust_desk later(tb.services().store, tb.events(), tb.timer(), "0.1.0");
  tb.wait(later.load());
  REQUIRE(later.report().keys.size() == 1);
  CHECK(later.report().keys[0].name == "ci");
  CHECK(later.report().keys[0].plugins == "generic/*");
  CHECK_FALSE(later.signature_required("auth"));
  CHECK(later.signature_required("generic"));
  txn_request damage;
  damage.then.push_back(txn_op::put(trust_key_key(ci.id()), "nonsense"));
  tb.wait(tb.services().store.txn(std::move(damage)));
  tb.wait(later.load());
  CHECK(later.report().keys.empty());
  CHECK(later.signature_required("generic"));
  CHECK_FALSE(later.signature_required("auth"));  // an operator said so
}

TEST_CASE_METHOD(trust_fixture, "what vouches anew counts for what runs already") {
  const signer ci;
  const signer next;
  believe(ci);
  believe(next);
  vouch("1.0.0", {&ci});
  enter_signed("1.0.0");
  mount_subject();
  vouch("1.0.0", {&ci, &next});
  enter_signed("1.0.0");
  CHECK(status().signed_by.size() == 2);
  CHECK(tb.finish(tb.core().untrust(ci.id(), true, {})).empty());
  tb.crash(subject_file("1.0.0"));
  CHECK(status().state == mount_state::ready);
  CHECK(status().signed_by == std::vector<std::string>{next.id()});
}

TEST_CASE_METHOD(trust_fixture, "a revocation outlasts whatever is done to the key meanwhile") {
  const signer ci;
  believe(ci);
  auto revoked = tb.trust().untrust(ci.id(), true, "stolen");
  SECTION("it is trusted again") {
    CHECK(failure_of(tb.trust().trust_key(ci.info())).kind() == error_kind::failed_precondition);
  }
  SECTION("it is forgotten") {
    CHECK(failure_of(tb.trust().untrust(ci.id(), false, {})).kind() ==
          error_kind::failed_precondition);
  }
  tb.wait(kj::mv(revoked));
  trust_desk later(tb.services().store, tb.events(), tb.timer(), "0.1.0");
  tb.wait(later.load());
  REQUIRE(later.report().keys.size() == 1);
  CHECK(later.report().keys[0].revoked);
}

TEST_CASE_METHOD(trust_fixture, "a key that is damaged can be given anew, or forgotten") {
  const signer ci;
  believe(ci);
  txn_request damage;
  damage.then.push_back(txn_op::put(trust_key_key(ci.id()), "nonsense"));
  tb.wait(tb.services().store.txn(std::move(damage)));
  tb.wait(tb.trust().load());
  REQUIRE(tb.trust().signature_required("generic"));
  SECTION("forgotten") {
    tb.wait(tb.trust().untrust(ci.id(), false, {}));
    CHECK_FALSE(tb.trust().signature_required("generic"));
  }
  SECTION("given anew") {
    believe(ci);
    CHECK(tb.trust().signature_required("generic"));  // there is a key
    tb.wait(tb.trust().untrust(ci.id(), false, {}));
    CHECK_FALSE(tb.trust().signature_required("generic"));
  }
  SECTION("revoked, which needs to be remembered") {
    CHECK(failure_of(tb.trust().untrust(ci.id(), true, {})).kind() ==
          error_kind::failed_precondition);
    CHECK(tb.trust().signature_required("generic"));
  }
  trust_desk later(tb.services().store, tb.events(), tb.timer(), "0.1.0");
  tb.wait(later.load());
  CHECK(later.signature_required("generic") == tb.trust().signature_required("generic"));
}

TEST_CASE_METHOD(trust_fixture, "a key that is trusted again keeps what is not said anew") {
  const signer ci;
  trusted_key_info how;
  how.name = "ci";
  how.plugins = "generic/subject";
  how.not_before_unix_ms = 1;
  how.not_after_unix_ms = 4'000'000'000'000;
  believe(ci, how);
  const auto known = [this] { return tb.trust().report().keys.at(0); };
  believe(ci);
  CHECK(known().plugins == "generic/subject");
  CHECK(known().name == "ci");
  CHECK(known().not_before_unix_ms == 1);
  CHECK(known().not_after_unix_ms == 4'000'000'000'000);
  trusted_key_info wider;
  wider.plugins = "*";
  believe(ci, wider);
  CHECK(known().plugins == "*");
  tb.wait(tb.trust().untrust(ci.id(), false, {}));
  believe(ci);
  CHECK(known().not_after_unix_ms == 0);
}

// -- what is about to run ------------------------------------------------------------------------

namespace {

/// Holds transactions back, in their order, while it is told to.
class gated_store final : public test::crashing_store {
 public:
  explicit gated_store(std::shared_ptr<bulkhead::store> engine)
      : crashing_store(*engine), engine_(std::move(engine)) {}

  kj::Promise<txn_result> txn(txn_request request) override {
    if (!gate_) return crashing_store::txn(std::move(request));
    return gate_->addBranch().then([this, request = std::move(request)]() mutable {
      return crashing_store::txn(std::move(request));
    });
  }
  void hold() {
    auto gate = kj::newPromiseAndFulfiller<void>();
    gate_ = std::make_unique<kj::ForkedPromise<void>>(gate.promise.fork());
    open_ = kj::mv(gate.fulfiller);
  }
  void release() {
    open_->fulfill();
    gate_ = nullptr;
  }

 private:
  std::shared_ptr<bulkhead::store> engine_;
  std::unique_ptr<kj::ForkedPromise<void>> gate_;
  kj::Own<kj::PromiseFulfiller<void>> open_;
};

struct gate {
  test::test_state state;
  std::shared_ptr<gated_store> store = std::make_shared<gated_store>(state.engine);
  gate() { state.opened = store; }
};

reload_request on_trial() {
  reload_request how;
  how.canary_percent = 50;
  how.canary = 1h;
  return how;
}

}  // namespace

TEST_CASE_METHOD(catalog_fixture, "what is on trial is in use, until it is given up") {
  enter("1.0.0");
  mount_subject();
  enter("1.1.0");
  auto reloading = begin_reload(on_trial());
  tb.settle();
  REQUIRE(happened("on_trial"));
  const release_id fresh{"generic", "subject", "1.1.0"};
  tb.wait(tb.catalog().pin({"generic", "subject", "1.0.0"}));
  CHECK(failure_of(tb.catalog().remove(fresh)).kind() == error_kind::failed_precondition);
  tb.finish(tb.core().stop("m").ignoreResult());
  tb.wait(kj::mv(reloading));
  tb.wait(tb.catalog().remove(fresh));
}

TEST_CASE_METHOD(catalog_fixture,
                 "a version that a mount asks for is in use while a pin hides it") {
  enter("1.0.0");
  enter("1.1.0");
  mount_subject("1.0.0");
  tb.wait(tb.catalog().pin({"generic", "subject", "1.1.0"}));
  CHECK(reload().outcome == reload_outcome::replaced);
  CHECK(running() == "1.1.0");
  CHECK(failure_of(tb.catalog().remove({"generic", "subject", "1.0.0"})).kind() ==
        error_kind::failed_precondition);
}

TEST_CASE_METHOD(trust_fixture, "a revoked key stops what is on trial, and not what serves") {
  const signer ci;
  const signer next;
  believe(ci);
  believe(next);
  vouch("1.0.0", {&ci});
  enter_signed("1.0.0");
  mount_subject();
  vouch("1.1.0", {&next});
  enter_signed("1.1.0");
  auto reloading = begin_reload(on_trial());
  tb.settle();
  REQUIRE(happened("on_trial"));
  auto tried = tb.process(subject_file("1.1.0"));
  CHECK(tb.finish(tb.core().untrust(next.id(), true, "stolen")) == std::vector<std::string>{"m/"});
  CHECK(tb.wait(kj::mv(reloading)).front().outcome == reload_outcome::failed);
  tb.advance(3s);  // past stop_grace_ms
  CHECK(tried->peek());
  CHECK(status().state == mount_state::ready);
  CHECK(status().generation == 1);
}

TEST_CASE_METHOD(trust_fixture,
                 "an instance that finishes its calls is stopped by its own key only") {
  const signer ci;
  const signer next;
  const signer other;
  for (const auto* each : {&ci, &next, &other}) believe(*each);
  vouch("1.0.0", {&ci});
  enter_signed("1.0.0");
  mount_subject();
  auto hanging = start("m/hang");
  tb.settle();
  auto finishing = tb.process(subject_file("1.0.0"));
  vouch("1.1.0", {&next});
  enter_signed("1.1.0");
  REQUIRE(reload().outcome == reload_outcome::replaced);
  tb.wait(tb.catalog().remove({"generic", "subject", "1.0.0"}));
  CHECK(tb.finish(tb.core().untrust(other.id(), true, {})).empty());
  tb.settle();
  CHECK_FALSE(finishing->peek());
  CHECK(tb.finish(tb.core().untrust(ci.id(), true, "stolen")) == std::vector<std::string>{"m/"});
  tb.advance(3s);  // past stop_grace_ms
  CHECK(finishing->peek());
  CHECK(tb.text_of(kj::mv(hanging)).find("plugin_unavailable") == 0);
  CHECK(status().generation == 2);
}

TEST_CASE("a key that is revoked while a start writes its record stops that start") {
  gate held;
  trust_fixture f(held.state);
  const signer ci;
  const signer next;
  f.believe(ci);
  f.believe(next);
  f.vouch("1.0.0", {&ci});
  f.enter_signed("1.0.0");
  held.store->hold();
  mount_spec spec;
  spec.path = "m";
  spec.plugin = "subject";
  auto mounting = f.tb.core().mount(spec).eagerlyEvaluate(nullptr);
  f.tb.settle();
  held.store->release();
  f.tb.finish(kj::mv(mounting).ignoreResult());
  f.vouch("1.1.0", {&next});
  f.enter_signed("1.1.0");
  held.store->hold();
  auto restarting = f.tb.core().restart("m").eagerlyEvaluate(nullptr);
  f.tb.settle();
  REQUIRE(f.tb.starts(f.subject_file("1.1.0")) == 1);  // for its registration
  auto revoking = f.tb.core().untrust(next.id(), true, "stolen").eagerlyEvaluate(nullptr);
  f.tb.settle();
  held.store->release();
  f.tb.finish(kj::mv(revoking).ignoreResult());
  f.tb.finish(kj::mv(restarting).ignoreResult());
  CHECK(f.status().state == mount_state::quarantined);
}

TEST_CASE("a crash while a reload is being written upgrades nothing") {
  gate held;
  catalog_fixture f(held.state);
  f.enter("1.0.0");
  f.mount_subject();
  f.enter("1.1.0");
  held.store->hold();
  auto reloading = f.begin_reload();
  f.tb.settle();
  REQUIRE(f.status().generation == 1);
  f.tb.crash(f.subject_file("1.0.0"));
  held.store->release();
  CHECK(f.tb.wait(kj::mv(reloading)).front().outcome == reload_outcome::failed);
  f.tb.advance(1s);
  CHECK(f.status().state == mount_state::ready);
  CHECK(f.running() == "1.0.0");
  CHECK(f.tb.core().require("m").entry->version_running == "1.0.0");
  f.tb.crash(f.subject_file("1.0.0"));
  f.tb.advance(1s);
  CHECK(f.running() == "1.0.0");
}

TEST_CASE("a mount that is tuned while it learns its kind keeps that") {
  gate held;
  catalog_fixture f(held.state);
  f.tb.services().config.allow_unregistered = true;
  f.tb.plugin("subject", test::make_version("0.9.0"));
  f.mount_subject();
  f.enter("1.0.0");
  held.store->hold();
  auto restarting = f.tb.core().restart("m").eagerlyEvaluate(nullptr);
  f.tb.settle();
  tune_request what;
  what.path = "m";
  what.description = "told";
  auto tuning = f.tb.core().tune(what).eagerlyEvaluate(nullptr);
  f.tb.settle();
  held.store->release();
  f.tb.finish(kj::mv(tuning).ignoreResult());
  f.tb.finish(kj::mv(restarting).ignoreResult());
  const auto& entry = *f.tb.core().require("m").entry;
  CHECK(entry.version_running == "1.0.0");
  CHECK(entry.spec.kind == "generic");
  CHECK(entry.spec.description == "told");
}

TEST_CASE_METHOD(catalog_fixture, "a damaged record is no reason to run another release") {
  enter("1.0.0");
  enter("1.1.0");
  mount_subject();
  REQUIRE(running() == "1.1.0");
  txn_request damage;
  damage.then.push_back(txn_op::put("catalog/generic/subject/1.1.0", "nonsense"));
  tb.wait(tb.services().store.txn(std::move(damage)));
  tb.wait(tb.catalog().load());
  tb.crash(subject_file("1.1.0"));
  CHECK(status().state == mount_state::quarantined);
  CHECK(status().reason.find("cannot be used") != std::string::npos);
  tb.finish(tb.core().reset("m").ignoreResult());  // an operator takes what the name means now
  CHECK(running() == "1.0.0");
}

TEST_CASE_METHOD(catalog_fixture, "a release without a hash is none") {
  provide("1.0.0");
  release nameless;
  nameless.spec = {"generic", "subject", "1.0.0", "subject-1.0.0", "", {}, {}};
  CHECK_THROWS(tb.wait(tb.catalog().add(nameless, 10)));
  CHECK_THROWS(candidate_of(nameless));
  CHECK(tb.catalog().size() == 0);
  tb.wait(tb.catalog().load());
  CHECK(tb.catalog().size() == 0);
}

TEST_CASE_METHOD(catalog_fixture, "what is deregistered while it is registered again is gone") {
  enter("1.0.0");
  auto again = tb.catalog().add(*tb.catalog().find({"generic", "subject", "1.0.0"}), 10);
  tb.wait(tb.catalog().remove({"generic", "subject", "1.0.0"}));
  tb.wait(kj::mv(again).ignoreResult());
  CHECK(tb.catalog().size() == 0);
}

TEST_CASE_METHOD(catalog_fixture, "a release that changes the dynamic loader's mind is refused") {
  provide("1.0.0");
  release_spec spec;
  spec.name = "subject";
  spec.command = "subject-1.0.0";
  for (const auto* each :
       {"LD_PRELOAD=/tmp/x.so", "LD_AUDIT=x", "GLIBC_TUNABLES=x", "GCONV_PATH=x"}) {
    spec.environment = {each};
    const auto refused = failure_of(tb.core().register_release(spec));
    CHECK(refused.kind() == error_kind::invalid_argument);
    CHECK(std::string(refused.what()).find("/tmp") == std::string::npos);
  }
  CHECK(tb.starts(subject_file("1.0.0")) == 0);
}
