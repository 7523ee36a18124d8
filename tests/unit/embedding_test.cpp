// SPDX-License-Identifier: Apache-2.0
//
// The embedding API with real threads and processes: a broker in the process of a service, used
// from several threads, twice. argv is Catch2's; the plugin directory comes from the environment
// variable BULKHEAD_TEST_PLUGINS.

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "broker/broker.hpp"
#include "broker/typed.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

broker_config config_in(const temporary_directory& where) {
  const char* plugins = std::getenv("BULKHEAD_TEST_PLUGINS");
  REQUIRE(plugins != nullptr);
  broker_config config{where / "state", plugins, ""};
  config.allow_unregistered = true;
  const char* launcher = std::getenv("BULKHEAD_TEST_LAUNCHER");
  if (launcher != nullptr)
    config.confinement.launcher = launcher;
  else
    config.confinement.unconfined = true;  // a build with sanitizers
  return config;
}

error_kind kind_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const error& problem) {
    return problem.kind();
  }
  return error_kind::unknown;
}

mount_spec kv_mount() {
  mount_spec spec;
  spec.path = "kv/";
  spec.plugin = "kv";
  return spec;
}

}  // namespace

TEST_CASE(
    "a broker in the process mounts, serves, survives a kill, and a later one finds the data") {
  const temporary_directory where;
  {
    broker first(config_in(where));
    std::promise<broker_event> crash;
    auto watching = first.observe([&crash](const broker_event& each) {
      if (each.name == "crashed") crash.set_value(each);
    });
    CHECK(first.mount(kv_mount()).state == mount_state::ready);
    auto client = first.connect();
    client.write("kv/app", {{"user", "ada"}}).get();
    first.kill("kv/", SIGKILL);
    CHECK(crash.get_future().get().mount == "kv/");
    const auto found = client.read("kv/app").get();
    REQUIRE(find(found.fields, "user") != nullptr);
    CHECK(*find(found.fields, "user")->text() == "ada");
    CHECK(first.status("kv").restarts == 1);
    first.stop();
    CHECK(kind_of([&] { client.read("kv/app").get(); }) == error_kind::broker_stopping);
    CHECK(kind_of([&] { first.mounts(); }) == error_kind::broker_stopping);
  }
  broker second(config_in(where));
  const auto found = second.connect().read("kv/app").get();
  CHECK(*find(found.fields, "user")->text() == "ada");
  second.unmount("kv/");
  CHECK(second.mounts().empty());
  CHECK(kind_of([&] { second.connect().read("kv/app").get(); }) == error_kind::not_found);
}

TEST_CASE("an observer can have what happened before it, from the broker's start on") {
  const temporary_directory where;
  const auto config = config_in(where);
  broker subject(config);
  subject.mount(kv_mount());
  std::vector<std::string> past;
  std::vector<std::string> present;
  auto with_past = subject.observe([&past](const auto& each) { past.push_back(each.name); },
                                   observe_from::start);
  auto from_now = subject.observe([&present](const auto& each) { present.push_back(each.name); });
  std::vector<std::string> expected{"started", "development", "starting", "ready", "mounted"};
  if (config.confinement.unconfined) expected.insert(expected.begin() + 2, "unconfined");
  CHECK(past == expected);
  CHECK(present.empty());
}

TEST_CASE("two brokers cannot share a state directory") {
  const temporary_directory where;
  broker first(config_in(where));
  CHECK(kind_of([&] { broker second(config_in(where)); }) == error_kind::storage);
}

TEST_CASE("bad configurations are refused by name") {
  const temporary_directory where;
  auto no_plugins = config_in(where);
  no_plugins.plugin_directory = where / "nowhere";
  CHECK(kind_of([&] { broker refused(no_plugins); }) == error_kind::invalid_argument);
  auto long_socket = config_in(where);
  long_socket.socket_path = where / std::string(200, 'x');
  CHECK(kind_of([&] { broker refused(long_socket); }) == error_kind::invalid_argument);
}

TEST_CASE("many threads use one client, with futures and callbacks, while the plugin is killed") {
  const temporary_directory where;
  broker subject(config_in(where));
  auto spec = kv_mount();
  spec.supervision.intensity = 1000;
  spec.supervision.backoff_first = spec.supervision.backoff_max = std::chrono::milliseconds(1);
  subject.mount(spec);
  auto client = subject.connect();
  std::atomic<int> served = 0;
  std::atomic<int> crashed = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int worker = 0; worker < 4; ++worker)
    threads.emplace_back([&, worker] {
      for (int i = 0; i < 50; ++i) {
        const auto key = "kv/w" + std::to_string(worker);
        try {
          client.write(key, {{"n", i}}).get();
          ++served;
        } catch (const error& problem) {
          if (problem.kind() == error_kind::plugin_crashed) ++crashed;
        }
      }
    });
  for (int i = 0; i < 5; ++i) {
    const auto kind = kind_of([&] { subject.kill("kv/", SIGKILL); });
    CHECK((kind == error_kind::unknown || kind == error_kind::failed_precondition));
    subject.status("kv/");
  }
  for (auto& each : threads) each.join();
  CHECK(served + crashed == 200);
  CHECK(served > 0);
  std::promise<bool> told;
  client.handle({operation::list, "kv/", {}}, [&told](std::future<response> answer) {
    told.set_value(!answer.get().keys.empty());
  });
  CHECK(told.get_future().get());
}

TEST_CASE("typed work runs on the broker's thread, and its failure arrives as an error") {
  const temporary_directory where;
  broker subject(config_in(where));
  subject.mount(kv_mount());
  auto client = subject.connect();
  std::string name;
  with_session(client, [&name](schema::Session::Client session) {
    return session.whoamiRequest().send().then(
        [&name](capnp::Response<schema::Session::WhoamiResults>&& who) {
          name = who.getIdentity().getName().cStr();
        });
  }).get();
  CHECK(name.substr(0, 4) == "uid:");
  CHECK(kind_of([&] {
          with_session(client, [](schema::Session::Client session) {
            auto request = session.mountRequest();
            request.setPath("nowhere/");
            return request.send().ignoreResult();
          }).get();
        }) == error_kind::not_found);
}
