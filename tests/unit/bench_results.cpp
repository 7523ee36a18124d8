// SPDX-License-Identifier: Apache-2.0
//
// The bench's arithmetic: percentiles of measured values, ratios round by round, bars.
#include <catch2/catch.hpp>
#include <stdexcept>

#include "tools/bench/results.hpp"

using namespace bulkhead::bench;

namespace {

cell one_core(const char* path, std::vector<double> p50_us, std::vector<double> calls_per_s) {
  cell made;
  made.path = path;
  made.bytes = 64;
  made.cores = 1;
  made.p50_us = std::move(p50_us);
  made.calls_per_s = std::move(calls_per_s);
  return made;
}

results measured() {
  results found;
  found.cells = {one_core("byte relay", {50}, {40}), one_core("stock proxy", {100}, {20}),
                 one_core("broker, typed", {70}, {30}), one_core("broker, request", {91}, {20}),
                 one_core("unconfined, typed", {67.2}, {30})};
  return found;
}

const bar& bar_named(const std::vector<bar>& all, const std::string& part) {
  for (const auto& one : all) {
    if (one.what.find(part) != std::string::npos) return one;
  }
  throw std::runtime_error("no bar " + part);
}

}  // namespace

TEST_CASE("a percentile is a value that was measured") {
  CHECK(percentile({}, 50) == 0);
  CHECK(percentile({7}, 99) == 7);
  CHECK(percentile({3, 1, 2}, 50) == 2);
  CHECK(percentile({4, 3, 2, 1}, 50) == 2);
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  CHECK(percentile(hundred, 99) == 99);
  CHECK(percentile(hundred, 100) == 100);
  CHECK(percentile(hundred, 0) == 1);
}

TEST_CASE("the spread is the distance of the rounds in parts of their median") {
  const auto rounds = summarise({10, 8, 12});
  CHECK(rounds.median == 10);
  CHECK(rounds.spread() == Approx(0.4));
  CHECK(summarise({}).spread() == 0);
}

TEST_CASE("ratios are taken round by round") {
  CHECK(ratios({2, 9}, {1, 3}) == std::vector<double>{2, 3});
  CHECK(ratios({2, 9, 5}, {1}) == std::vector<double>{2});
  CHECK(ratios({2, 9}, {0, 3}) == std::vector<double>{3});
}

TEST_CASE("a bar is met at its limit and missed beyond it") {
  const auto all = bars(measured());
  REQUIRE(all.size() == 5);
  CHECK(bar_named(all, "stock proxy").value == Approx(0.7));
  CHECK(bar_named(all, "byte relay").value == Approx(1.4));
  CHECK(bar_named(all, "many outstanding").value == Approx(1.5));
  CHECK(bar_named(all, "request style").value == Approx(1.3));
  CHECK(bar_named(all, "against unconfined").value == Approx(70 / 67.2));
  bar at_most{"", 5, 5, false, "ms"};
  bar at_least{"", 5, 5, true, "x"};
  CHECK(at_most.met());
  CHECK(at_least.met());
  at_most.value = 5.01;
  at_least.value = 4.99;
  CHECK_FALSE(at_most.met());
  CHECK_FALSE(at_least.met());
}

TEST_CASE("two paths alone have the bars that are between them") {
  results found;
  found.cells = {one_core("broker, typed", {84}, {30}), one_core("unconfined, typed", {70}, {30})};
  const auto all = bars(found);
  REQUIRE(all.size() == 1);
  CHECK(all[0].what.find("confined against unconfined") != std::string::npos);
  CHECK(all[0].value == Approx(1.2));
  CHECK_FALSE(all[0].met());
}

TEST_CASE("without the broker there are no bars, and memory is the sum over processes") {
  CHECK(bars({}).empty());
  results found;
  found.idle_pss_bytes = {{"broker", 5ULL << 20U}, {"kv/", 3ULL << 20U}};
  REQUIRE(bars(found).size() == 1);
  CHECK(bars(found)[0].value == Approx(8));
  CHECK(bars(found)[0].met());
}

TEST_CASE("recovery counts on one core") {
  results found;
  found.recoveries = {{1, {1, 2, 30}, 0}, {2, {100}, 0}};
  const auto all = bars(found);
  REQUIRE(all.size() == 2);
  CHECK(all[0].value == 2);
  CHECK(all[0].met());
  CHECK(all[1].value == 30);
  CHECK_FALSE(all[1].met());
}
