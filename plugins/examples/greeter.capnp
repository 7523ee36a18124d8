@0xe2b74f0d91c6a358;
# The interface of the example plugin `greeter`.

using Cxx = import "/capnp/c++.capnp";
using Bulkhead = import "/schema/annotations.capnp";
$Cxx.namespace("greeter");

interface Greeter @0xf8d3a1c56e097b24 {
  greet @0 (name :Text) -> (greeting :Text) $Bulkhead.idempotent $Bulkhead.help("A greeting for somebody.");

  remember @1 (name :Text) -> (person :Person) $Bulkhead.help("Somebody who is greeted by name from now on.");
}

interface Person @0xc9e20b7f4d5a8163 {
  # Lives as long as it is held, and counts.
  greet @0 () -> (greeting :Text, times :UInt32);
}
