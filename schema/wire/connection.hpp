// SPDX-License-Identifier: Apache-2.0
//
// One two-party Cap'n Proto connection: socket, link_stream, network and RPC system, made and
// destroyed together in the order that they need. Broker links, the gateway, the SDK and clients
// all use it, so the guard is under every one of them.
//
// The traversal limit is set far above the frame limit: 0.9.2 counts a forwarded message twice and
// a reader may visit parts more than once, and the size is bounded by the guard already.
//
// One thread. Destroying it ends the connection; capabilities that came from it fail then. Calls
// that the other side has in flight here are cancelled.
#pragma once

#include <capnp/capability.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "schema/wire/link_stream.hpp"

namespace bulkhead::wire {

struct connection_options {
  stream_limits limits;
  kj::Maybe<kj::Timer&> timer;  ///< needed for the limits that are times
  /// Most words of calls of the peer that are open at once; above, nothing is read. 0: no limit.
  std::uint64_t flow_words_max = 0;
  /// What the peer may make this side keep; without it there is no such limit. Its rate needs the
  /// timer.
  kj::Maybe<budget_limits> budget;
};

class connection {
 public:
  using side = capnp::rpc::twoparty::Side;

  /// `bootstrap` is what the other side gets; without one it gets nothing. Exactly one of the two
  /// sides must be CLIENT. A CLIENT reads nothing before `bootstrap()` is called.
  connection(kj::Own<kj::AsyncCapabilityStream> stream, side which,
             kj::Maybe<capnp::Capability::Client> bootstrap, connection_options options = {});

  /// A stream that cannot pass descriptors.
  connection(kj::Own<kj::AsyncIoStream> stream, side which,
             kj::Maybe<capnp::Capability::Client> bootstrap, connection_options options = {});

  ~connection() noexcept(false);
  KJ_DISALLOW_COPY(connection);

  /// The other side's bootstrap capability. May be called before it is up.
  capnp::Capability::Client bootstrap();

  /// Done when the connection has ended, whoever ended it. Never fails.
  kj::Promise<void> on_disconnect();

  /// See link_stream::on_close. The exception reaches every call in flight and every capability of
  /// the connection as type DISCONNECTED with exactly that text.
  void on_close(link_stream::close_reason_function why);

  /// Ends the connection: everything on it fails with `reason`'s text.
  void close(kj::Exception reason);

  /// What ended the connection, also when the RPC system did; nothing while it is up.
  kj::Maybe<const kj::Exception&> close_reason() const;

  const stream_meter& meter() const;

  /// Nothing when fewer than `bytes` wait to be written to the peer, or the connection has ended;
  /// else what is done, or fails, when that is so.
  kj::Maybe<kj::Promise<void>> unread_obstacle(std::size_t bytes);

  /// What the peer makes this side keep, when that is counted.
  kj::Maybe<const link_budget&> budget() const;

 private:
  struct parts;
  kj::Own<parts> parts_;
};

}  // namespace bulkhead::wire
