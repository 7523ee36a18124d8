@0x9b7c1d0e5f3a2b46;
# What every path of the bench calls: the same bytes back.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::bench");

interface Echo @0xc3a5d7e9f1b20c64 {
  echo @0 (data :Data) -> (data :Data);
}
