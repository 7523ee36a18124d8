// SPDX-License-Identifier: Apache-2.0
#pragma once

// Samples what the instances of all mounts use, every `sample_ms`: one request to the sampler's
// thread (actors/sampler_worker.hpp) for all of them, whose answer becomes the newest entry of each
// mount's ring. What passes a threshold of the mount is an event, or is handed to the mount's
// actor.
//
// The reactor's part is a walk over the mounts that have a process, and no system call. A round
// that is late holds up the next one, so rounds never pile up.
//
// The broker's own memory is looked at by the way: above `memory_soft_bytes_max` the gate of all
// slots closes (load_gate), and opens again at nine tenths of it.
//
// Threads: the reactor's. Bytes and calls are the slot's and the link's counters, which the broker
// counts anyway.

#include <kj/async.h>
#include <kj/timer.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

#include "actors/asker.hpp"
#include "actors/sampler_worker.hpp"
#include "broker/services.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

class broker_core;

/// Every so many rounds the share of memory (PSS) is read too.
inline constexpr unsigned pss_rounds = 10;

class usage_desk {
 public:
  /// All outlive it; begins with begin().
  usage_desk(broker_services& services, asker& ask, broker_core& core)
      : services_(services), ask_(ask), core_(core) {}

  void begin();
  void end() { rounds_ = nullptr; }

  /// One round, for tests too.
  kj::Promise<void> round();

  /// How long the last round kept the sampler.
  std::chrono::nanoseconds last_took() const { return took_; }

 private:
  struct asked_of {
    std::weak_ptr<mount_entry> entry;
    std::uint64_t generation = 0;
  };
  using asked = std::map<std::uint64_t, asked_of>;

  kj::Promise<void> go_on();
  void mind_memory(std::uint64_t own_bytes);
  void take(const asked& whom, const sample_answer& answer);
  void keep(mount_entry& entry, std::uint64_t generation, const process_sample& sample);

  broker_services& services_;
  asker& ask_;
  broker_core& core_;
  unsigned count_ = 0;
  std::chrono::nanoseconds took_{0};
  kj::Promise<void> rounds_ = nullptr;
};

void write_usage(const usage_sample& from, schema::Usage::Builder to);

}  // namespace bulkhead
