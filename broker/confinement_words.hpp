// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an operator says of confinement, as the embedding API speaks it: of a mount, of a release,
// or of all mounts. The words are those of schema/admin.capnp, Confinement; what they mean is in
// actors/confinement/confinement.hpp, what becomes of several of them in confinement_rules.hpp.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead {

class launcher_keeper;

struct named_number {
  std::string name;
  std::uint64_t value = 0;

  bool operator==(const named_number&) const = default;
};

struct confinement_rules {
  std::string profile{};               // "strict", ...; empty: not said here
  std::vector<std::string> waive{};    // walls that may be missing, as in "cg.cpu"
  std::vector<named_number> limits{};  // "memory", "tasks", ...; those that are not named: not said
  std::vector<std::string> grants{};   // "read-dir:/etc/ssl", "env:TZ=UTC", ...

  /// Zeroes the grants, whose variables may be secrets; so they are copied where others are moved.
  ~confinement_rules();
  bool operator==(const confinement_rules&) const = default;
};

/// Of the whole broker.
struct confinement_config {
  /// Where neither mount nor release says otherwise. An empty profile: strict for root, or with a
  /// keeper, and strict-unprivileged for anybody else.
  confinement_rules rules{};
  /// The program that starts plugins; empty: the one that belongs to this broker.
  std::string launcher{};
  /// Starts the launcher as root for a process that has given root up (actors/confinement/
  /// launcher_keeper.hpp); null: the broker starts it.
  std::shared_ptr<launcher_keeper> keeper{};
  /// Development, for sanitizers and debuggers: plugins are started with nothing between them and
  /// the machine but their user.
  bool unconfined = false;
};

}  // namespace bulkhead
