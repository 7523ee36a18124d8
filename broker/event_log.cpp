// SPDX-License-Identifier: Apache-2.0
#include "broker/event_log.hpp"

#include <kj/debug.h>

#include <chrono>

namespace bulkhead {

std::int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void event_log::record(std::string mount, std::uint64_t generation, std::string name,
                       std::string reason) {
  broker_event newest{events_.last() + 1, unix_ms_now(),   std::move(mount),
                      generation,         std::move(name), std::move(reason)};
  events_.push(newest);
  // A copy: an observer may end its own subscription.
  const auto observers = observers_;
  for (const auto& [id, callback] : observers) {
    try {
      callback(newest);
    } catch (const std::exception& problem) {
      KJ_LOG(ERROR, "an observer of events failed", problem.what());
    }
  }
}

std::vector<broker_event> event_log::after(std::uint64_t after, std::size_t limit) const {
  std::vector<broker_event> result;
  for (auto& each : events_.next(limit, after)) result.push_back(std::move(each.value));
  return result;
}

std::uint64_t event_log::observe(observer callback) {
  observers_.emplace(next_observer_, std::move(callback));
  return next_observer_++;
}

}  // namespace bulkhead
