@0x8f2f5d0f4bb3c7d1;
# What the broker keeps in its store. Private to the broker: read it with the broker's own tools.
#
# Keys
#   mounts/<path>          MountRecord, as an unpacked Cap'n Proto message in standard framing
#   view/<uuid>/<key>      the views of mounts; the value is the plugin's
#
# A field is never removed or given another meaning; a record that a newer broker wrote can be read by an older one as far as it
# knows the fields.

using Cxx = import "/capnp/c++.capnp";
using Admin = import "admin.capnp";
$Cxx.namespace("bulkhead::schema");

struct MountRecord {
  spec @0 :Admin.MountSpec;
  uuid @1 :Text;
  accessor @2 :Text;
  generationsReserved @3 :UInt64;
  # No instance of this mount has had a generation above this number. The broker takes generations in blocks, so that a restart of a
  # plugin writes nothing, and after a restart of the broker goes on above the block: generations never repeat.
  createdUnixMs @4 :Int64;
}
