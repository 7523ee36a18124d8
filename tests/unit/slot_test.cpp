// SPDX-License-Identifier: Apache-2.0
//
// The slot's promises at each limit, with a timer that is moved by hand.

#include "broker/slot.hpp"

#include <kj/debug.h>

#include <catch2/catch.hpp>
#include <vector>

#include "schema/wire/error_text.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

class recorder final : public schema::Backend::Server {
 public:
  explicit recorder(std::vector<std::string>& seen) : seen_(seen) {}
  kj::Promise<void> handle(HandleContext context) override {
    seen_.emplace_back(context.getParams().getRequest().getPath().cStr());
    context.allowCancellation();
    if (seen_.back() == "hang") return kj::NEVER_DONE;
    if (seen_.back() == "raw") return KJ_EXCEPTION(FAILED, "expected question != nullptr");
    if (seen_.back() == "lost") return KJ_EXCEPTION(DISCONNECTED, "Peer disconnected.");
    return kj::READY_NOW;
  }

 private:
  std::vector<std::string>& seen_;
};

struct fixture {
  fixture() : loop(), scope(loop), timer(kj::origin<kj::TimePoint>()) {
    limits.calls_in_flight_max = 3;
    limits.calls_waiting_max = 2;
    subject = kj::refcounted<slot>(timer, "m/", limits);
  }
  // A call that waits holds the capability that it was made on, and so the slot.
  ~fixture() {
    subject->refuse(wire::make_exception({schema::ErrorKind::UNMOUNTED, "over", {}, {}, {}}));
    turn();
  }
  fixture(const fixture&) = delete;
  fixture& operator=(const fixture&) = delete;

  kj::Promise<std::string> call(const char* path) {
    auto request = subject->backend().handleRequest();
    request.initRequest().setPath(path);
    return request.send()
        .then([](capnp::Response<schema::Backend::HandleResults>&&) { return std::string("ok"); },
              [](kj::Exception&& problem) {
                return std::string(wire::kind_name(wire::parse_error(problem, 1).kind));
              })
        .eagerlyEvaluate(nullptr);
  }
  void serve() { subject->serve(capnp::Capability::Client(kj::heap<recorder>(seen)), nullptr); }
  void turn() {
    for (int i = 0; i < 20; ++i) kj::evalLater([] {}).wait(scope);
  }
  void advance(kj::Duration step) {
    timer.advanceTo(timer.now() + step);
    turn();
  }

  kj::EventLoop loop;
  kj::WaitScope scope;
  kj::TimerImpl timer;
  slot_limits limits;
  kj::Own<slot> subject;
  std::vector<std::string> seen;
};

}  // namespace

TEST_CASE_METHOD(fixture, "calls that wait are forwarded in order, before later ones") {
  auto first = call("1");
  auto second = call("2");
  turn();
  CHECK(subject->counters().waiting == 2);
  serve();
  auto third = call("3");
  CHECK(first.wait(scope) == "ok");
  CHECK(second.wait(scope) == "ok");
  CHECK(third.wait(scope) == "ok");
  CHECK(seen == std::vector<std::string>{"1", "2", "3"});
}

TEST_CASE_METHOD(fixture, "calls_waiting_max wait, and one more is overloaded at once") {
  auto first = call("1");
  auto second = call("2");
  CHECK(call("3").wait(scope) == "overloaded");
  CHECK(subject->counters().waiting == 2);
  CHECK(subject->counters().failed == 1);
}

TEST_CASE_METHOD(fixture, "calls_in_flight_max are in flight, and one more is overloaded at once") {
  serve();
  auto first = call("hang");
  auto second = call("hang");
  auto third = call("hang");
  turn();
  CHECK(subject->counters().in_flight == 3);
  CHECK(call("x").wait(scope) == "overloaded");
  first = nullptr;  // the caller gave up: the place is free
  turn();
  CHECK(subject->counters().in_flight == 2);
  CHECK(call("y").wait(scope) == "ok");
}

TEST_CASE_METHOD(fixture, "a call waits slot_wait_ms_max and not a moment longer") {
  auto waiting = call("1");
  turn();
  advance(limits.wait_max - 1 * kj::NANOSECONDS);
  CHECK(subject->counters().waiting == 1);
  advance(1 * kj::NANOSECONDS);
  CHECK(subject->counters().waiting == 0);
  CHECK(waiting.wait(scope) == "plugin_unavailable");
}

TEST_CASE_METHOD(fixture, "a call in flight ends after call_ms_max, the younger one later") {
  serve();
  auto old = call("hang");
  turn();
  advance(10 * kj::SECONDS);
  auto young = call("hang");
  turn();
  CHECK(subject->oldest_call() == 10 * kj::SECONDS);
  advance(limits.call_max - 10 * kj::SECONDS);
  CHECK(old.wait(scope) == "deadline_exceeded");
  CHECK(subject->counters().in_flight == 1);
  advance(10 * kj::SECONDS);
  CHECK(young.wait(scope) == "deadline_exceeded");
}

TEST_CASE_METHOD(fixture,
                 "refuse ends what waits and refuses what comes; hold and serve bring it back") {
  auto waiting = call("1");
  turn();
  subject->refuse(wire::make_exception({schema::ErrorKind::QUARANTINED, "no", {}, {}, {}}));
  CHECK(waiting.wait(scope) == "quarantined");
  CHECK(call("2").wait(scope) == "quarantined");
  subject->hold("starting");
  auto again = call("3");
  serve();
  CHECK(again.wait(scope) == "ok");
}

TEST_CASE_METHOD(fixture, "drained resolves with the last call in flight, or after its limit") {
  serve();
  auto one = call("hang");
  turn();
  bool done = false;
  auto draining =
      subject->drained(1 * kj::SECONDS).then([&done] { done = true; }).eagerlyEvaluate(nullptr);
  turn();
  CHECK_FALSE(done);
  one = nullptr;
  turn();
  CHECK(done);
  auto two = call("hang");
  turn();
  done = false;
  draining =
      subject->drained(1 * kj::SECONDS).then([&done] { done = true; }).eagerlyEvaluate(nullptr);
  advance(1 * kj::SECONDS);
  CHECK(done);
}

TEST_CASE_METHOD(fixture, "what the RPC library says of a broken link is told in our words") {
  serve();
  const auto text_of = [this](const char* path) {
    auto request = subject->backend().handleRequest();
    request.initRequest().setPath(path);
    auto problem = kj::runCatchingExceptions([&] { request.send().wait(scope); });
    return wire::parse_error(KJ_REQUIRE_NONNULL(problem), wire::plugin_hops_at_broker);
  };
  CHECK(text_of("raw").kind == schema::ErrorKind::PROTOCOL_VIOLATION);
  CHECK(text_of("raw").what == "a call to 'm/' was cut off");
  CHECK(text_of("lost").kind == schema::ErrorKind::PLUGIN_CRASHED);
  CHECK(subject->counters().failed == 3);
}
