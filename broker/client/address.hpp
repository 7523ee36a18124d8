// SPDX-License-Identifier: Apache-2.0
//
// Where a broker listens, as text: `unix:PATH`, or a bare path. Other schemes are refused by name,
// so that their place is taken. Connecting is a blocking `connect` on a unix socket, which the
// kernel answers at once: it fails when nobody listens, and when the listener's queue is full.
#pragma once

#include <kj/async-io.h>
#include <kj/function.h>

#include <string>
#include <string_view>

namespace bulkhead::remote {

/// Makes one connection. Throws kj::Exception in Bulkhead's shape when it cannot.
using connector = kj::Function<kj::Own<kj::AsyncCapabilityStream>()>;

/// The path in `unix:PATH` or in a bare path. Throws kj::Exception (invalidArgument) for any other
/// scheme, and for a path that is empty or longer than a socket's name may be (107 bytes).
std::string socket_path(std::string_view address);

/// A connector to the socket at `address`. `io` must outlive it.
connector unix_connector(kj::LowLevelAsyncIoProvider& io, std::string_view address);

}  // namespace bulkhead::remote
