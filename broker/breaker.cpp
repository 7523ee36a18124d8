// SPDX-License-Identifier: Apache-2.0
#include "broker/breaker.hpp"

#include <algorithm>

namespace bulkhead {

void breaker::use(const breaker_policy& policy) {
  policy_ = policy;
  if (policy.failures_max == 0 && !held_) close();
  open_for_ = state_ == breaker_state::closed ? policy.open : std::min(open_for_, policy.open_max);
}

breaker::admission breaker::admit(instant now) {
  if (state_ == breaker_state::closed) return admission::pass;
  if (state_ == breaker_state::open) {
    if (held_ || now < probe_at_) return admission::refuse;
    state_ = breaker_state::half_open;
    probing_ = false;
  }
  if (probing_) return admission::refuse;
  probing_ = true;
  return admission::probe;
}

void breaker::answered(admission as) {
  if (state_ == breaker_state::closed) {
    failures_ = 0;
  } else if (as == admission::probe && state_ == breaker_state::half_open) {
    close();
  }
}

void breaker::unanswered(admission as, instant now) {
  if (state_ == breaker_state::closed) {
    if (policy_.failures_max != 0 && ++failures_ >= policy_.failures_max) trip(now);
  } else if (as == admission::probe && state_ == breaker_state::half_open) {
    const auto longer = std::chrono::duration<double, std::nano>(open_for_) * policy_.growth;
    const auto most = std::chrono::duration<double, std::nano>(policy_.open_max);
    open_for_ = std::chrono::duration_cast<std::chrono::nanoseconds>(std::min(longer, most));
    trip(now);
  }
}

void breaker::dropped(admission as) {
  if (as == admission::probe && state_ == breaker_state::half_open) probing_ = false;
}

void breaker::renewed() {
  if (state_ == breaker_state::closed) failures_ = 0;
  if (state_ == breaker_state::closed || held_) return;
  state_ = breaker_state::half_open;
  probing_ = false;
}

void breaker::hold_open() {
  state_ = breaker_state::open;
  held_ = true;
}

void breaker::close() {
  state_ = breaker_state::closed;
  failures_ = 0;
  open_for_ = policy_.open;
  probing_ = false;
  held_ = false;
}

void breaker::trip(instant now) {
  state_ = breaker_state::open;
  failures_ = 0;
  probing_ = false;
  probe_at_ = now + open_for_;
}

breaker_state breaker::state(instant now) const {
  const bool due = state_ == breaker_state::open && !held_ && now >= probe_at_;
  return due ? breaker_state::half_open : state_;
}

std::chrono::nanoseconds breaker::open_left(instant now) const {
  return state(now) == breaker_state::open && !held_ ? probe_at_ - now
                                                     : std::chrono::nanoseconds{0};
}

}  // namespace bulkhead
