// SPDX-License-Identifier: Apache-2.0
//
// The processes of the bench: started, placed on cores, measured, ended.
//
// Every part of every path is a process of its own, the bench itself included as the client, so
// that "CPU per call by process" means something. They are started with posix_spawn from this very
// program (`bulkhead-bench --role NAME`), with their sockets at descriptors 3 and 4.
#pragma once

#include <kj/io.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace bulkhead::bench {

/// Two ends of a unix stream socket.
std::pair<kj::AutoCloseFd, kj::AutoCloseFd> socket_pair();

/// One child. Killed and waited for when the object goes.
class child {
 public:
  child() = default;
  /// Runs `arguments[0]` with `fds` at 3, 4, ... and, when `log` is given, its output there.
  child(const std::vector<std::string>& arguments, const std::vector<int>& fds,
        const std::string& log = {});
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  child& operator=(child&& other) noexcept;
  ~child();

  pid_t pid() const { return pid_; }

  /// SIGTERM, and some patience. True when it obeyed; else the destructor ends it.
  bool stop(unsigned patience_ms);

 private:
  pid_t pid_ = 0;
};

/// This program in one of its hidden roles.
child start_role(const std::string& role, const std::vector<int>& fds);

/// CPU time that a process has used so far, all threads, in seconds. 0 when it is gone.
double cpu_s(pid_t pid);

/// Proportional share of memory of a process, in bytes. 0 when it cannot be read.
std::uint64_t pss_bytes(pid_t pid);

/// The cores that this program may use.
std::vector<int> usable_cores();

/// Places all threads of the processes on these cores.
void place(const std::vector<pid_t>& pids, const std::vector<int>& cores);

/// Seconds of a clock that only goes forward.
double now_s();

}  // namespace bulkhead::bench
