// SPDX-License-Identifier: Apache-2.0
#pragma once

// Typed calls for services that embed the broker: the part of the API that carries Cap'n Proto's
// own types.
//
//     auto sum = bulkhead::with_session(client, [](bulkhead::schema::Session::Client session) {
//       auto mount = session.mountRequest(); mount.setPath("calc/");
//       auto calc = mount.send().getMount().typedRequest().send().getTyped().castAs<Calculator>();
//       ...
//       return kj::Promise<void>(...);
//     });
//     sum.get();
//
// The function runs on the broker's thread, where the capabilities live; they must not leave it. It
// must not block. A service with a KJ loop of its own connects to the broker's socket instead
// (broker/client).

#include <kj/async.h>
#include <kj/function.h>

#include <future>

#include "broker/broker.hpp"
#include "schema/gateway.capnp.h"

namespace bulkhead {

/// Runs `work` with a session on the broker's thread. The future is ready when the promise that
/// `work` returns is done, or holds the `error` that it failed with. What the promise refers to
/// lives until then.
std::future<void> with_session(const client& caller,
                               kj::Function<kj::Promise<void>(schema::Session::Client)> work);

}  // namespace bulkhead
