// SPDX-License-Identifier: Apache-2.0
#pragma once

// A connection that the broker makes for the plugin, as a stream of KJ: whatever speaks over one
// (kj::HttpClient, a database's protocol, one's own) speaks over it.

#include <kj/async-io.h>

#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

/// Reads and writes of any size; the broker's pieces are not seen. Destroying it closes it.
kj::Own<kj::AsyncIoStream> make_stream(schema::Connection::Client connection);

}  // namespace bulkhead::sdk
