@0x80ae6bdb791c308e;
# The contract between the broker and a plugin. This file is its manual.
#
# Life of a plugin
#   1. The broker starts the program with one socket at file descriptor 3 (also named by BULKHEAD_FD=3), stdin at end of file,
#      stdout and stderr as log lines, and an environment that holds nothing but BULKHEAD_FD, BULKHEAD_PROTOCOL and LANG.
#   2. The program serves `Plugin` as the bootstrap capability of a two-party Cap'n Proto connection on that descriptor. The plugin
#      is the SERVER side; the broker is the CLIENT side.
#   3. The broker calls `hello`, then `mount`. Both must be answered within the start limit (`start_ms_max`, 5 s by default), or the
#      instance is killed and the failure is named.
#   4. Calls arrive at the backend that `mount` returned, many at once. A plugin answers them in any order.
#   5. The broker calls `shutdown`, waits, sends SIGTERM, waits, sends SIGKILL to the process group.
#   6. End of file on descriptor 3 means that the broker is gone: exit at once.
#
# The link carries bytes, no descriptors. A confined plugin reads and writes it with read, readv, write and writev, and waits with poll
# or epoll: sendmsg and recvmsg end it. Cap'n Proto's TwoPartyClient and TwoPartyServer do that unless they are told to pass
# descriptors (interpreters may use send and recv too).
#
# What a plugin may need of Cap'n Proto: calls, capabilities as arguments and results, release. It need not pipeline, need not
# return a capability that it was given, and need not hold a promise open, unless its own typed interface does.
#
# Errors: a failed call carries one of Cap'n Proto's four exception types and a text. A plugin that ends its text with a line
# `detail: kind=not_found` (the kinds of error.capnp that are marked "plugin may use") tells the caller what happened in a form that
# programs can switch on. Any other text counts as kind `pluginError`. The broker truncates texts above `error_text_bytes_max`.
#
# Limits that the broker enforces on this connection are listed in BrokerInfo.limits; breaking one ends the instance with a named
# reason. Frames above `frame_bytes_max` are never read.

using Cxx = import "/capnp/c++.capnp";
using Schema = import "/capnp/schema.capnp";
$Cxx.namespace("bulkhead::schema");

const protocolMin :UInt16 = 1;
# The oldest protocol version that this file describes.
const protocolMax :UInt16 = 1;
# The newest protocol version that this file describes. It grows when a version adds what the other side must know about.

interface Plugin @0xe1029d9d4f02e60c {
  # The bootstrap capability of a plugin process. Since protocol 1.

  hello @0 (broker :BrokerInfo) -> (plugin :PluginInfo);
  # The first call on the connection; made once. Fails with UNIMPLEMENTED when `broker.protocolMin..Max` holds no version that the
  # plugin speaks. Must not block: do slow work in `mount`.

  mount @1 (mount :MountInfo, host :Host) -> (backend :Backend, typed :Capability);
  # Makes the plugin serve one mount. Called once per mount, after `hello`; by default a process serves one mount.
  # `host` is made for this mount alone and stays valid until `unmount` or the end of the connection.
  # `backend` is the request-style interface; null when the plugin has none.
  # `typed` is the plugin's own interface, any Cap'n Proto capability; null when it has none. One of the two must be there.
  # Fails with kind `invalidArgument` when an option is unknown or unusable; that failure is permanent until the mount changes.

  unmount @2 (uuid :Text);
  # The mount is going away; no call for it will follow. Flush and forget. Answer within `stop_ms_max`.

  invalidate @3 (uuid :Text, key :Text);
  # Somebody else changed `key` in the mount's view (a restore, another node): drop caches of it. An empty key means everything.

  ping @4 ();
  # Answer at once. Says that the event loop turns.

  shutdown @5 (graceMs :UInt32);
  # Finish what is in flight, then exit with status 0, within `graceMs` milliseconds. The answer may come before the exit.

  migrate @6 (mount :MountInfo, host :Host, from :UInt32) -> ();
  # Brings the mount's storage from version `from` to PluginInfo.storageVersion. Called after `hello` and before `mount`, when the
  # storage is older; no other instance of the mount lives, and the broker has a snapshot. When it fails, or the process dies, the
  # storage is put back and the start has failed: what was half done does not matter, and the next try begins with the old layout.
  # `host` is good until the answer: what is written later is not stored. Must answer within `migrate_ms_max`. An instance whose
  # answer the broker could not write down is ended, and the storage put back: migrations may be done more than once.
}

struct BrokerInfo {
  # What the broker says of itself. Since protocol 1.
  protocolMin @0 :UInt16;  # The oldest version the broker speaks on this link.
  protocolMax @1 :UInt16;  # The newest one.
  version @2 :Text;        # The broker's own version, for logs; never decide by it.
  limits @3 :LinkLimits;
}

struct LinkLimits {
  # What the broker accepts on this link. Since protocol 1.
  frameBytesMax @0 :UInt64;     # Largest frame in bytes, either way.
  callsInFlightMax @1 :UInt32;  # Most calls that the broker has open on the mount at once.
  logLineBytesMax @2 :UInt32;   # Longer lines are cut there, with a mark.
  errorTextBytesMax @3 :UInt32; # Longer error texts are cut there.
}

struct PluginInfo {
  # What a plugin says of itself. Since protocol 1. Names and texts above 256 bytes are refused.
  protocol @0 :UInt16;    # The version chosen: within the broker's range.
  name @1 :Text;          # The plugin's name: [a-z0-9][a-z0-9_-]*, at most 64 bytes.
  version @2 :Text;       # Semantic version, as in "1.4.2".
  kind @3 :PluginKind;
  features @4 :List(Text);
  # Optional abilities and needs by name; unknown names are ignored. At most 64 (`features_max`) of at most 64 bytes each
  # (`feature_bytes_max`), or the start fails. Defined in protocol 1:
  #   stop-first   two instances of one mount must not live at the same time: a reload stops the old one before it starts the new one
  schema @5 :List(Schema.Node);
  # The nodes of the typed interface and of all it refers to, so that a shell can call it by name. Empty when there is none.
  # At most 4096 nodes.
  typedId @6 :UInt64;     # The type id of the typed interface; 0 when there is none.
  paths @7 :List(PathSpec); # The paths that the backend serves; empty when there is no backend.
  storageVersion @8 :UInt32;
  # The layout of what the plugin stores, counted up by its author. The broker remembers it per mount: an older storage is migrated
  # first (`migrate`), a newer one is not handed to this plugin: its start fails until the mount is rolled back. A mount that has
  # nothing stored is not migrated. 0 for a plugin that does not count.
  options @9 :List(FieldSpec);
  # The mount options that it takes. When the list is there (empty: none), the broker refuses unknown, missing and ill-typed options
  # by name before `mount`, and, for a registered plugin, before it is started. A null list: the plugin checks for itself.
  # At most 64.
}

enum PluginKind {
  # What a plugin is for. Tools sort by it; protocol 1 treats all alike.
  generic @0;
  secrets @1;
  auth @2;
  database @3;
}

struct MountInfo {
  # One mount, as the plugin sees it. Since protocol 1.
  path @0 :Text;            # Where it is mounted, with a trailing slash, as in "kv/". For messages only: it can change.
  uuid @1 :Text;            # The identity of the mount; never changes, never repeats.
  generation @2 :UInt64;    # Counts the instances of this mount, from 1, and never repeats.
  options @3 :List(Option); # What the operator passed with --option; names are unique.
}

struct Option {
  name @0 :Text;
  value @1 :Text;
}

interface Host @0x8a0a5a2b66e4f8c8 {
  # What the broker lends to one mount. A plugin reaches nothing that is not here. Since protocol 1.

  view @0 () -> (view :View);
  # The mount's storage. The same view after every restart; gone when the mount is removed.

  log @1 (level :LogLevel, text :Text);
  # A line to the mount's log, or a few, with a level. Each is cut at `log_line_bytes_max` and rated; control characters are escaped. Of
  # a text longer than `said_lines_max` of the longest lines the rest is dropped.

  now @2 () -> (unixMs :Int64);
  # The broker's wall clock in milliseconds since 1970 (UTC).

  connect @3 (address :Text) -> (connection :Connection);
  # A connection to an address that an operator granted (`--grant net:HOST:PORT`), named exactly as in the grant. The broker resolves
  # the name and connects; the plugin itself has no network. Also for "unix:PATH", a stream socket of the broker's machine.
  # Operators may give and take grants while the plugin runs.
  # Errors: `permissionDenied` (not granted, or not any more), `overloaded` (the instance has `connections_max`; or the broker has so
  # many, of all mounts, that this one's share is used up: `broker_connections_max`, `broker_lookups_max`), `deadlineExceeded` (not there
  # within `connect_ms_max`), `failedPrecondition` (the other side, or the network, said no).
}

interface Connection @0xd5d0d7a2c9b1f3e6 {
  # A byte stream to the outside. Drop it to close it; it ends with its grant, and with the instance. Since protocol 1.
  #
  # Errors: `failedPrecondition` once the connection has failed, or when the direction was ended; `invalidArgument`.

  read @0 (bytesMax :UInt32) -> (bytes :Data);
  # Waits for bytes and answers what is there, at most `bytesMax` (0, or more than `connection_bytes_max`, 65536: that). Empty: the other side
  # has ended its direction. One read at a time.

  write @1 (bytes :Data) -> ();
  # At most `connection_bytes_max` bytes. Answered when the broker's kernel has taken them: who waits for the answer is held back as
  # the other side is. Writes happen in the order of their calls; `overloaded` when `connection_writes_max` wait. A write whose caller
  # has gone before the end fails the connection.

  end @2 () -> ();
  # After the writes before it: says to the other side that no more will come.
}

enum LogLevel { trace @0; debug @1; info @2; warn @3; error @4; }

interface View @0xe01ab249bc7f5339 {
  # Storage of one mount: a map from key to bytes, ordered by key (bytewise). Acknowledged means durable. Since protocol 1.
  #
  # A key is 1 to 1024 bytes of UTF-8 without NUL. A value is at most `view_value_bytes_max` (1 MiB). A key cannot name anything
  # outside the mount: there is no parent, and "../" is a key like any other.
  # Errors: `invalidArgument` (key or value out of bounds), `conflict` (compare failed), `storage` (the disk said no).

  get @0 (key :Text) -> (found :Bool, value :Data, revision :UInt64);
  # `revision` is that of the last change of this key; 0 when it is not there.

  put @1 (key :Text, value :Data, expect :Expect) -> (revision :UInt64);
  # Stores the value if `expect` holds; `conflict` otherwise, and nothing changes.

  delete @2 (key :Text, expect :Expect) -> (existed :Bool);
  # Removes the key if `expect` holds. Removing a key that is not there is no error.

  list @3 (prefix :Text, after :Text, limit :UInt32) -> (keys :List(Text), more :Bool);
  # Keys that begin with `prefix` and sort after `after` (empty: from the start), in order, at most `limit` (0: the most that the
  # broker allows in a page, 1000). For the next page pass the last key as `after`.

  transact @4 (changes :List(Change)) -> (revision :UInt64);
  # All changes or none. At most 128. Every `expect` is checked before anything changes.
}

struct Expect {
  # The condition of a compare-and-set.
  union {
    anything @0 :Void;     # No condition.
    absent @1 :Void;       # The key must not be there.
    revision @2 :UInt64;   # The key's last change must be this revision.
  }
}

struct Change {
  key @0 :Text;
  expect @1 :Expect;
  union {
    put @2 :Data;
    delete @3 :Void;
    check @4 :Void;        # Changes nothing; only `expect` counts.
  }
}

# ------------------------------------------------------------------------------------------------------------------------------
# Request style: operations on paths, with named values in and out.

interface Backend @0xf65cd8b89c10f0c1 {
  # The request-style interface: what `bulkhead read`, `write`, `list` and `delete` call. Since protocol 1.
  handle @0 (request :Request) -> (response :Response);
  # Serves one request. Errors a plugin may use: `invalidArgument`, `notFound`, `alreadyExists`, `permissionDenied`, `conflict`,
  # `failedPrecondition`, `unsupported`, `overloaded`, `pluginError`.
}

enum Operation { read @0; write @1; list @2; delete @3; help @4; }
# `read`, `list` and `help` change nothing and may be repeated. `write` creates or updates.

struct Request {
  operation @0 :Operation;
  path @1 :Text;            # Relative to the mount, without a leading slash, as in "data/app". At most 1024 bytes.
  fields @2 :List(Field);   # Named values; names are unique; at most 256.
}

struct Response {
  fields @0 :List(Field);   # What was asked for. Empty after a plain write or delete.
  keys @1 :List(Text);      # The answer to `list`; a key that ends in "/" is a folder.
  warnings @2 :List(Text);  # For people: it worked, but.
  help @3 :Text;            # The answer to `help`.
}

struct Field {
  name @0 :Text;
  value @1 :Value;
}

struct Value {
  # A value of a request or response. Maps onto JSON: `null`, `text`, `bool`, numbers, `list`, `map`; `data` as base64 text.
  union {
    null @0 :Void;
    text @1 :Text;
    bool @2 :Bool;
    int @3 :Int64;
    float @4 :Float64;
    data @5 :Data;
    list @6 :List(Value);
    map @7 :List(Field);
  }
  secret @8 :Bool;
  # The value is a secret: a table may show it because somebody asked to read it, but nothing logs it.
}

struct PathSpec {
  # What a backend serves at one path: for help, completion and validation. Since protocol 1.
  pattern @0 :Text;         # As in "data/{path*}" or "metadata/{path}": {x} is one segment, {x*} the rest.
  summary @1 :Text;         # One sentence.
  operations @2 :List(OperationSpec);
}

struct OperationSpec {
  operation @0 :Operation;
  summary @1 :Text;
  fields @2 :List(FieldSpec);
}

struct FieldSpec {
  name @0 :Text;
  type @1 :FieldType;
  summary @2 :Text;
  required @3 :Bool;
  secret @4 :Bool;
  default @5 :Value;        # `null` when there is none.
}

enum FieldType { text @0; bool @1; int @2; float @3; data @4; list @5; map @6; durationMs @7; any @8; }
