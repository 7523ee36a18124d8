// SPDX-License-Identifier: Apache-2.0
#include "actors/backoff.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <set>

using namespace std::chrono_literals;
using bulkhead::add_jitter;
using bulkhead::backoff;
using bulkhead::backoff_delay;
using bulkhead::backoff_policy;
using std::chrono::nanoseconds;

namespace {

constexpr auto day = 24h;

backoff_policy plain() {
  backoff_policy policy;
  policy.first = 200ms;
  policy.max = 1600ms;
  policy.stable = 10s;
  policy.jitter = 0.0;
  return policy;
}

}  // namespace

TEST_CASE("J01 the delay is min(max, first * 2^n), exactly and without overflow") {
  constexpr std::uint64_t int_max = std::numeric_limits<std::int32_t>::max();
  CHECK(backoff_delay(0, 0ns, 0ns, 2) == 0ns);
  CHECK(backoff_delay(0, 5min, 7min, 2) == 5min);
  CHECK(backoff_delay(2, 5s, 7s, 2) == 7s);
  CHECK(backoff_delay(2, 5s, 7 * day, 2) == 20s);
  CHECK(backoff_delay(29, 5min, 10min, 2) == 10min);
  CHECK(backoff_delay(29, 10000 * day, 10000 * day, 2) == 10000 * day);
  CHECK(backoff_delay(int_max, 10000 * day, 10000 * day, 2) == 10000 * day);
  CHECK(backoff_delay(std::numeric_limits<std::uint64_t>::max(), 1ns, nanoseconds::max(), 2) ==
        nanoseconds::max());
  CHECK(backoff_delay(int_max, 0ns, 1s, 2) == 0ns);
}

TEST_CASE("J02 the first restart is immediate, then delays double up to the cap") {
  bulkhead::fixed_random random{0.5};
  backoff sequence{plain()};
  for (const nanoseconds expected : {0ms, 200ms, 400ms, 800ms, 1600ms, 1600ms}) {
    CHECK(sequence.next(random) == expected);
  }
}

TEST_CASE("the first restart waits too when it is not to be immediate") {
  bulkhead::fixed_random random{0.5};
  auto policy = plain();
  policy.first_is_immediate = false;
  backoff sequence{policy};
  CHECK(sequence.next(random) == 200ms);
  CHECK(sequence.next(random) == 400ms);
}

TEST_CASE("J03 jitter is added after the cap, and stays below its share") {
  auto policy = plain();
  policy.jitter = 0.2;
  bulkhead::seeded_random random{1};
  std::set<nanoseconds> seen;
  backoff sequence{policy};
  for (int i = 0; i < 6; ++i) sequence.next(random);
  for (int i = 0; i < 1000; ++i) {
    const auto delay = sequence.next(random);
    REQUIRE(delay >= 1600ms);
    REQUIRE(delay < 1920ms);
    seen.insert(delay);
  }
  CHECK(seen.size() > 4);
  CHECK(add_jitter(1s, 0.2, 0.0) == 1s);
  CHECK(add_jitter(1s, 0.2, 1.0 - 0x1p-53) < 1200ms);
  CHECK(add_jitter(nanoseconds::max(), 1.0, 0.9) == nanoseconds::max());
}

TEST_CASE("J04 a good run of the stable time starts the sequence again, a shorter one does not") {
  bulkhead::fixed_random random{0};
  backoff sequence{plain()};
  for (int i = 0; i < 4; ++i) sequence.next(random);
  sequence.ran(10s - 1ns);
  CHECK(sequence.next(random) == 1600ms);
  sequence.ran(10s);
  CHECK(sequence.next(random) == 0ms);
  CHECK(sequence.next(random) == 200ms);
}

TEST_CASE("J05 a reset starts the sequence again") {
  bulkhead::fixed_random random{0};
  backoff sequence{plain()};
  for (int i = 0; i < 4; ++i) sequence.next(random);
  CHECK(sequence.failures() == 4);
  sequence.reset();
  CHECK(sequence.failures() == 0);
  CHECK(sequence.next(random) == 0ms);
}

TEST_CASE("N01 the delays of Kubernetes come out of its parameters") {
  bulkhead::fixed_random random{0};
  backoff_policy policy;
  policy.first = 10s;
  policy.max = 300s;
  policy.jitter = 0;
  backoff sequence{policy};
  for (const nanoseconds expected : {0s, 10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    CHECK(sequence.next(random) == expected);
  }
}

TEST_CASE("a backoff policy is refused by the field that is wrong") {
  const auto error_of = [](auto change) {
    backoff_policy policy;
    change(policy);
    return check(policy);
  };
  CHECK(check(backoff_policy{}).empty());
  CHECK(error_of([](auto& p) { p.first = -1ms; }).find("first is -1 ms") != std::string::npos);
  CHECK(error_of([](auto& p) { p.max = p.first - 1ms; }).find("max") != std::string::npos);
  CHECK(error_of([](auto& p) { p.max = p.first; }).empty());
  CHECK(error_of([](auto& p) { p.max = bulkhead::backoff_max_limit; }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.max = bulkhead::backoff_max_limit + 1ms; }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.stable = -1ms; }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.factor = 0.99; }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.factor = std::nan(""); }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.jitter = 1.01; }).empty());
  CHECK_FALSE(error_of([](auto& p) { p.jitter = -0.01; }).empty());
}
