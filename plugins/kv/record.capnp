@0xc4a1d6f08b3e7721;
# How kv keeps its secrets in the view of its mount. Not part of any contract: only kv reads it.
#
# Keys of the view, where PATH is the secret's path and N a version number in decimal:
#   c           Config
#   m/PATH      Key: which versions there are
#   v/PATH@N    Secret: the data of one version
# Everything that changes a secret changes its m/ key in the same transaction, on the condition that nobody else did.

using Cxx = import "/capnp/c++.capnp";
using Plugin = import "/schema/plugin.capnp";
$Cxx.namespace("bulkhead::kv::stored");

struct Config {
  maxVersions @0 :UInt32;  # 0: the mount's option.
  casRequired @1 :Bool;
}

struct Key {
  current @0 :UInt64;      # The newest version; 0 before the first.
  createdMs @1 :Int64;
  updatedMs @2 :Int64;
  maxVersions @3 :UInt32;  # 0: the configuration's.
  casRequired @4 :Bool;
  custom @5 :List(Plugin.Option);
  versions @6 :List(Version);  # Those kept, oldest first.
}

struct Version {
  number @0 :UInt64;
  createdMs @1 :Int64;
  deletedMs @2 :Int64;     # 0: not deleted.
  destroyed @3 :Bool;      # Its v/ key is gone for good.
}

struct Secret {
  fields @0 :List(Plugin.Field);
}
