// SPDX-License-Identifier: Apache-2.0
// The other side of the attacks: a process that has what they look for, and a parent.
#pragma once

namespace hostile {

/// Makes in `directory`, where the runner has put a file `canary`, all that an attack can reach: a
/// secret in memory, an open file, listening sockets, a segment, a queue and a key. Says on stdout
/// what they are, as the NAME=VALUE words of an attack, a line; then lives until its stdin ends,
/// and takes down what would outlive it. The exit status tells what failed.
int serve_as_victim(const char* directory);

/// Where serve_as_parent() tells how its child ended: the two numbers of siginfo_t, as they are in
/// memory.
inline constexpr int end_descriptor = 9;

/// Executes `words` in a child, which cannot outlive it, waits for its end and tells it. So that an
/// attack has a parent of its own user, as a plugin has its init.
int serve_as_parent(char** words);

}  // namespace hostile
