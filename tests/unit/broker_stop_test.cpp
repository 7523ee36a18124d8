// SPDX-License-Identifier: Apache-2.0
//
// The end of a broker as its embedding service sees it: what waits hears of it, once, and nothing
// waits for ever; an end that nobody asked for has a reason. Real threads, no plugin.

#include <catch2/catch.hpp>
#include <filesystem>
#include <mutex>
#include <thread>

#include "broker/broker_core.hpp"
#include "broker/broker_thread.hpp"
#include "broker/observer_gate.hpp"
#include "broker/typed.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

broker_config config_in(const temporary_directory& where) {
  std::filesystem::create_directories(where / "plugins");
  return {where / "state", where / "plugins", ""};
}

/// What `work` threw.
error failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const error& problem) {
    return problem;
  }
  FAIL("it did not fail");
  return {error_kind::unknown, "", "", ""};
}

/// Ends every actor of the broker as if each had a defect.
kj::Promise<void> kill_all(broker_thread::parts& with) {
  with.core.services().reactor.exit_all(caf::exit_reason::kill);
  return kj::READY_NOW;
}

}  // namespace

TEST_CASE("a future that waits when the broker stops ends as broker_stopping") {
  const temporary_directory where;
  broker subject(config_in(where));
  std::promise<void> begun;
  auto waiting = with_session(subject.connect(), [&begun](schema::Session::Client) {
    begun.set_value();
    return kj::Promise<void>(kj::NEVER_DONE);
  });
  begun.get_future().get();
  subject.stop();
  CHECK(failure_of([&] { waiting.get(); }).kind() == error_kind::broker_stopping);
}

TEST_CASE("a blocking call that waits when the broker stops ends as broker_stopping") {
  const temporary_directory where;
  broker_thread subject(config_in(where));
  std::promise<void> begun;
  std::promise<error_kind> ended;
  std::thread caller([&] {
    ended.set_value(failure_of([&] {
                      subject.wait<void>([&begun](broker_thread::parts&) {
                        begun.set_value();
                        return kj::Promise<void>(kj::NEVER_DONE);
                      });
                    }).kind());
  });
  begun.get_future().get();
  subject.stop();
  caller.join();
  CHECK(ended.get_future().get() == error_kind::broker_stopping);
}

TEST_CASE("calls that race with the stop all end, whether they came before or after it") {
  const temporary_directory where;
  broker subject(config_in(where));
  const auto caller = subject.connect();
  std::atomic<int> ended = 0;
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int each = 0; each < 2; ++each)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const auto kind = failure_of([&] { caller.read("nowhere/x").get(); }).kind();
        if (kind == error_kind::not_found || kind == error_kind::broker_stopping) ++ended;
      }
    });
  subject.stop();
  for (auto& each : threads) each.join();
  CHECK(ended == 1000);
}

TEST_CASE("a broker whose root supervisor is lost ends, as an event and with its reason") {
  const temporary_directory where;
  broker_thread subject(config_in(where));
  std::promise<broker_event> failed;
  subject.wait<void>([&failed](broker_thread::parts& with) -> kj::Promise<void> {
    with.events.observe([&failed](const broker_event& each) {
      if (each.name == "failed") failed.set_value(each);
    });
    return kill_all(with);
  });
  const auto event = failed.get_future().get();
  CHECK_FALSE(event.reason.empty());
  const auto later = failure_of([&] {
    subject.wait<void>([](broker_thread::parts&) -> kj::Promise<void> { return kj::READY_NOW; });
  });
  CHECK(later.kind() == error_kind::broker_stopping);
  CHECK(later.why() == event.reason);
  subject.stop();
}

TEST_CASE("a blocking call on the broker's own thread is refused instead of waiting for itself") {
  const temporary_directory where;
  broker subject(config_in(where));
  error_kind kind = error_kind::unknown;
  with_session(subject.connect(), [&](schema::Session::Client) -> kj::Promise<void> {
    kind = failure_of([&] { subject.mounts(); }).kind();
    return kj::READY_NOW;
  }).get();
  CHECK(kind == error_kind::failed_precondition);
}

TEST_CASE("what work throws, of any type, is its own failure and not the broker's") {
  const temporary_directory where;
  broker subject(config_in(where));
  const auto failed = failure_of([&] {
    with_session(subject.connect(), [](schema::Session::Client) -> kj::Promise<void> {
      throw std::logic_error("of the service");
    }).get();
  });
  CHECK(std::string(failed.what()).find("of the service") != std::string::npos);
  CHECK(subject.mounts().empty());
}

TEST_CASE("a subscription that is destroyed waits for the callback that is under way") {
  std::promise<void> inside;
  std::promise<void> leave;
  std::atomic<bool> left = false;
  observer_gate gate([&](const broker_event&) {
    inside.set_value();
    leave.get_future().get();
    left = true;
  });
  std::thread teller([&] { gate.tell({}); });
  inside.get_future().get();
  std::promise<void> closing;
  bool left_when_closed = false;
  std::thread closer([&] {
    closing.set_value();
    gate.close();
    left_when_closed = left;
  });
  closing.get_future().get();
  leave.set_value();
  closer.join();
  teller.join();
  CHECK(left_when_closed);
}

TEST_CASE("a callback that ends its own subscription is not called again, and blocks nobody") {
  int calls = 0;
  std::unique_ptr<observer_gate> gate;
  gate = std::make_unique<observer_gate>([&](const broker_event&) {
    ++calls;
    gate->close();
  });
  gate->tell({});
  gate->tell({});
  CHECK(calls == 1);
}
