// SPDX-License-Identifier: Apache-2.0
#include "broker/client/client.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/cli_fake_broker.hpp"

namespace {

using bulkhead::schema::ErrorKind;
using bulkhead::testing::fake_broker;
namespace schema = bulkhead::schema;

struct fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  fake_broker broker{io};
  bulkhead::remote::client client{broker.connector()};

  void settle() {
    for (int i = 0; i < 50; ++i) io.waitScope.poll();
  }

  template <typename Promise>
  ErrorKind failure_of(Promise promise) {
    try {
      promise.wait(io.waitScope);
    } catch (const kj::Exception& exception) {
      return bulkhead::wire::parse_error(exception).kind;
    }
    return ErrorKind::UNKNOWN;
  }

  std::int64_t now(schema::Host::Client host) {
    return host.nowRequest().send().wait(io.waitScope).getUnixMs();
  }
};

TEST_CASE("nothing connects before the first call") {
  fixture f;
  auto host = f.client.typed<schema::Host>("host/");
  CHECK_FALSE(f.client.connected());
  CHECK(f.now(host) == 1'234'567'890'123);
  CHECK(f.client.connected());
  CHECK(f.client.connections() == 1);
}

TEST_CASE("many calls to a mount log in once and look it up once") {
  fixture f;
  auto host = f.client.typed<schema::Host>("host/");
  for (int i = 0; i < 3; ++i) f.now(host);
  f.now(f.client.typed<schema::Host>("host/"));
  CHECK(f.broker.state.logins == 1);
  CHECK(f.broker.state.lookups == 1);
}

TEST_CASE("a capability is good again after the connection was lost") {
  fixture f;
  auto host = f.client.typed<schema::Host>("host/");
  auto admin = f.client.admin();
  f.now(host);
  auto lost = f.client.on_disconnect();
  f.broker.drop();
  lost.wait(f.io.waitScope);
  CHECK_FALSE(f.client.connected());
  CHECK(f.now(host) == 1'234'567'890'123);
  CHECK(admin.mountsRequest().send().wait(f.io.waitScope).getMounts().size() == 2);
  CHECK(f.client.connections() == 2);
}

TEST_CASE("a call under way when the connection goes fails and is not repeated") {
  fixture f;
  f.broker.state.hangs = true;
  auto request = f.client.admin().statusRequest();
  request.setPath("kv/");
  auto call = request.send();
  f.settle();
  f.broker.drop();
  CHECK(f.failure_of(kj::mv(call)) == ErrorKind::BROKER_STOPPING);
  CHECK(f.client.connections() == 1);
}

TEST_CASE("the call after the failed one connects anew, even in the same turn") {
  fixture f;
  f.broker.state.hangs = true;
  auto host = f.client.typed<schema::Host>("host/");
  auto request = f.client.admin().statusRequest();
  request.setPath("kv/");
  std::int64_t answered = 0;
  auto call = request.send().then(
      [](auto&&) -> kj::Promise<void> { return kj::READY_NOW; },
      [&](kj::Exception&&) -> kj::Promise<void> {
        return host.nowRequest().send().then([&](auto&& answer) { answered = answer.getUnixMs(); });
      });
  f.settle();
  f.broker.drop();
  call.wait(f.io.waitScope);
  CHECK(answered == 1'234'567'890'123);
}

TEST_CASE("a broker that is not there fails the call, and the next one tries again") {
  fixture f;
  f.broker.listens = false;
  auto host = f.client.typed<schema::Host>("host/");
  CHECK(f.failure_of(host.nowRequest().send()) == ErrorKind::BROKER_STOPPING);
  f.broker.listens = true;
  CHECK(f.now(host) == 1'234'567'890'123);
}

TEST_CASE("a mount that was not there is found once it is") {
  fixture f;
  auto host = f.client.typed<schema::Host>("late/");
  CHECK(f.failure_of(host.nowRequest().send()) == ErrorKind::NOT_FOUND);
  f.broker.state.mounts["late/"] = schema::MountState::READY;
  CHECK(f.now(host) == 1'234'567'890'123);
}

TEST_CASE("a refused login is not remembered") {
  fixture f;
  f.broker.state.denies_login = true;
  auto admin = f.client.admin();
  CHECK(f.failure_of(admin.mountsRequest().send()) == ErrorKind::PERMISSION_DENIED);
  f.broker.state.denies_login = false;
  CHECK(admin.mountsRequest().send().wait(f.io.waitScope).getMounts().size() == 2);
}

TEST_CASE("a login refused to a call to a mount is not remembered either") {
  fixture f;
  f.broker.state.denies_login = true;
  auto host = f.client.typed<schema::Host>("host/");
  CHECK(f.failure_of(host.nowRequest().send()) == ErrorKind::PERMISSION_DENIED);
  f.broker.state.denies_login = false;
  CHECK(f.now(host) == 1'234'567'890'123);
}

TEST_CASE("a call that is not permitted costs no new login") {
  fixture f;
  f.broker.state.denies_mounts = true;
  auto admin = f.client.admin();
  CHECK(f.failure_of(admin.mountsRequest().send()) == ErrorKind::PERMISSION_DENIED);
  f.broker.state.denies_mounts = false;
  admin.mountsRequest().send().wait(f.io.waitScope);
  CHECK(f.broker.state.logins == 1);
}

TEST_CASE("what a closed client handed out fails by name") {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  fake_broker broker{io};
  auto client = kj::heap<bulkhead::remote::client>(broker.connector());
  auto host = client->typed<schema::Host>("host/");
  client = nullptr;
  CHECK_THROWS_WITH(host.nowRequest().send().wait(io.waitScope),
                    Catch::Contains("the client of the broker is closed"));
}

TEST_CASE("an address is unix:PATH or a path, and nothing else") {
  using bulkhead::remote::socket_path;
  CHECK(socket_path("unix:/run/x.sock") == "/run/x.sock");
  CHECK(socket_path("/run/a:b.sock") == "/run/a:b.sock");
  CHECK_THROWS_WITH(socket_path("tcp:host:1"), Catch::Contains("scheme 'tcp' is not known"));
  CHECK_THROWS_WITH(socket_path("unix:"), Catch::Contains("the path is empty"));
  CHECK(socket_path("unix:" + std::string(107, 'a')).size() == 107);
  CHECK_THROWS_WITH(socket_path("unix:" + std::string(108, 'a')), Catch::Contains("108 bytes"));
}

TEST_CASE("a socket that is not there is named with what to do") {
  auto io = kj::setupAsyncIo();
  auto connect = bulkhead::remote::unix_connector(*io.lowLevelProvider, "unix:/nowhere/x.sock");
  CHECK_THROWS_WITH(connect(), Catch::Contains("cannot reach the broker at unix:/nowhere/x.sock") &&
                                   Catch::Contains("No such file") &&
                                   Catch::Contains("start bulkheadd"));
}

}  // namespace
