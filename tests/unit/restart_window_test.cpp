// SPDX-License-Identifier: Apache-2.0
#include "actors/restart_window.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

#include "actors/random.hpp"

using namespace std::chrono_literals;
using bulkhead::instant;
using bulkhead::restart_window;

TEST_CASE("E01 with intensity 0 the first restart is one too many") {
  restart_window window{0, 5s};
  CHECK_FALSE(window.record(instant{}));
  CHECK(window.count(instant{}) == 1);
}

TEST_CASE("as many restarts as the intensity are allowed, one more is not") {
  restart_window window{2, 5s};
  CHECK(window.record(instant{}));
  CHECK(window.record(instant{} + 1s));
  CHECK_FALSE(window.record(instant{} + 2s));
}

TEST_CASE("E12 of two restarts exactly a period apart the first no longer counts (OTP: it does)") {
  restart_window at{1, 1s};
  CHECK(at.record(instant{}));
  CHECK(at.record(instant{} + 1s));
  restart_window below{1, 1s};
  CHECK(below.record(instant{}));
  CHECK_FALSE(below.record(instant{} + 1s - 1ns));
}

TEST_CASE("E03 restarts further apart than the period never spend the window") {
  restart_window window{1, 1s};
  for (int i = 0; i < 100; ++i) CHECK(window.record(instant{} + i * 2100ms));
}

TEST_CASE("the count shrinks as restarts age, without a new restart") {
  restart_window window{3, 10s};
  window.record(instant{});
  window.record(instant{} + 4s);
  CHECK(window.count(instant{} + 9s) == 2);
  CHECK(window.count(instant{} + 10s) == 1);
  CHECK(window.count(instant{} + 14s) == 0);
}

TEST_CASE("clearing the window makes room for the full intensity again") {
  restart_window window{1, 1s};
  CHECK(window.record(instant{}));
  window.clear();
  CHECK(window.count(instant{}) == 0);
  CHECK(window.record(instant{}));
  CHECK_FALSE(window.record(instant{}));
}

TEST_CASE("new bounds count what is known of the old restarts") {
  restart_window window{4, 10s};
  for (int i = 0; i < 4; ++i) window.record(instant{} + i * 1s);
  window.resize(2, 10s);
  CHECK(window.count(instant{} + 4s) == 3);
  CHECK_FALSE(window.record(instant{} + 4s));
  window.resize(5, 2s);
  CHECK(window.count(instant{} + 4s) == 2);
  CHECK(window.record(instant{} + 4s));
}

TEST_CASE("an unlimited window is never spent, and keeps nothing") {
  restart_window window{bulkhead::restart_unlimited, 1s};
  for (int i = 0; i < 1'000; ++i) CHECK(window.record(instant{}));
  CHECK(window.count(instant{}) == 0);
}

TEST_CASE("a window agrees with counting all restarts there ever were") {
  bulkhead::seeded_random random{7};
  for (int round = 0; round < 200; ++round) {
    const std::size_t intensity = random.bits() % 5;
    const auto period = std::chrono::nanoseconds{1 + random.bits() % 1000};
    restart_window window{intensity, period};
    std::vector<instant> all;
    instant now{};
    for (int i = 0; i < 60; ++i) {
      now += std::chrono::nanoseconds{random.bits() % 400};
      all.push_back(now);
      std::size_t young = 0;
      for (const auto at : all) young += now - at < period ? 1 : 0;
      REQUIRE(window.record(now) == (young <= intensity));
      REQUIRE(window.count(now) == std::min(young, intensity + 1));
    }
  }
}
