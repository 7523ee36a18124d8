// SPDX-License-Identifier: Apache-2.0
#pragma once

// From a mount to the bytes that its next instance runs.
//
//     the name ── which release (resolution.hpp) ── may it run (trust_desk.hpp) ── its bytes
//     (broker/images: sealed, hashed, by digest) ── what to spawn
//
// A crash upgrades nobody: a mount keeps to the release that it ran (mount_entry::version_running)
// until an operator starts it anew (mount_entry::take_wanted), or that release is gone; one whose
// record is damaged is not gone, and nothing is run in its place. Whether the
// release may run is asked at every start. What can be refused without waiting is refused in the
// same way as what takes a look at the disk: as the failure of the start, with its own words.
//
// In development mode a name that the catalog does not hold is a file of the plugin directory, and
// is run by its path, unchecked. The catalog wins over a file of the same name.

#include <kj/async.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/asker.hpp"
#include "broker/catalog/release.hpp"
#include "broker/images/image.hpp"
#include "broker/mount_entry.hpp"
#include "broker/services.hpp"

namespace bulkhead {

/// The image of a file of the plugin directory: from memory when its digest is known there. Fails
/// with the kind that fits the refusal; those that trying again can heal are `overloaded`.
kj::Promise<std::shared_ptr<const image>> ask_image(broker_services& services, asker& ask,
                                                    const std::string& command,
                                                    const std::optional<trust::digest>& expected);

process_spec process_of(const broker_services& services, const release& what, const image& program);

/// Whether a start of the release would be accepted at this moment: it is registered, and trusted.
bool may_run(const broker_services& services, const release& what);
/// Whether what was started from it may go on after a change of trust: it is unsigned, or somebody
/// who counts has signed it, as it is registered now, or, when it is not any more, as it was.
bool may_go_on(const broker_services& services, const std::shared_ptr<const release>& what);
/// Fails, in the words of the refusal, when it may not run.
void demand_trust(const broker_services& services, const release& what);

/// What an instance is to run. Null `of`, and no `prepare`: the unregistered file of that name.
struct release_choice {
  std::shared_ptr<const release> of;
  std::function<kj::Promise<process_spec>()> prepare;
};

/// What the next instance of the mount runs. `anew`: what its name means now. Never fails: what
/// cannot be run fails in `prepare`.
release_choice choose_release(broker_services& services, const mount_entry& entry, bool anew);

/// Fails, as its start would, when the mount could not run this release now: for its trust, its
/// bytes, or what it makes of the mount's options. Null is an unregistered file, of which that is
/// not known.
kj::Promise<void> demand_startable(broker_services& services, const mount_entry& entry,
                                   const std::shared_ptr<const release>& of);

bool keeps_to(const mount_entry& entry, const release& of);
/// Resolves when the record, and then the entry, says that the mount runs this release.
kj::Promise<void> write_release(broker_services& services,
                                const std::shared_ptr<mount_entry>& entry,
                                const std::shared_ptr<const release>& of);

/// The mount's release has started and runs from now on: the entry says so, and floors are raised.
void note_running(broker_services& services, mount_entry& entry,
                  const std::shared_ptr<const release>& of);

/// Checks that there is something to mount, and fills in its kind. Fails with not_found,
/// invalid_argument.
void check_plugin(broker_services& services, mount_spec& spec);

/// The same for a mount that is there and gets other options, or another version. A release that is
/// missing is no reason to refuse what does not ask for it.
void check_tuned(broker_services& services, mount_spec& spec, bool other_version);

/// Empty, or why a reload of the mount cannot bring it to this version.
std::string reload_problem(const broker_services& services, const mount_entry& entry,
                           const std::string& version);

/// What the catalog says of the mount. `runs`: an instance does, of release `of`.
void show_release(const broker_services& services, const mount_entry& entry, bool runs,
                  const std::shared_ptr<const release>& of, mount_status& status);

}  // namespace bulkhead
