// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_life.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using kind = life_verdict::kind;

namespace {

const instant start{100h};

life_rules none() {
  life_rules rules;
  rules.ping_every = 0ms;
  return rules;
}

life_facts idle_since_start() {
  return {start, 0, start, {}};
}

}  // namespace

TEST_CASE("an instance without rules is kept and never looked at again") {
  const auto verdict = judge_life(none(), idle_since_start(), start + 10'000h);
  CHECK(verdict.what == kind::keep);
  CHECK_FALSE(verdict.next);
}

TEST_CASE("an idle instance is stopped when its time is up, to the nanosecond") {
  auto rules = none();
  rules.idle_stop = 30s;
  const auto before = judge_life(rules, idle_since_start(), start + 30s - 1ns);
  CHECK(before.what == kind::keep);
  CHECK(before.next == start + 30s);
  CHECK(judge_life(rules, idle_since_start(), start + 30s).what == kind::stop_idle);
}

TEST_CASE("an instance with a call in flight is not idle, however old its last rest") {
  auto rules = none();
  rules.idle_stop = 30s;
  auto facts = idle_since_start();
  facts.oldest_call = start + 40s;
  const auto verdict = judge_life(rules, facts, start + 50s);
  CHECK(verdict.what == kind::keep);
  CHECK(verdict.next == start + 80s);
}

TEST_CASE("an instance whose oldest call is too old is replaced as hung") {
  auto rules = none();
  rules.call_age_max = 5s;
  rules.idle_stop = 1s;
  auto facts = idle_since_start();
  facts.oldest_call = start + 1s;
  CHECK(judge_life(rules, facts, start + 6s - 1ns).next == start + 6s);
  const auto verdict = judge_life(rules, facts, start + 6s);
  CHECK(verdict.what == kind::replace_hung);
  CHECK(verdict.reason == "had a call in flight for 5 s (call_age_max)");
}

TEST_CASE("L09 an instance is replaced at the end of its lifetime, also when it was set live") {
  auto rules = none();
  rules.lifetime_max = 1h;
  CHECK(judge_life(rules, idle_since_start(), start + 1h - 1ns).what == kind::keep);
  CHECK(judge_life(rules, idle_since_start(), start + 1h).what == kind::replace);
  rules.lifetime_max = 10min;
  CHECK(judge_life(rules, idle_since_start(), start + 11min).what == kind::replace);
}

TEST_CASE("an instance is replaced after its calls") {
  auto rules = none();
  rules.calls_max = 1000;
  auto facts = idle_since_start();
  facts.calls = 999;
  CHECK(judge_life(rules, facts, start).what == kind::keep);
  facts.calls = 1000;
  CHECK(judge_life(rules, facts, start).reason == "served 1000 calls (calls_max)");
}

TEST_CASE("a trial fails when the new instance does worse than the old one, beyond the margin") {
  CHECK_FALSE(trial_failed({0, 0}, {0, 0}, true));
  CHECK_FALSE(trial_failed({100, 1}, {1000, 0}, true));
  CHECK(trial_failed({100, 2}, {1000, 0}, true));
  CHECK_FALSE(trial_failed({100, 50}, {1000, 500}, true));
}

TEST_CASE("a trial is not judged early on a few calls") {
  CHECK_FALSE(trial_failed({trial_calls_min - 1, trial_calls_min - 1}, {0, 0}, false));
  CHECK(trial_failed({trial_calls_min, trial_calls_min}, {0, 0}, false));
  CHECK(trial_failed({1, 1}, {0, 0}, true));
}
