// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what is declared and what is there to what is to be done. Pure.
//
// Rules
//   * What operators made is left alone: whether the file brought something is kept with it, and
//     is not concluded from its name. Where both want the same place the file does not win: that
//     is a problem, which is told.
//   * What the file brought is brought back to what it says, whoever changed it since; but a mount
//     that an operator moved stays where it is. That is a problem while the file lists it at its
//     old path; a file that lists it at its new path has it again.
//   * A registered version never changes, and a mount keeps its plugin and its group: a file that
//     says otherwise is a problem.
//   * The order is register, pin, mount, tune, unmount, unpin, deregister: what a mount needs is
//     there before it, and goes after it.
//   * A mount that is declared no more keeps its data, and runs on, unless `prune` says otherwise;
//     that is told (keep), and no problem. Nothing is pruned while another change has a problem:
//     what was to take its place may not be there.
//   * No text holds the value of an option.
// When nothing is to be done the plan holds only what is told, so what was applied without a
// problem is applied. Cost: the number of what is wanted and there, times its logarithm.

#include <string>
#include <vector>

#include "broker/broker.hpp"

namespace bulkhead {

struct actual_release {
  release_spec spec;
  bool declared = false;
  std::vector<std::string> users{};  // mounts that run it, or would with their next start
};

struct actual_pin {
  std::string kind;
  std::string name;
  std::string version;
  std::string declared{};  // what the file pinned; empty: it did not
};

struct actual_mount {
  mount_spec spec;
  bool declared = false;
  std::string problem{};  // when not empty: why nothing can be done to it
  std::string uuid{};
  std::string declared_path{};  // with `declared`: where the file had it; empty: where it is
};

/// What a broker holds.
struct actual_state {
  std::vector<actual_release> releases{};
  std::vector<actual_pin> pins{};
  std::vector<actual_mount> mounts{};
};

enum class config_action : std::uint8_t {
  register_release,
  pin,
  mount,
  tune,
  unmount,
  unpin,
  deregister,
  keep,  // this and the next are only told, never done
  configure,
};

/// As in config_change.
std::string to_string(config_action action);

struct config_step {
  config_action action = config_action::configure;
  config_change shown;
  release_spec release{};  // of register_release and deregister
  declared_pin pin{};      // of pin and unpin
  mount_spec mount{};      // of mount; of unmount the path alone
  tune_request tune{};
  std::string
      uuid{};  // of tune and unmount: the mount that is meant, whatever has its path by then
  bool adopt = false;  // of tune: the file lists the mount where an operator has moved it
};

/// What makes `is` what `wanted` says, in the order in which it is to be done. A step whose
/// `shown.problem` is not empty is not to be done.
std::vector<config_step> plan(const declared_state& wanted, const actual_state& is, bool prune);

}  // namespace bulkhead
