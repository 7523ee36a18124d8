// SPDX-License-Identifier: Apache-2.0
//
// What the broker makes of a plugin's introduction: of what it says of itself, of what its mount()
// answers, and of its first ping. The plugins here speak the protocol without the SDK, which would
// keep them from saying what they say.

#include <capnp/any.h>

#include "schema/wire/connection.hpp"
#include "tests/unit/test_broker.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using test::program;
using test::test_broker;

namespace {

class nothing final : public schema::Backend::Server {};

/// A good introduction; each part can be replaced.
struct manners {
  std::function<void(schema::PluginInfo::Builder)> tells = [](auto) {};
  std::function<void(schema::Plugin::MountResults::Builder)> offers = [](auto) {};
  std::function<kj::Promise<void>()> pings = [] { return kj::Promise<void>(kj::READY_NOW); };
  std::function<void(schema::Host::Client)> is_lent = [](auto) {};
};

class raw_plugin final : public schema::Plugin::Server {
 public:
  explicit raw_plugin(manners how) : how_(std::move(how)) {}

 protected:
  kj::Promise<void> hello(HelloContext context) override {
    auto info = context.getResults().initPlugin();
    info.setProtocol(1);
    info.setName("raw");
    info.setVersion("1.0.0");
    how_.tells(info);
    return kj::READY_NOW;
  }
  kj::Promise<void> mount(MountContext context) override {
    how_.is_lent(context.getParams().getHost());
    auto results = context.getResults();
    results.setBackend(kj::heap<nothing>());
    how_.offers(results);
    return kj::READY_NOW;
  }
  kj::Promise<void> unmount(UnmountContext) override { return kj::READY_NOW; }
  kj::Promise<void> ping(PingContext) override { return how_.pings(); }
  kj::Promise<void> shutdown(ShutdownContext) override { return kj::READY_NOW; }

 private:
  manners how_;
};

program raw(manners how) {
  return {[how = std::move(how)](kj::Own<kj::AsyncIoStream> stream) {
    auto link = kj::heap<wire::connection>(kj::mv(stream), wire::connection::side::SERVER,
                                           capnp::Capability::Client(kj::heap<raw_plugin>(how)));
    auto ended = link->on_disconnect();
    return ended.attach(kj::mv(link));
  }};
}

/// Empty when the mount is ready, else what its first start failed with.
std::string start_failure(manners how) {
  test_broker tb;
  tb.plugin("raw", raw(std::move(how)));
  auto problem = kj::runCatchingExceptions([&] { tb.mount("m", "raw"); });
  KJ_IF_MAYBE (why, problem) {
    const auto said = to_error(*why);
    CHECK(said.kind() == error_kind::start_failed);
    return said.what();
  }
  CHECK(tb.status("m").status.state == mount_state::ready);
  return {};
}

std::string failure_with_features(unsigned count, std::size_t bytes) {
  manners how;
  how.tells = [count, bytes](schema::PluginInfo::Builder info) {
    auto features = info.initFeatures(count);
    for (unsigned i = 0; i < count; ++i) features.set(i, std::string(bytes, 'f').c_str());
  };
  return start_failure(std::move(how));
}

}  // namespace

TEST_CASE("a plugin names at most features_max features of at most feature_bytes_max bytes") {
  const broker_limits limits;
  CHECK(limits.features_max == 64);
  CHECK(limits.feature_bytes_max == 64);
  CHECK(failure_with_features(limits.features_max, limits.feature_bytes_max).empty());
  CHECK(failure_with_features(limits.features_max + 1, 1) ==
        "'m/' is not mounted: plugin 'raw' at 'm/' names too many features (65, the limit is 64 "
        "(features_max))");
  CHECK(failure_with_features(1, limits.feature_bytes_max + 1) ==
        "'m/' is not mounted: plugin 'raw' at 'm/' names a feature that is too long (65 bytes, the "
        "limit is 64 (feature_bytes_max))");
}

TEST_CASE("an answer to mount that cannot be read is a failed start, also with a good backend") {
  manners how;
  how.offers = [](schema::Plugin::MountResults::Builder results) {
    capnp::AnyStruct::Builder any(kj::mv(results));
    any.getPointerSection()[1].setAs<capnp::Text>("not a capability");
  };
  const auto failure = start_failure(std::move(how));
  CHECK(failure ==
        "'m/' is not mounted: plugin 'raw' at 'm/' gave an answer to mount() that cannot be read "
        "(where a capability belongs it holds something else)");
}

TEST_CASE("an error is an answer to the first ping whatever it says, and a lost link is none") {
  manners how;
  how.pings = [] { return kj::Promise<void>(KJ_EXCEPTION(FAILED, "no pings here")); };
  CHECK(start_failure(how).empty());
  how.pings = [] { return kj::Promise<void>(KJ_EXCEPTION(DISCONNECTED, "gone")); };
  CHECK(start_failure(how).empty());
  test_broker tb;
  how.pings = [&tb] {
    tb.detach(kj::evalLater([&tb] { tb.process("raw")->end(exit_status::exited(0)); }));
    return kj::Promise<void>(kj::NEVER_DONE);
  };
  tb.plugin("raw", raw(how));
  const auto problem = kj::runCatchingExceptions([&] { tb.mount("m", "raw"); });
  CHECK(to_error(KJ_REQUIRE_NONNULL(problem)).kind() == error_kind::start_failed);
}

namespace {

/// Gives away what its plugin was lent.
class generous final : public schema::Host::Server {
 public:
  explicit generous(std::shared_ptr<kj::Maybe<schema::Host::Client>> lent)
      : lent_(std::move(lent)) {}
  kj::Promise<void> connect(ConnectContext context) override {
    context.getResults().setConnection(KJ_REQUIRE_NONNULL(*lent_).castAs<schema::Connection>());
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<kj::Maybe<schema::Host::Client>> lent_;
};

}  // namespace

TEST_CASE("what a plugin was lent ends with its instance, whoever holds it by then") {
  const auto lent = std::make_shared<kj::Maybe<schema::Host::Client>>();
  manners how;
  how.is_lent = [lent](schema::Host::Client host) { *lent = kj::mv(host); };
  how.offers = [lent](schema::Plugin::MountResults::Builder results) {
    results.setTyped(kj::heap<generous>(lent));
  };
  test_broker tb;
  tb.plugin("raw", raw(std::move(how)));
  tb.mount("m", "raw");
  auto request = tb.session().mountRequest();
  request.setPath("m/");
  auto typed = request.send().getMount().typedRequest().send().getTyped().castAs<schema::Host>();
  auto given = tb.wait(typed.connectRequest().send()).getConnection().castAs<schema::Host>();
  const auto put = [&](schema::View::Client view) {
    auto call = view.putRequest();
    call.setKey("k");
    return kj::runCatchingExceptions([&] { tb.wait(call.send().ignoreResult()); });
  };
  auto view = tb.wait(given.viewRequest().send()).getView();
  CHECK(put(view) == nullptr);
  *lent = nullptr;
  tb.crash("raw");
  const auto check_refused = [&](schema::View::Client of) {
    const auto refused = put(kj::mv(of));
    CHECK(refused != nullptr);
    KJ_IF_MAYBE (problem, refused) {
      CHECK(to_error(*problem).kind() == error_kind::plugin_unavailable);
    }
  };
  check_refused(view);
  check_refused(given.viewRequest().send().getView());
}
