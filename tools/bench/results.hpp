// SPDX-License-Identifier: Apache-2.0
//
// What a run has found, round by round, and the bars that it is held against.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/bench/samples.hpp"

namespace bulkhead::bench {

/// One path, at one size, on so many cores. Each vector has one value per round.
struct cell {
  std::string path;
  std::size_t bytes = 0;
  std::size_t cores = 0;
  std::vector<double> p50_us;
  std::vector<double> p99_us;
  std::vector<double> calls_per_s;                        // with many outstanding
  std::map<std::string, std::vector<double>> cpu_us_one;  // per call, by process
  std::map<std::string, std::vector<double>> cpu_us_many;
};

struct recovery_result {
  std::size_t cores = 0;
  std::vector<double> ms;
  std::uint64_t calls_failed = 0;
};

struct results {
  unsigned rounds = 0;
  unsigned lanes = 0;
  std::vector<cell> cells;
  std::vector<recovery_result> recoveries;
  std::map<std::string, std::uint64_t> idle_pss_bytes;  // by process; empty: not measured

  const cell* find(const std::string& path, std::size_t bytes, std::size_t cores) const;
};

/// The ratio of the same figure of two paths, round by round, so that what disturbs a round
/// disturbs both.
std::vector<double> ratios(const std::vector<double>& of, const std::vector<double>& to);

/// One bar of the project's, and how it was met.
struct bar {
  std::string what;
  double value = 0;
  double limit = 0;
  bool at_least = false;  // else at most
  const char* unit = "";

  bool met() const { return at_least ? value >= limit : value <= limit; }
};

/// The bars that these results can answer.
std::vector<bar> bars(const results& found);

}  // namespace bulkhead::bench
