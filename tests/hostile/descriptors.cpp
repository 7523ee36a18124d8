// SPDX-License-Identifier: Apache-2.0
// Threats 12 and 17: descriptors that were left open, and too many of them.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <array>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr int last_searched = 1024;

bool open_here(int descriptor) {
  return call(SYS_fcntl, descriptor, F_GETFD, 0) >= 0;
}

outcome finds_open(const targets&) {
  for (int each = 4; each < last_searched; ++each) {
    if (open_here(each)) return succeeded();
  }
  return blocked();
}

outcome reads_leaked(const targets&) {
  for (int each = 4; each < last_searched; ++each) {
    std::array<char, 64> bytes{};
    const long got = call(SYS_pread64, each, bytes.data(), bytes.size(), 0L);
    if (got > 0 && is_secret({bytes.data(), bytes.size()})) return succeeded();
  }
  return blocked();
}

/// A descriptor of a directory leads to all files, whatever the root is.
outcome opens_by_leaked_directory(const targets&) {
  for (int each = 0; each < last_searched; ++each) {
    if (each > 3 && !open_here(each)) continue;
    const auto file = static_cast<int>(call(SYS_openat, each, "canary", O_RDONLY, 0));
    if (file >= 0) return reads_secret(file);
  }
  return blocked();
}

outcome leaves_by_leaked_directory(const targets&) {
  for (int each = 4; each < last_searched; ++each) {
    if (open_here(each) && call(SYS_fchdir, each) == 0) return succeeded();
  }
  return blocked();
}

outcome opens_without_end(const targets& at) {
  for (int made = 0; made < at.descriptors + 64; ++made) {
    if (call(SYS_epoll_create1, 0) < 0) return blocked();
  }
  return succeeded();
}

outcome duplicates_without_end(const targets& at) {
  for (int made = 0; made < at.descriptors + 64; ++made) {
    if (call(SYS_fcntl, 1, F_DUPFD_CLOEXEC, 0) < 0) return blocked();
  }
  return succeeded();
}

outcome duplicates_high(const targets& at) {
  return worked(call(SYS_fcntl, 1, F_DUPFD_CLOEXEC, at.descriptors + 1));
}

outcome replaces_standard(const targets&) {
  // What it shares with others: the file behind stdin, were it a device of the host.
  struct stat found {};
  if (call(SYS_fstat, 0, &found) < 0) return blocked();
  return worked_if(S_ISCHR(found.st_mode));
}

outcome changes_link_mode(const targets&) {
  return worked(call(SYS_fchmod, 3, 0777));
}

outcome leases(const targets& at) {
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, at.canary, O_RDONLY, 0));
  return worked(call(SYS_fcntl, file < 0 ? 1 : file, F_SETLEASE, F_RDLCK));
}

outcome watches_directory(const targets& at) {
  const auto directory = static_cast<int>(call(SYS_openat, AT_FDCWD, at.directory, O_RDONLY, 0));
  return worked(call(SYS_fcntl, directory < 0 ? 0 : directory, F_NOTIFY, DN_CREATE));
}

outcome makes_message_pipe(const targets&) {
  std::array<int, 2> ends{};
  return worked(call(SYS_pipe2, ends.data(), O_DIRECT | O_NONBLOCK));
}

constexpr attack table[] = {
    {"fd_scan", 17, "has descriptors that nobody gave it", finds_open},
    {"leaked_fd", 17, "reads a file that was left open", reads_leaked},
    {"leaked_dirfd", 17, "opens files by a directory that was left open",
     opens_by_leaked_directory},
    {"leaked_fchdir", 17, "enters a directory that was left open", leaves_by_leaked_directory},
    {"fds", 12, "opens more descriptors than its limit", opens_without_end},
    {"fds_dup", 12, "duplicates more descriptors than its limit", duplicates_without_end},
    {"fds_high", 12, "makes its descriptor table larger than its limit", duplicates_high},
    {"close_range", 17, "closes by range",
     [](const targets&) { return worked(call(SYS_close_range, 900, 1000, 0)); }},
    {"dup_link", 17, "puts its link elsewhere",
     [](const targets&) { return worked(call(SYS_dup2, 3, 9)); }},
    {"stdin_device", 17, "shares a device of the host as its stdin", replaces_standard},
    {"fchmod_link", 17, "changes the rights of its link", changes_link_mode,
     "the link may belong to another user"},
    {"lease", 3, "holds up whoever opens a file", leases},
    {"dnotify", 3, "watches a directory by signals", watches_directory},
    {"pipe_direct", 7, "makes a pipe of messages", makes_message_pipe},
};

}  // namespace

std::span<const attack> descriptor_attacks() {
  return table;
}

}  // namespace hostile
