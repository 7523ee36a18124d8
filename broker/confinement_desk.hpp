// SPDX-License-Identifier: Apache-2.0
#pragma once

// Confinement as the running broker has it: what the next start of a mount is given, and how often
// a wall that was waived was missing. Threads: the reactor's.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actors/confinement/confinement.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

struct broker_services;
struct confinement_rules;
struct manifest_times;
struct mount_record;
struct mount_snapshot;
struct named_number;
struct release;

/// Starts without a waived wall, by wall.
class missing_walls {
 public:
  void count(wall which) { ++counts_.at(index_of(which)); }
  std::uint64_t of(wall which) const { return counts_.at(index_of(which)); }

 private:
  std::array<std::uint64_t, wall_count> counts_{};
};

/// What a start of the mount, or without one of the release itself, is given. Null: unconfined,
/// which is the broker's development setting. Fails as effective_confinement().
std::shared_ptr<const confinement> confinement_of(const broker_services& services,
                                                  const release* of, const mount_record* mount);

/// The same for a mount whose release is to be looked up: what its name means now.
std::shared_ptr<const confinement> next_confinement(const broker_services& services,
                                                    const mount_record& mount);

/// What the release's manifest says of times; nothing without one.
manifest_times times_of(const release* of);

/// Where an instance of the mount may have the broker connect to.
std::vector<std::string> addresses_of(const broker_services& services, const release* of,
                                      const mount_record& mount);

confinement_rules read_confinement(schema::Confinement::Reader from);
void write_confinement(const confinement_rules& from, schema::Confinement::Builder to);
std::vector<named_number> read_numbers(capnp::List<schema::NamedNumber>::Reader from);
void write_numbers(const std::vector<named_number>& from,
                   capnp::List<schema::NamedNumber>::Builder to);

/// All there is to say of the mount's confinement.
void write_confinement_status(const broker_services& services, const mount_record& mount,
                              const mount_snapshot& now, schema::ConfinementStatus::Builder to);

/// The walls of a report, item by item.
void write_walls(const confinement_report& from, capnp::List<schema::Wall>::Builder to);

}  // namespace bulkhead
