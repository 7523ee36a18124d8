// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bulkhead::simulation {
namespace {

/// More messages than this at one instant are a loop that time never ends.
constexpr std::size_t messages_at_once_max = 200'000;

caf::actor_system_config& testing(caf::actor_system_config& config) {
  config.set("scheduler.policy", caf::atom("testing"));
  return config;
}

}  // namespace

world::world(const run_options& options)
    : options_{options},
      random_{options.seed},
      system_{testing(config_)},
      coordinator_{dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())},
      begin_{coordinator_.clock().now()} {}

world::~world() {
  try {
    do {
      run_all();
    } while (coordinator_.trigger_timeouts() > 0 || coordinator_.has_job());
  } catch (const std::exception& problem) {
    trace(problem.what());
  }
}

std::uint64_t world::number(std::uint64_t low, std::uint64_t high) {
  return low + random_.bits() % (high - low + 1);
}

std::chrono::milliseconds world::duration(std::chrono::milliseconds most) {
  const double exponent = random_.unit() * std::log(static_cast<double>(most.count()));
  return std::chrono::milliseconds{std::max(1L, std::lround(std::exp(exponent)))};
}

void world::run_one() {
  auto& jobs = coordinator_.jobs;
  const auto pick = jobs.begin() + static_cast<std::ptrdiff_t>(number(0, jobs.size() - 1));
  std::rotate(jobs.begin(), pick, pick + 1);
  coordinator_.run_once();
}

void world::run_some(std::size_t most) {
  for (std::size_t done = 0; done < most && coordinator_.has_job(); ++done) run_one();
}

void world::run_all() {
  for (std::size_t done = 0; coordinator_.has_job(); ++done) {
    if (done == messages_at_once_max) throw violation{"messages without end at one instant"};
    run_one();
  }
}

void world::run_until(instant until) {
  run_all();
  const auto& schedule = coordinator_.clock().schedule();
  while (!schedule.empty() && schedule.begin()->first <= until) {
    coordinator_.advance_time(std::max(schedule.begin()->first - now(), caf::timespan{0}));
    run_all();
  }
  if (until > now()) coordinator_.advance_time(until - now());
}

void world::trace(const std::string& line) {
  if (!options_.trace) return;
  const auto time = std::chrono::duration<double>(age()).count();
  options_.trace(fmt::format("{:>12.6f} {}", time, line));
}

}  // namespace bulkhead::simulation
