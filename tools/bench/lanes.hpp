// SPDX-License-Identifier: Apache-2.0
//
// The load of the Cap'n Proto paths: one call after the other, or on many lanes.
#pragma once

#include <kj/async.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <cstdint>
#include <vector>

#include "tools/bench/process.hpp"

namespace bulkhead::bench {

/// `call()` starts one call and answers a promise of it.
template <typename Call>
std::vector<double> time_calls(double seconds, kj::WaitScope& scope, Call&& call) {
  std::vector<double> times;
  const double end = now_s() + seconds;
  for (double start = now_s(); start < end;) {
    call().wait(scope);
    const double done = now_s();
    times.push_back((done - start) * 1e6);
    start = done;
  }
  return times;
}

template <typename Call>
kj::Promise<void> run_lane(double end, std::uint64_t& answered, Call& call) {
  return call().then([end, &answered, &call]() -> kj::Promise<void> {
    ++answered;
    if (now_s() >= end) return kj::READY_NOW;
    return run_lane(end, answered, call);
  });
}

template <typename Call>
std::uint64_t count_calls(unsigned lanes, double seconds, kj::WaitScope& scope, Call&& call) {
  std::uint64_t answered = 0;
  const double end = now_s() + seconds;
  kj::Vector<kj::Promise<void>> running;
  for (unsigned i = 0; i < lanes; ++i) running.add(run_lane(end, answered, call));
  kj::joinPromises(running.releaseAsArray()).wait(scope);
  return answered;
}

}  // namespace bulkhead::bench
