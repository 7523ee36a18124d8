// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/process.hpp"

#include <fcntl.h>
#include <kj/debug.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace bulkhead::bench {

namespace {

// Above every descriptor that a child gets, so that moving one into place overwrites no other.
constexpr int fd_floor = 32;

kj::AutoCloseFd moved_up(int fd) {
  int moved = -1;
  KJ_SYSCALL(moved = ::fcntl(fd, F_DUPFD_CLOEXEC, fd_floor));
  return kj::AutoCloseFd(moved);
}

class file_actions {
 public:
  file_actions() { posix_spawn_file_actions_init(&actions_); }
  ~file_actions() { posix_spawn_file_actions_destroy(&actions_); }
  KJ_DISALLOW_COPY(file_actions);
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

std::pair<kj::AutoCloseFd, kj::AutoCloseFd> socket_pair() {
  int fds[2];
  KJ_SYSCALL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  return {kj::AutoCloseFd(fds[0]), kj::AutoCloseFd(fds[1])};
}

child::child(const std::vector<std::string>& arguments, const std::vector<int>& fds,
             const std::string& log) {
  file_actions actions;
  std::vector<kj::AutoCloseFd> kept;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    kept.push_back(moved_up(fds[i]));
    posix_spawn_file_actions_adddup2(actions.get(), kept.back(), static_cast<int>(3 + i));
  }
  if (!log.empty()) {
    posix_spawn_file_actions_addopen(actions.get(), 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(actions.get(), 1, 2);
  }
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int failed = ::posix_spawn(&pid_, argv[0], actions.get(), nullptr, argv.data(), ::environ);
  if (failed != 0) {
    throw std::system_error(failed, std::generic_category(), "cannot start " + arguments[0]);
  }
}

child& child::operator=(child&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

child::~child() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool child::stop(unsigned patience_ms) {
  if (pid_ <= 0) return true;
  ::kill(pid_, SIGTERM);
  for (unsigned waited = 0; waited < patience_ms; waited += 5) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      return true;
    }
    ::usleep(5000);
  }
  return false;
}

child start_role(const std::string& role, const std::vector<int>& fds) {
  return {{std::filesystem::read_symlink("/proc/self/exe").string(), "--role", role}, fds};
}

double cpu_s(pid_t pid) {
  clockid_t clock = 0;
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

std::uint64_t pss_bytes(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (rollup >> word) {
    std::uint64_t kib = 0;
    if (word == "Pss:" && rollup >> kib) return kib * 1024;
  }
  return 0;
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  KJ_SYSCALL(::sched_getaffinity(0, sizeof set, &set));
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

void place(const std::vector<pid_t>& pids, const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) CPU_SET(core, &set);
  for (pid_t pid : pids) {
    std::error_code gone;
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
      ::sched_setaffinity(std::stoi(task.path().filename().string()), sizeof set, &set);
    }
  }
}

double now_s() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace bulkhead::bench
