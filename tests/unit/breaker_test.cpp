// SPDX-License-Identifier: Apache-2.0
//
// The breaker, transition by transition, with time moved by hand. What the slot makes of it is in
// slot_test.

#include "broker/breaker.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using admission = breaker::admission;

namespace {

struct fixture {
  breaker subject{breaker_policy{3, 10s, 35s, 2.0}};
  instant now{};

  void fail(int times) {
    for (int i = 0; i < times; ++i) {
      const auto as = subject.admit(now);
      REQUIRE(as != admission::refuse);
      subject.unanswered(as, now);
    }
  }
  void open() {
    fail(3);
    REQUIRE(subject.state(now) == breaker_state::open);
  }
  admission probe() {
    now += subject.open_left(now);
    const auto as = subject.admit(now);
    REQUIRE(as == admission::probe);
    return as;
  }
};

}  // namespace

TEST_CASE_METHOD(fixture, "K01 while closed a failure counts one and an answer starts from zero") {
  fail(2);
  subject.answered(subject.admit(now));
  fail(2);
  CHECK(subject.state(now) == breaker_state::closed);
  fail(1);
  CHECK(subject.state(now) == breaker_state::open);
}

TEST_CASE_METHOD(fixture, "K04 the breaker opens with the last allowed failure, not before") {
  fail(2);
  CHECK(subject.state(now) == breaker_state::closed);
  fail(1);
  CHECK(subject.state(now) == breaker_state::open);
}

TEST_CASE_METHOD(fixture, "K05 an open breaker refuses and says how long") {
  open();
  CHECK(subject.open_left(now) == 10s);
  now += 4s;
  CHECK(subject.admit(now) == admission::refuse);
  CHECK(subject.open_left(now) == 6s);
}

TEST_CASE_METHOD(fixture, "K06 late results change nothing while it is open or half open") {
  const auto early = subject.admit(now);
  open();
  subject.answered(early);
  CHECK(subject.state(now) == breaker_state::open);
  subject.unanswered(early, now + 5s);
  CHECK(subject.open_left(now) == 10s);
  const auto as = probe();
  subject.answered(early);
  subject.unanswered(early, now);
  CHECK(subject.state(now) == breaker_state::half_open);
  subject.answered(as);
  CHECK(subject.state(now) == breaker_state::closed);
}

TEST_CASE_METHOD(fixture, "K07 half open lets exactly one call through") {
  open();
  now += 10s - 1ns;
  CHECK(subject.admit(now) == admission::refuse);
  now += 1ns;
  CHECK(subject.state(now) == breaker_state::half_open);
  CHECK(subject.admit(now) == admission::probe);
  for (int i = 0; i < 5; ++i) CHECK(subject.admit(now) == admission::refuse);
}

TEST_CASE_METHOD(fixture, "K08 a probe that is answered closes, one that is not opens again") {
  open();
  subject.unanswered(probe(), now);
  CHECK(subject.state(now) == breaker_state::open);
  subject.answered(probe());
  CHECK(subject.state(now) == breaker_state::closed);
  CHECK(subject.admit(now) == admission::pass);
}

TEST_CASE_METHOD(fixture, "K09 the time grows with each failing probe up to its limit") {
  open();
  for (const auto expected : {20s, 35s, 35s}) {
    subject.unanswered(probe(), now);
    CHECK(subject.open_left(now) == expected);
  }
  subject.answered(probe());
  open();
  CHECK(subject.open_left(now) == 10s);
}

TEST_CASE_METHOD(fixture, "K11 a new instance takes an open breaker to half open at once") {
  open();
  subject.renewed();
  CHECK(subject.state(now) == breaker_state::half_open);
  CHECK(subject.admit(now) == admission::probe);
  // Should the instance be replaced again before the probe has ended, another may go.
  subject.renewed();
  CHECK(subject.admit(now) == admission::probe);
}

TEST_CASE_METHOD(fixture, "K10 a breaker that is opened by hand is closed by hand alone") {
  const auto before = subject.admit(now);
  subject.hold_open();
  CHECK(subject.open_left(now) == 0s);
  subject.answered(before);
  now += 1h;
  subject.renewed();
  subject.use(breaker_policy{0, 10s, 35s, 2.0});
  CHECK(subject.admit(now) == admission::refuse);
  CHECK(subject.state(now) == breaker_state::open);
  CHECK(subject.held());
  subject.use(breaker_policy{3, 10s, 35s, 2.0});
  subject.close();
  CHECK_FALSE(subject.held());
  CHECK(subject.admit(now) == admission::pass);
}

TEST_CASE_METHOD(fixture, "K10 what was counted is forgotten when a breaker is closed by hand") {
  open();
  subject.unanswered(probe(), now);
  REQUIRE(subject.open_left(now) == 20s);
  subject.close();
  fail(2);
  CHECK(subject.state(now) == breaker_state::closed);
  fail(1);
  CHECK(subject.open_left(now) == 10s);
}

TEST_CASE_METHOD(fixture, "a probe whose caller goes away makes room for another") {
  open();
  subject.dropped(probe());
  CHECK(subject.admit(now) == admission::probe);
}

TEST_CASE("a breaker that is switched off never opens") {
  breaker off{breaker_policy{0, 10s, 35s, 2.0}};
  const instant now{};
  for (int i = 0; i < 1000; ++i) off.unanswered(off.admit(now), now);
  CHECK(off.admit(now) == admission::pass);
}
