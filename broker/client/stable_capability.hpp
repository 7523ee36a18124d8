// SPDX-License-Identifier: Apache-2.0
//
// A capability that looks up its target anew when the old one has gone stale.
//
// Cap'n Proto binds a capability to the connection that it came from: once that is lost, it fails
// for ever. A stable capability instead asks its `source` at every call, and the source answers the
// target of the present connection. A call that was under way when the connection went still fails,
// for nobody knows whether it took effect; the next one goes to the new target. It is never
// resolved to its target, so nothing shortens the way past it.
//
// Cost: one virtual call and one small allocation per call. One thread, that of the event loop.
#pragma once

#include <capnp/capability.h>
#include <kj/refcount.h>

namespace bulkhead::remote {

class capability_source : public kj::Refcounted {
 public:
  /// The target of calls made now. May return a broken capability; does not throw.
  virtual capnp::Capability::Client target() = 0;

  /// A call to the target failed so. The source may drop what it remembers.
  virtual void failed(const kj::Exception& failure) = 0;
};

/// A capability whose calls go to whatever `source` answers at the time. Shares ownership of it.
capnp::Capability::Client make_stable(kj::Own<capability_source> source);

}  // namespace bulkhead::remote
