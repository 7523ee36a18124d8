// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/results.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::bench {

namespace {

constexpr std::size_t small_bytes = 64;

/// Of two paths that were both measured, the same figure of each.
struct ratio_bar {
  const char* what;
  const char* of;
  const char* to;
  std::vector<double> cell::*figure;
  double limit;
  bool at_least;
};

constexpr std::array<ratio_bar, 5> call_bars{{
    {"typed call p50 against the stock proxy", "broker, typed", "stock proxy", &cell::p50_us, 1.1,
     false},
    {"typed call p50 against the byte relay", "broker, typed", "byte relay", &cell::p50_us, 1.4,
     false},
    {"typed calls/s, many outstanding, against the stock proxy", "broker, typed", "stock proxy",
     &cell::calls_per_s, 1.5, true},
    {"request style p50 against typed style", "broker, request", "broker, typed", &cell::p50_us,
     1.3, false},
    {"typed call p50, confined against unconfined", "broker, typed", "unconfined, typed",
     &cell::p50_us, 1.05, false},
}};

void add_call_bars(std::vector<bar>& all, const results& found) {
  for (const auto& each : call_bars) {
    const auto* of = found.find(each.of, small_bytes, 1);
    const auto* to = found.find(each.to, small_bytes, 1);
    if (of == nullptr || to == nullptr) continue;
    const double value = percentile(ratios(of->*each.figure, to->*each.figure), 50);
    all.push_back({each.what, value, each.limit, each.at_least, "x"});
  }
}

}  // namespace

const cell* results::find(const std::string& path, std::size_t bytes, std::size_t cores) const {
  const auto at = std::find_if(cells.begin(), cells.end(), [&](const cell& c) {
    return c.path == path && c.bytes == bytes && c.cores == cores;
  });
  return at == cells.end() ? nullptr : &*at;
}

std::vector<double> ratios(const std::vector<double>& of, const std::vector<double>& to) {
  std::vector<double> all;
  for (std::size_t i = 0; i < std::min(of.size(), to.size()); ++i) {
    if (to[i] > 0) all.push_back(of[i] / to[i]);
  }
  return all;
}

std::vector<bar> bars(const results& found) {
  std::vector<bar> all;
  add_call_bars(all, found);
  for (const auto& recovery : found.recoveries) {
    if (recovery.cores != 1) continue;
    all.push_back({"kill to served, p50", percentile(recovery.ms, 50), 5, false, "ms"});
    all.push_back({"kill to served, p99", percentile(recovery.ms, 99), 25, false, "ms"});
  }
  if (!found.idle_pss_bytes.empty()) {
    double bytes = 0;
    for (const auto& [process, pss] : found.idle_pss_bytes) bytes += static_cast<double>(pss);
    all.push_back(
        {"idle memory (PSS) of broker, kv and calc", bytes / (1 << 20), 25, false, "MiB"});
  }
  return all;
}

}  // namespace bulkhead::bench
