// SPDX-License-Identifier: Apache-2.0
#include "broker/event_log.hpp"

#include <algorithm>
#include <chrono>

namespace bulkhead {

std::int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void event_log::record(std::string mount, std::uint64_t generation, std::string name,
                       std::string reason) {
  events_.push_back(broker_event{next_++, unix_ms_now(), std::move(mount), generation, std::move(name),
                          std::move(reason)});
  if (events_.size() > events_kept) events_.pop_front();
  // A copy: an observer may end its own subscription.
  const auto observers = observers_;
  const broker_event newest = events_.back();
  for (const auto& [id, callback] : observers) callback(newest);
}

std::vector<broker_event> event_log::after(std::uint64_t after, std::size_t limit) const {
  auto first = std::partition_point(events_.begin(), events_.end(), [after](const broker_event& each) {
    return each.number <= after;
  });
  const auto count = std::min<std::size_t>(limit, static_cast<std::size_t>(events_.end() - first));
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

std::uint64_t event_log::observe(observer callback) {
  observers_.emplace(next_observer_, std::move(callback));
  return next_observer_++;
}

}  // namespace bulkhead
