@0xb5c9f2e07d4a4e11;
# What a client of the broker sees. This file is its manual.
#
# A client connects to the broker's socket, takes the bootstrap capability (`Gateway`), logs in, asks its session for mounts, and
# calls them. All of it pipelines: login, mount, and the first call can travel in one round trip.
#
# Limits: frames of at most `frame_bytes_max`; per connection `client_sessions_max` sessions. Errors as in error.capnp.
# Every call ends exactly once. One that the broker cannot finish ends with a documented kind: `pluginUnavailable` when the mount was
# not ready within `slot_wait_ms_max`, `deadlineExceeded` after `call_ms_max`, `pluginCrashed` when its instance died, `unmounted` when
# the mount was removed, `overloaded` when the mount's queue or its calls in flight are at their limit.

using Cxx = import "/capnp/c++.capnp";
using Schema = import "/capnp/schema.capnp";
using Plugin = import "plugin.capnp";
using Admin = import "admin.capnp";
$Cxx.namespace("bulkhead::schema");

interface Gateway @0xa0b8cf6d3d3d8f01 {
  # The bootstrap capability of the broker's socket. Since protocol 1.

  login @0 (credential :Credential) -> (session :Session);
  # Opens a session. On a unix socket the identity is that of the peer process, as the kernel tells it, and the credential `peer`
  # is enough. `permissionDenied` when the identity has no rights here; in protocol 1 only root and the broker's own user have any.

  version @1 () -> (version :Text, protocolMin :UInt16, protocolMax :UInt16);
  # Needs no login.
}

struct Credential {
  union {
    peer @0 :Void;   # What the operating system says of the other end of the socket.
    token @1 :Text;  # A bearer token. Refused with `unsupported` in protocol 1; named here so that its place is taken.
  }
}

interface Session @0xc1d2f0a4b7e64a02 {
  # What a client holds after login. Ends with its last reference or its connection. Since protocol 1.

  mount @0 (path :Text) -> (mount :Mount, rest :Text);
  # The mount that serves `path`, by longest prefix, and what is left of the path behind it. `notFound` when none does.
  # The capability stays good over crashes and restarts of the plugin; it fails with `unmounted` once the mount is removed.

  handle @1 (request :Plugin.Request) -> (response :Plugin.Response);
  # A request with an absolute path, as in "kv/data/app": routed by longest prefix. For many calls to one mount, `mount` and its
  # `backend` are cheaper: the broker need not read and rewrite each request.

  admin @2 () -> (admin :Admin.Admin);
  # The operator's interface. `permissionDenied` without the right.

  whoami @3 () -> (identity :Identity);
}

struct Identity {
  name @0 :Text;   # As in "uid:0".
  uid @1 :UInt32;
  pid @2 :UInt32;  # The process that connected; for logs only, it may be gone.
}

interface Mount @0xd9a4e5b2c6f34b03 {
  # A stable handle on a mount. Since protocol 1.

  backend @0 () -> (backend :Plugin.Backend);
  # The request-style interface; paths are relative to the mount. `unsupported` on a call when the plugin has none.

  typed @1 () -> (typed :Capability);
  # The plugin's own interface. Stable as the mount is; what its methods return dies with the instance that returned it.

  describe @2 () -> (path :Text, plugin :Text, version :Text, typedId :UInt64, schema :List(Schema.Node), paths :List(Plugin.PathSpec),
               options :List(Plugin.FieldSpec), optionsKnown :Bool);
  # What the current instance told of itself. Waits while the mount starts.
}
