// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process that is a broker, and nothing else, does for its own sake at its start. A service
// that embeds a broker has reasons of its own, and is left alone.
//
// Secrets in its memory. What keeps others from reading them is this: no process of its user may
// trace or read it, and it leaves no core. Besides, in a service too:
//     kept out of swap and core files, and zeroed    the keys of the state, in a page of their own
//     zeroed when they are let go                    keys derived from them, text of key files and
//                                                    signing keys; a value that a plugin stores,
//                                                    once it is written; one that it reads, once it
//                                                    is in its answer; options of a mount and
//                                                    granted variables, in each copy: the mount's
//                                                    own, an instance's, a tuning's, records of the
//                                                    store, the order to the launcher and what that
//                                                    has of it once the program runs
//     zeroed by bulkheadd's heap when it is freed    all else (tools/bulkheadd/zeroing_heap.cpp):
//                                                    messages, rows, the text of a configuration
//                                                    file; in a service, that is not zeroed
//     held as long as the mount                      its options and granted variables, in plain
//     held until it is used again                    buffers of connections that are up; pages in
//                                                    SQLite's cache, where no state key encrypts
//                                                    the values; short texts within objects that
//                                                    were moved from; stacks
// So a little of what was stored may be found in the broker's memory for a while, by who can read
// that all the same: root, a debugger of the kernel, a machine's image, swap. Against the last,
// encrypt it; `bulkhead doctor` says whether there is any.

#include <cstdint>
#include <string>

namespace bulkhead {

struct protection {
  bool unreadable = true;            // no other process of its user may read or trace it; no cores
  std::uint64_t memory_bytes_max{};  // of data, by the kernel; 0: none. Beyond it the process fails
};

/// Also raises the number of descriptors that it may have to what the system allows. What does not
/// succeed is left: `bulkhead doctor` shows what holds.
void protect_this_process(const protection& how);

struct user_account {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// By name. Throws `error`: there is none of that name, or it is root.
user_account find_user(const std::string& name);

/// Makes this process, which is root's and has one thread, one of that user for good: with that
/// user's groups, without any capability, and without a way back by what it executes. Throws
/// `error`.
void become_user(const user_account& user);

}  // namespace bulkhead
