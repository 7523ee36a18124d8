// SPDX-License-Identifier: Apache-2.0
#include "actors/restart_window.hpp"

#include <algorithm>

namespace bulkhead {

restart_window::restart_window(std::size_t intensity, std::chrono::nanoseconds period)
    : intensity_{intensity}, period_{period} {}

bool restart_window::record(instant now) {
  if (intensity_ == restart_unlimited) return true;
  restarts_.push_back(now);
  while (now - restarts_.front() >= period_ && restarts_.size() > 1) restarts_.pop_front();
  while (restarts_.size() > intensity_ + 1) restarts_.pop_front();
  return restarts_.size() <= intensity_;
}

std::size_t restart_window::count(instant now) const {
  const auto young = [&](instant at) { return now - at < period_; };
  return static_cast<std::size_t>(std::count_if(restarts_.begin(), restarts_.end(), young));
}

void restart_window::resize(std::size_t intensity, std::chrono::nanoseconds period) {
  intensity_ = intensity;
  period_ = period;
  if (intensity_ == restart_unlimited) restarts_.clear();
  while (restarts_.size() > 1 && restarts_.size() - 1 > intensity_) restarts_.pop_front();
}

void restart_window::clear() {
  restarts_.clear();
}

}  // namespace bulkhead
