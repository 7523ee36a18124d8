// SPDX-License-Identifier: Apache-2.0
//
// A client of the broker in another process: connect, log in, find mounts, call them.
//
// Everything it hands out is stable. A call that is under way when the connection is lost fails as
// disconnected, because nobody knows whether it took effect, and nothing is repeated. The next call
// on the same capability connects anew, logs in anew, and looks its mount up anew. The same holds
// for a mount that was unmounted and mounted again. What a plugin's methods return is not stable:
// it dies with its instance, or with the connection.
//
// Connecting happens in the first call that needs it, and all of login, mount and call travel in
// one round trip. There is no waiting and no retrying inside: a broker that cannot be reached fails
// the call at once, and the caller decides how often to try.
//
// Limits: frames as in schema/wire/wire_limits.hpp; one connection at a time; as many remembered
// mounts as paths were asked for. One thread, that of its event loop. Destroying the client ends
// the connection, and what it handed out fails from then on.
#pragma once

#include <capnp/capability.h>
#include <kj/async-io.h>

#include <string_view>

#include "broker/client/address.hpp"
#include "schema/gateway.capnp.h"
#include "schema/wire/connection.hpp"

namespace bulkhead::remote {

class client {
 public:
  /// `connect` is called for the first connection and after each loss.
  explicit client(connector connect, wire::connection_options options = {});

  ~client() noexcept(false);
  KJ_DISALLOW_COPY(client);

  /// Connects now if there is no connection. Throws kj::Exception when that fails.
  void connect();

  bool connected() const;

  /// How many connections were made so far.
  std::uint64_t connections() const;

  /// Done when the present connection is lost; at once when there is none.
  kj::Promise<void> on_disconnect();

  schema::Gateway::Client gateway();

  /// A session of this process's own user.
  schema::Session::Client session();

  /// The operator's interface.
  schema::Admin::Client admin();

  /// The mount that serves `path`, as Session.mount finds it. Calls fail with `notFound` when there
  /// is none, until there is one.
  schema::Mount::Client mount(std::string_view path);

  /// The request-style interface of that mount.
  schema::Backend::Client backend(std::string_view path);

  /// The plugin's own interface, as `Interface::Client`.
  template <typename Interface>
  typename Interface::Client typed(std::string_view path) {
    return typed_capability(path).castAs<Interface>();
  }
  capnp::Capability::Client typed_capability(std::string_view path);

 private:
  class core;
  kj::Own<core> core_;
};

}  // namespace bulkhead::remote
