// SPDX-License-Identifier: Apache-2.0
#pragma once

// The broker's transitions, numbered. The newest `events_kept` stay; who follows along asks for
// what came after a number and can so resume, and sees by a gap in the numbers that it was too
// slow. Threads: the reactor's only.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "actors/numbered_ring.hpp"
#include "broker/broker.hpp"

namespace bulkhead {

inline constexpr std::size_t events_kept = 10'000;

class event_log {
 public:
  using observer = std::function<void(const broker_event&)>;

  /// Numbers, dates and keeps an event, and tells it to the observers.
  void record(std::string mount, std::uint64_t generation, std::string name, std::string reason);

  /// Events with a number above `after`, oldest first, at most `limit`.
  std::vector<broker_event> after(std::uint64_t after, std::size_t limit) const;

  std::uint64_t observe(observer callback);
  void forget(std::uint64_t id) { observers_.erase(id); }

 private:
  numbered_ring<broker_event> events_{events_kept};
  std::map<std::uint64_t, observer> observers_;
  std::uint64_t next_observer_ = 1;
};

/// Milliseconds since 1970, UTC.
std::int64_t unix_ms_now();

}  // namespace bulkhead
