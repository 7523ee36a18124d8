// SPDX-License-Identifier: Apache-2.0
// The other side of the attacks: a process that has what they look for.
#pragma once

namespace hostile {

/// Makes in `directory`, where the runner has put a file `canary`, all that an attack can reach: a
/// secret in memory, an open file, listening sockets, a segment, a queue and a key. Says on stdout
/// what they are, as the NAME=VALUE words of an attack, a line; then lives until its stdin ends,
/// and takes down what would outlive it. The exit status tells what failed.
int serve_as_victim(const char* directory);

}  // namespace hostile
