// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the broker knows of one mount, shared by the mount's actor, the routes and the servers that
// clients hold. It outlives the actor, so that a restart of the actor keeps the slot. Threads: the
// reactor's only. Who writes what:
//   the record              the core, when the store has taken it over: what is here is durable
//                           (before the mount is acknowledged: what is to be stored)
//   slot                    switched by the mount's actor, until `closed`
//   log                     appended to by the mount's instances and the actor
//   face                    replaced by the mount's actor when an instance is ready
//   crashes, generations    the mount's actor
//   version_running         the mount's actor; spec.kind too, when nobody had said it
//   samples                 the usage desk (broker/usage_desk.hpp)
//
// Whoever remembers a mount across a turn of the loop keeps the entry, not the path: a mount can
// be moved.

#include <capnp/message.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "broker/catalog/release.hpp"
#include "broker/crash_report.hpp"
#include "broker/mount_log.hpp"
#include "broker/mount_record.hpp"
#include "broker/slot.hpp"
#include "broker/store/async_store.hpp"
#include "broker/turns.hpp"
#include "broker/usage.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

inline constexpr std::size_t crash_reports_kept = 10;

/// How many generations a mount takes from the store at once, and how few may be left before it
/// takes more.
inline constexpr std::uint64_t generation_block = 100;
inline constexpr std::uint64_t generation_low_mark = 20;

/// What the newest ready instance told of itself.
struct plugin_face {
  std::string name;
  std::string version;
  std::shared_ptr<capnp::MallocMessageBuilder> info;  // a schema::PluginInfo

  schema::PluginInfo::Reader reader() const {
    return info->getRoot<schema::PluginInfo>().asReader();
  }
};

/// What an instance was started from.
struct release_run {
  std::shared_ptr<const release> of;
  bool set_aside = false;  // it only finishes its calls: no deregistration waits for that
};

/// The instance that takes the calls, for those who watch what it uses.
struct serving_instance {
  std::uint64_t id = 0;  // of all instances of the broker; 0: none serves
  std::uint64_t generation = 0;
  std::uint32_t pid = 0;
  std::shared_ptr<const bring_up> protocol{};  // for the counters of its link
};

struct mount_entry : mount_record {
  bool closed = false;       // being removed: the core has told the slot to refuse for good
  bool acknowledged = true;  // false until mount() has answered: a failed start is not repeated
  std::uint64_t generations_used = 0;
  turns writes;                   // of the record: one at a time, so that none undoes another
  turns storage_work;             // on the view and its snapshot as a whole
  bool ran_unregistered = false;  // what ran last was a file that nobody registered
  bool take_wanted = false;  // the next start takes what its name means now, not what ran before
  kj::Own<bulkhead::slot> slot;
  std::shared_ptr<async_store> storage;  // its share of the store
  std::shared_ptr<mount_log> log;
  std::shared_ptr<plugin_face> face;  // null before the first hello
  std::deque<crash_report> crashes;   // newest last
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_for_face;
  /// By generation, until they have ended; the mount's actor says so.
  std::map<std::uint64_t, release_run> runs;
  /// Resolves when no instance but the newest lives; set by the mount's actor.
  std::function<kj::Promise<void>()> become_alone;
  serving_instance serving;                   // the mount's actor says so
  std::uint64_t out_of_memory_ends = 0;       // of instances, since the broker started; likewise
  std::shared_ptr<const release> serving_of;  // its release, or of who served last; may be null
  std::deque<usage_sample> samples;           // newest last. The usage desk
  std::string passed;                         // the threshold that the newest samples are above
  std::function<void(const passed_threshold&)> pass;  // tells the mount's actor, which sets it
  std::function<void()> wake;  // starts the mount when it sleeps; set by the mount's actor
};

}  // namespace bulkhead
