// SPDX-License-Identifier: Apache-2.0
#pragma once

// The server of schema/admin.capnp: translation between messages and the core, no decision of its
// own.

#include "broker/gateway.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

schema::Admin::Client make_admin(broker_core& core, const broker_facts& facts);

}  // namespace bulkhead
