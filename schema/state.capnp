@0x8f2f5d0f4bb3c7d1;
# What the broker keeps in its store. Private to the broker: read it with the broker's own tools.
#
# Keys
#   mounts/<path>          MountRecord, as an unpacked Cap'n Proto message in standard framing, like all records here
#   catalog/<kind>/<name>/<version>   ReleaseRecord
#   pins/<kind>/<name>     the version, as text
#   declared/pins/<kind>/<name>   the version that the configuration file pinned, as text; kept while there is a pin
#   trust/keys/<id>        TrustedKey
#   trust/policy/<kind>    SignaturePolicy, as text
#   trust/floors/<kind>/<name>/<signers>   the security version, as decimal text
#   snapshot/<uuid>/<key>  the view as it was before the last migration
#   view/<uuid>/<key>      the views of mounts; the value is the plugin's
#   state/key-check        of an encrypted state: which keys it needs, sealed; see broker/store/key_check.hpp. The values of
#                          snapshot/ and view/ are sealed then (broker/store/value_seal.hpp)
#   state/restored         of a state that was put back from a backup: generations of mounts go on above this number, in decimal
#
# A field is never removed or given another meaning; a record that a newer broker wrote can be read by an older one as far as it
# knows the fields.

using Cxx = import "/capnp/c++.capnp";
using Admin = import "admin.capnp";
using Plugin = import "plugin.capnp";
$Cxx.namespace("bulkhead::schema");

struct MountRecord {
  spec @0 :Admin.MountSpec;
  uuid @1 :Text;
  accessor @2 :Text;
  generationsReserved @3 :UInt64;
  # No instance of this mount has had a generation above this number. The broker takes generations in blocks, so that a restart of a
  # plugin writes nothing, and after a restart of the broker goes on above the block: generations never repeat.
  createdUnixMs @4 :Int64;
  removing @5 :Bool;
  # The mount is being removed: nothing starts it, and whoever reads this goes on with the removal.
  versionRunning @6 :Text;
  # The release that instances of this mount run, until a reload, a restart by an operator, or the loss of that release: a crash
  # upgrades nobody. Empty before the first start, and for unregistered files.
  storageVersion @7 :UInt32;
  snapshot @8 :Snapshot;       # Null: none.
  declared @9 :Bool;           # The configuration file brought it.
  declaredPath @10 :Text;      # ... for this path; an operator may have moved it since. Empty: for the path that it has.
}

struct Snapshot {
  # The view before a migration, below snapshot/<uuid>/.
  storageVersion @0 :UInt32;
  version @1 :Text;            # The release that wrote it.
  takenUnixMs @2 :Int64;
  state @3 :State;
  enum State {
    copying @0;                # Not whole: worth nothing, to be removed.
    migrating @1;              # Whole; the view is being changed: to be put back when the migration did not end.
    kept @2;                   # The migration is done; for `rollback`.
    restoring @3;              # The view is being put back.
  }
}

struct ReleaseRecord {
  spec @0 :Admin.ReleaseSpec;  # With nothing left empty.
  sizeBytes @1 :UInt64;
  manifest @2 :Data;           # As signed; empty without one.
  signatures @3 :Data;
  registeredUnixMs @4 :Int64;
  declared @5 :Bool;
  link @6 :Text;
  storageVersion @7 :UInt32;   # What it said at registration.
  options @8 :List(Plugin.FieldSpec);
  optionsKnown @9 :Bool;
}
