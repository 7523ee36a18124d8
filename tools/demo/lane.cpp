// SPDX-License-Identifier: Apache-2.0

#include "tools/demo/lane.hpp"

#include <algorithm>

namespace bulkhead::demo {

namespace {

std::uint64_t microseconds_since(kj::TimePoint start) {
  return static_cast<std::uint64_t>((kj::systemPreciseMonotonicClock().now() - start) /
                                    kj::MICROSECONDS);
}

}  // namespace

lane::lane(kj::Timer& timer, kj::Duration interval, call make)
    : timer_(timer),
      interval_(interval),
      make_(std::move(make)),
      next_(timer.now()),
      tasks_(static_cast<kj::TaskSet::ErrorHandler&>(*this)) {}

// The outcome of each call is in the report already.
void lane::taskFailed(kj::Exception&&) {}

void lane::start() {
  next_ = timer_.now();
  tasks_.add(tick());
}

kj::Promise<void> lane::stop() {
  stopped_ = true;
  return tasks_.onEmpty();
}

void lane::burst(std::uint64_t count) {
  for (; count > 0; --count) tasks_.add(issue(make_));
}

kj::Promise<void> lane::tick() {
  if (stopped_) return kj::READY_NOW;
  if (in_flight_ < in_flight_max) {
    tasks_.add(issue(make_));
  } else {
    ++report_.withheld;
  }
  next_ += interval_;
  return timer_.atTime(next_).then([this] { return tick(); });
}

kj::Promise<void> lane::issue(const call& make) {
  const auto start = kj::systemPreciseMonotonicClock().now();
  ++in_flight_;
  return make(report_.calls++)
      .then(
          [this, start] {
            --in_flight_;
            ++report_.served;
            report_.slowest_us = std::max(report_.slowest_us, microseconds_since(start));
          },
          [this](kj::Exception&& exception) {
            --in_flight_;
            auto told = wire::parse_error(exception);
            if (told.kind == schema::ErrorKind::PLUGIN_CRASHED) {
              if (report_.crashed++ == 0) report_.first_crash = std::move(told);
            } else {
              if (report_.failed++ == 0) report_.first_failure = std::move(told);
            }
            kj::throwFatalException(kj::mv(exception));
          });
}

kj::Promise<void> lane::until_served(call make) {
  auto first = issue(make);
  return first.catch_(
      [this, make = std::move(make)](kj::Exception&& exception) -> kj::Promise<void> {
        if (wire::parse_error(exception).kind != schema::ErrorKind::PLUGIN_CRASHED)
          return kj::mv(exception);
        return until_served(make);
      });
}

}  // namespace bulkhead::demo
