// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/results.hpp"

#include <algorithm>

namespace bulkhead::bench {

namespace {

constexpr std::size_t small_bytes = 64;

void add_ratio(std::vector<bar>& all, const char* what, const std::vector<double>& of,
               const std::vector<double>& to, double limit, bool at_least) {
  all.push_back({what, percentile(ratios(of, to), 50), limit, at_least, "x"});
}

void add_call_bars(std::vector<bar>& all, const results& found) {
  const auto* typed = found.find("broker, typed", small_bytes, 1);
  const auto* request = found.find("broker, request", small_bytes, 1);
  const auto* proxy = found.find("stock proxy", small_bytes, 1);
  const auto* relay = found.find("byte relay", small_bytes, 1);
  if (typed == nullptr || request == nullptr || proxy == nullptr || relay == nullptr) return;
  add_ratio(all, "typed call p50 against the stock proxy", typed->p50_us, proxy->p50_us, 1.1,
            false);
  add_ratio(all, "typed call p50 against the byte relay", typed->p50_us, relay->p50_us, 1.4, false);
  add_ratio(all, "typed calls/s, many outstanding, against the stock proxy", typed->calls_per_s,
            proxy->calls_per_s, 1.5, true);
  add_ratio(all, "request style p50 against typed style", request->p50_us, typed->p50_us, 1.3,
            false);
  const auto* unconfined = found.find("unconfined, typed", small_bytes, 1);
  if (unconfined != nullptr)
    add_ratio(all, "typed call p50, confined against unconfined", typed->p50_us, unconfined->p50_us,
              1.05, false);
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
