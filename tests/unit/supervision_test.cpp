// SPDX-License-Identifier: Apache-2.0
#include "actors/supervision.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

TEST_CASE("A16 the defaults are OTP's") {
  const supervisor_policy policy;
  CHECK(policy.intensity == 1);
  CHECK(policy.period == 5s);
  CHECK(policy.when_spent == give_up::escalate);
  const child_spec spec;
  CHECK(spec.restart == restart_type::permanent);
  CHECK(spec.shutdown == shutdown_rule::within(5s));
}

TEST_CASE("A22 a wrong policy is refused by the field that is wrong") {
  const auto error_of = [](auto change) {
    supervisor_policy policy;
    change(policy);
    return check(policy);
  };
  CHECK(error_of([](auto&) {}).empty());
  CHECK(error_of([](auto& p) { p.period = 0ms; }).find("period is 0 ms") == 0);
  CHECK(error_of([](auto& p) { p.period = 1ms; }).empty());
  CHECK(error_of([](auto& p) { p.period = supervision_duration_max + 1ms; }).find("period") == 0);
  CHECK(error_of([](auto& p) { p.intensity = 0; }).empty());
  CHECK(error_of([](auto& p) { p.intensity = restart_intensity_max; }).empty());
  CHECK(error_of([](auto& p) { p.intensity = restart_intensity_max + 1; }).find("intensity") == 0);
  CHECK(error_of([](auto& p) { p.kill_wait = -1ms; }).find("kill_wait") == 0);
  CHECK(error_of([](auto& p) { p.backoff.factor = 0; }).find("backoff factor") == 0);
}

TEST_CASE("durations read well") {
  CHECK(duration_text(0ms) == "0 ms");
  CHECK(duration_text(400ms) == "400 ms");
  CHECK(duration_text(1500ms) == "1.5 s");
  CHECK(duration_text(30s) == "30 s");
  CHECK(duration_text(120s) == "2 min");
  CHECK(duration_text(90s) == "1 min 30 s");
}
