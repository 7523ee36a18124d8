// SPDX-License-Identifier: Apache-2.0
#pragma once

// The Host of schema/plugin.capnp: what the broker lends to one instance of one mount.

#include "broker/revocable_store.hpp"
#include "broker/services.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

/// `of` is the release that the instance runs; null: a file that nobody registered. `services`
/// outlives the capability's last call: the links of instances end before the broker's
/// parts.
schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, const release* of);
/// The same on storage that the caller can end before the capability goes.
schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, const release* of,
                               std::shared_ptr<revocable_store> storage);

}  // namespace bulkhead
