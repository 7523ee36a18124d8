// SPDX-License-Identifier: Apache-2.0
#pragma once

// Asks a program who it is: a real start of it, up to the answer to hello, and then its end. It is
// mounted nowhere, gets no options and no host, and keeps nothing.
//
// The start is an instance like any other (actors/instance.hpp): the same spawner, the same limits
// of time and size, and one death. What a program does that hangs, floods or breaks the protocol is
// therefore what it would do at a mount, and costs nobody else anything.
//
// Failures: start_failed, with its last log line. The program is killed as soon as it has answered.

#include <kj/async.h>

#include <memory>

#include "actors/spawner.hpp"
#include "broker/mount_entry.hpp"
#include "broker/services.hpp"

namespace bulkhead {

/// Resolves when the program has said hello, well enough for any mount, and has ended. `services`
/// outlives it. Dropping the promise leaves the probe to its own end, which the start limit bounds.
kj::Promise<std::shared_ptr<plugin_face>> probe_hello(broker_services& services,
                                                      process_spec program);

}  // namespace bulkhead
