// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of a broker share: one object, made and owned by broker_thread, handed to each by
// reference. Threads: the reactor's.

#include <functional>
#include <memory>
#include <string>

#include "actors/clock.hpp"
#include "actors/protocols.hpp"
#include "actors/random.hpp"
#include "actors/reactor.hpp"
#include "broker/confinement_desk.hpp"
#include "broker/event_log.hpp"
#include "broker/limits.hpp"
#include "broker/mount_entry.hpp"
#include "broker/outbound_use.hpp"
#include "broker/store/async_store.hpp"

namespace bulkhead {

class asker;
class config_desk;
class release_catalog;
class trust_desk;
class usage_desk;

struct broker_services {
  broker_config config;
  broker_limits limits;
  bulkhead::reactor& reactor;
  monotonic_clock& clock;
  random_source& random;
  async_store& store;
  event_log events;
  spawner_actor spawner;

  /// Changes the mount's record in the store, and then the entry; `change` is called for both.
  /// Changes of one mount happen one after another. Fails, with nothing changed, with kind
  /// `storage`; with `not_found` when the record is gone.
  std::function<kj::Promise<void>(std::shared_ptr<mount_entry> entry,
                                  std::function<void(mount_record&)> change)>
      change_record;

  image_actor images{};
  sampler_actor sampler{};
  std::shared_ptr<load_gate> load = std::make_shared<load_gate>();
  missing_walls missing{};   // starts without a waived wall
  outbound_use outside{};    // what plugins reach through the broker
  std::uint64_t served = 0;  // instances that ever served: the newest one's serving_instance::id
  trust_desk* trust = nullptr;
  release_catalog* catalog = nullptr;
  asker* ask = nullptr;
  config_desk* declared = nullptr;
  usage_desk* usage = nullptr;  // null: nothing is sampled
};

}  // namespace bulkhead
