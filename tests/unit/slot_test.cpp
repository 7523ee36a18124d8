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
    if (seen_.back() == "later") {
      auto answer = kj::newPromiseAndFulfiller<void>();
      later.push_back(kj::mv(answer.fulfiller));
      return kj::mv(answer.promise);
    }
    if (seen_.back() == "not_found" || seen_.back() == "overloaded") {
      // As a plugin's own error arrives: with the RPC system's mark of the hop.
      kj::throwFatalException(KJ_EXCEPTION(
          FAILED, kj::str("remote exception: no\ndetail: kind=", seen_.back().c_str())));
    }
    if (seen_.back() == "crash")
      kj::throwFatalException(
          wire::make_exception({schema::ErrorKind::PLUGIN_CRASHED, "crashed", {}, {}, {}}));
    return kj::READY_NOW;
  }

  std::vector<kj::Own<kj::PromiseFulfiller<void>>> later;

 private:
  std::vector<std::string>& seen_;
};

struct fixture {
  fixture() : loop(), scope(loop), timer(kj::origin<kj::TimePoint>()) {
    limits.calls_in_flight_max = 3;
    limits.calls_waiting_max = 2;
    limits.breaker = {2, std::chrono::seconds(15), std::chrono::seconds(60), 2.0};
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
  slot_target target(std::uint64_t generation, std::vector<std::string>& whose) {
    auto server = kj::heap<recorder>(whose);
    newest = server.get();
    return {generation, capnp::Capability::Client(kj::mv(server)), nullptr};
  }
  void serve(std::uint64_t generation = 1) { subject->serve(target(generation, seen)); }
  /// Two calls that are not answered in time.
  void open_breaker() {
    for (int i = 0; i < 2; ++i) {
      auto lost = call("hang");
      turn();
      advance(limits.call_max);
      CHECK(lost.wait(scope) == "deadline_exceeded");
    }
    REQUIRE(subject->breaker_now() == breaker_state::open);
  }
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
  recorder* newest = nullptr;
};

}  // namespace

TEST_CASE_METHOD(
    fixture,
    "J09 calls to a mount that is down wait, and are forwarded in order, before later ones") {
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

TEST_CASE_METHOD(fixture,
                 "J10 calls_waiting_max wait, and one more is overloaded at once and counted") {
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

// -- the breaker ------------------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "K02 what counts is decided by the kind of the error, not by failing") {
  serve();
  for (int i = 0; i < 5; ++i) CHECK(call("not_found").wait(scope) == "not_found");
  CHECK(subject->breaker_now() == breaker_state::closed);
  for (int i = 0; i < 5; ++i) CHECK(call("crash").wait(scope) == "plugin_crashed");
  CHECK(subject->breaker_now() == breaker_state::closed);
  for (int i = 0; i < 2; ++i) CHECK(call("overloaded").wait(scope) == "overloaded");
  CHECK(subject->breaker_now() == breaker_state::open);
}

TEST_CASE_METHOD(fixture, "K03 a call that is too old counts before its caller hears of it") {
  serve();
  auto first = call("hang");
  auto second = call("hang");
  std::vector<breaker_state> states;
  bool heard = false;
  subject->on_breaker([&](breaker_state to, bool) {
    CHECK_FALSE(heard);
    states.push_back(to);
  });
  auto told = first.then([&](std::string&&) { heard = true; }).eagerlyEvaluate(nullptr);
  turn();
  advance(limits.call_max);
  CHECK(heard);
  CHECK(second.wait(scope) == "deadline_exceeded");
  // K04: it opens once, and is told once.
  CHECK(states == std::vector<breaker_state>{breaker_state::open});
}

TEST_CASE_METHOD(fixture, "K05 while the breaker is open no call reaches the plugin") {
  serve();
  open_breaker();
  const auto reached = seen.size();
  CHECK(call("x").wait(scope) == "plugin_unavailable");
  CHECK(seen.size() == reached);
  CHECK(subject->breaker_left() == std::chrono::seconds(15));
}

TEST_CASE_METHOD(fixture, "K07 K08 half open, one of many calls goes through and decides") {
  serve();
  open_breaker();
  advance(15 * kj::SECONDS);
  auto probe = call("later");
  turn();
  CHECK(call("x").wait(scope) == "plugin_unavailable");
  newest->later[0]->fulfill();
  CHECK(probe.wait(scope) == "ok");
  CHECK(subject->breaker_now() == breaker_state::closed);
  CHECK(call("x").wait(scope) == "ok");
}

TEST_CASE_METHOD(fixture,
                 "K11 a new instance gets its first call at once, though the breaker is open") {
  serve();
  open_breaker();
  serve(2);
  CHECK(subject->breaker_now() == breaker_state::half_open);
  CHECK(call("x").wait(scope) == "ok");
  CHECK(subject->breaker_now() == breaker_state::closed);
}

TEST_CASE_METHOD(fixture, "K10 held open, it refuses all calls and disturbs none in flight") {
  std::vector<std::pair<breaker_state, bool>> told;
  subject->on_breaker(
      [&](breaker_state state, bool by_hand) { told.emplace_back(state, by_hand); });
  serve();
  auto running = call("later");
  turn();
  subject->hold_breaker(true);
  subject->hold_breaker(true);  // is told once
  CHECK(call("x").wait(scope) == "plugin_unavailable");
  newest->later[0]->fulfill();
  CHECK(running.wait(scope) == "ok");
  serve(2);  // a new instance is no reason to let one through
  CHECK(call("x").wait(scope) == "plugin_unavailable");
  subject->hold_breaker(false);
  CHECK(call("x").wait(scope) == "ok");
  CHECK(told == std::vector<std::pair<breaker_state, bool>>{{breaker_state::open, true},
                                                            {breaker_state::closed, true}});
}

TEST_CASE_METHOD(fixture, "K10 held open, it wakes nobody, and what waited is refused") {
  int woken = 0;
  subject->hold("it starts");
  auto waiting = call("1");
  turn();
  subject->hold_breaker(true);
  CHECK(call("2").wait(scope) == "plugin_unavailable");
  serve();
  CHECK(waiting.wait(scope) == "plugin_unavailable");
  subject->doze("asleep", [&] { ++woken; });
  CHECK(call("3").wait(scope) == "plugin_unavailable");
  CHECK(woken == 0);
}

TEST_CASE_METHOD(fixture, "a probe whose caller goes away makes room for another") {
  serve();
  open_breaker();
  advance(15 * kj::SECONDS);
  auto probe = call("hang");
  turn();
  probe = nullptr;
  turn();
  CHECK(call("x").wait(scope) == "ok");
}

// -- waking -----------------------------------------------------------------------------------

TEST_CASE_METHOD(fixture,
                 "P01 many calls to a mount that sleeps wake it once, and all are served") {
  int woken = 0;
  subject->doze("it starts with its first call", [&] { ++woken; });
  CHECK(woken == 0);
  auto first = call("1");
  auto second = call("2");
  turn();
  CHECK(woken == 1);
  serve();
  CHECK(first.wait(scope) == "ok");
  CHECK(second.wait(scope) == "ok");
}

TEST_CASE_METHOD(fixture, "a call that waits already wakes a mount that falls asleep") {
  subject->hold("it stops");
  auto waiting = call("1");
  turn();
  int woken = 0;
  subject->doze("asleep", [&] { ++woken; });
  CHECK(woken == 1);
}

TEST_CASE_METHOD(fixture, "a call that waits is gone with its caller, and its place is free") {
  auto first = call("1");
  auto second = call("2");
  turn();
  first = nullptr;
  turn();
  CHECK(subject->counters().waiting == 1);
  auto third = call("3");
  turn();
  serve();
  CHECK(second.wait(scope) == "ok");
  CHECK(third.wait(scope) == "ok");
  CHECK(seen == std::vector<std::string>{"2", "3"});
}

// -- two instances ----------------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "a new instance gets the calls from now on, the old one keeps its own") {
  serve(1);
  auto old_call = call("later");
  turn();
  auto* old_server = newest;
  std::vector<std::string> fresh;
  subject->serve(target(2, fresh));
  CHECK(call("x").wait(scope) == "ok");
  CHECK(fresh == std::vector<std::string>{"x"});
  CHECK(subject->calls_of(1).size() == 1);
  CHECK(subject->calls_of(2).empty());
  bool drained = false;
  auto draining = subject->drained(1, 1 * kj::HOURS)
                      .then([&drained] { drained = true; })
                      .eagerlyEvaluate(nullptr);
  auto other = call("hang");
  turn();
  CHECK_FALSE(drained);
  old_server->later[0]->fulfill();
  CHECK(old_call.wait(scope) == "ok");
  turn();
  CHECK(drained);
}

TEST_CASE_METHOD(fixture, "Z06 cut ends the calls of one instance, with the reason") {
  serve(1);
  auto old_call = call("hang");
  turn();
  serve(2);
  auto new_call = call("hang");
  turn();
  subject->cut(1,
               wire::make_exception({schema::ErrorKind::PLUGIN_UNAVAILABLE, "gone", {}, {}, {}}));
  CHECK(old_call.wait(scope) == "plugin_unavailable");
  CHECK(subject->calls_of(2).size() == 1);
}

TEST_CASE_METHOD(fixture, "a trial gets its share of the calls, and both are tallied apart") {
  serve(1);
  std::vector<std::string> fresh;
  subject->try_out(target(2, fresh), 25);
  for (int i = 0; i < 6; ++i) CHECK(call("x").wait(scope) == "ok");
  CHECK(call("not_found").wait(scope) == "not_found");
  CHECK(call("crash").wait(scope) == "plugin_crashed");
  CHECK(fresh.size() == 2);
  CHECK(seen.size() == 6);
  CHECK(subject->tried_tally(1 * kj::SECONDS).calls == 2);
  CHECK(subject->tried_tally(1 * kj::SECONDS).failures == 1);
  CHECK(subject->serving_tally(1 * kj::SECONDS).calls == 6);
  CHECK(subject->serving_tally(1 * kj::SECONDS).failures == 0);
  subject->end_trial();
  for (int i = 0; i < 4; ++i) CHECK(call("x").wait(scope) == "ok");
  CHECK(fresh.size() == 2);
}

TEST_CASE_METHOD(fixture, "a call without an answer, or whose caller gives up, fails its trial") {
  serve(1);
  auto before = call("hang");  // begun before the trial: it says nothing of it
  turn();
  std::vector<std::string> fresh;
  subject->try_out(target(2, fresh), 50);
  CHECK(call("x").wait(scope) == "ok");
  auto unanswered = call("hang");
  turn();
  REQUIRE(fresh == std::vector<std::string>{"hang"});
  CHECK(subject->tried_tally(1 * kj::SECONDS).calls == 0);
  advance(1 * kj::SECONDS);
  CHECK(subject->tried_tally(1 * kj::SECONDS).failures == 1);
  unanswered = nullptr;
  turn();
  CHECK(subject->tried_tally(1 * kj::SECONDS).calls == 1);
  CHECK(subject->tried_tally(1 * kj::SECONDS).failures == 1);
  CHECK(subject->serving_tally(1 * kj::SECONDS).calls == 1);
  CHECK(subject->serving_tally(1 * kj::SECONDS).failures == 0);
}

TEST_CASE_METHOD(fixture, "the breaker hears only of the calls of the instance that serves") {
  serve(1);
  auto first = call("hang");
  auto second = call("hang");
  turn();
  serve(2);
  advance(limits.call_max);
  CHECK(first.wait(scope) == "deadline_exceeded");
  CHECK(second.wait(scope) == "deadline_exceeded");
  CHECK(subject->breaker_now() == breaker_state::closed);
  std::vector<std::string> fresh;
  subject->try_out(target(3, fresh), 99);
  CHECK(call("x").wait(scope) == "ok");
  for (int i = 0; i < 3; ++i) CHECK(call("overloaded").wait(scope) == "overloaded");
  CHECK(fresh.size() == 3);
  CHECK(subject->breaker_now() == breaker_state::closed);
}

TEST_CASE_METHOD(fixture, "calls that waited for a new instance pass a breaker that is half open") {
  serve();
  open_breaker();
  subject->hold("it restarts");
  auto first = call("1");
  auto second = call("2");
  turn();
  std::vector<breaker_state> told;
  subject->on_breaker([&](breaker_state state, bool) { told.push_back(state); });
  serve(2);
  CHECK(first.wait(scope) == "ok");
  CHECK(second.wait(scope) == "ok");
  CHECK(told == std::vector<breaker_state>{breaker_state::half_open, breaker_state::closed});
}

TEST_CASE_METHOD(fixture,
                 "an old instance's calls are no part of the life of the one that serves") {
  serve(1);
  auto old_call = call("hang");
  turn();
  advance(3 * kj::SECONDS);
  serve(2);
  CHECK_FALSE(subject->facts().oldest_call);
  CHECK(subject->facts().idle_since == subject->now());
  CHECK(subject->oldest_call() == 3 * kj::SECONDS);
}

TEST_CASE_METHOD(fixture, "the call alarm rings once, with the call that was named") {
  serve(1);
  int rang = 0;
  subject->set_call_alarm(2, [&] { ++rang; });
  CHECK(call("x").wait(scope) == "ok");
  CHECK(rang == 0);
  CHECK(call("x").wait(scope) == "ok");
  CHECK(rang == 1);
  CHECK(call("x").wait(scope) == "ok");
  CHECK(rang == 1);
  CHECK(subject->facts().calls == 3);
}

TEST_CASE_METHOD(fixture, "idle begins with the end of the last call") {
  serve(1);
  const auto start = subject->now();
  auto one = call("later");
  turn();
  advance(3 * kj::SECONDS);
  CHECK(subject->facts().oldest_call == start);
  newest->later[0]->fulfill();
  CHECK(one.wait(scope) == "ok");
  turn();
  CHECK_FALSE(subject->facts().oldest_call);
  CHECK(subject->facts().idle_since == start + std::chrono::seconds(3));
}
