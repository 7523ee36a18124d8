// SPDX-License-Identifier: Apache-2.0
//
// What the bench's own processes do: the servers and middlemen of the baselines. All of them end
// with their sockets. The Cap'n Proto ones of the baselines use libcapnp's own streams, as an
// application that had no broker would.
#pragma once

#include <string>

namespace bulkhead::bench {

/// Runs a role on descriptors 3 (towards the client) and 4 (towards the server):
///   raw-echo   bytes back, by read(2) and write(2)
///   relay      bytes between 3 and 4, by poll(2)
///   rpc-echo   serves Echo
///   rpc-proxy  serves on 3 the bootstrap capability that it has from 4
///   link-echo, link-proxy   the same on Bulkhead's streams
/// The value is the exit status.
int run_role(const std::string& role);

}  // namespace bulkhead::bench
