// SPDX-License-Identifier: Apache-2.0
// What a start costs until the program runs, beside glibc's posix_spawn with the same work to do:
// taken in turns in one run, so that the machine's mood falls on all alike.
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <iostream>
#include <vector>

#include "actors/posix_spawner.hpp"
#include "tests/bars.hpp"

using bulkhead::posix_spawner;
using bulkhead::process_spec;
using bulkhead::spawned_process;
using bulkhead::unique_fd;

namespace {

using clock = std::chrono::steady_clock;

constexpr int rounds = 60;
constexpr double slower_max = 1.5;  // measured: 0.9 to 1.0; the rest is room for a busy machine

/// Everything that posix_spawner promises, by way of posix_spawn, and the end of the process.
void spawn_by_libc() {
  std::array<std::array<int, 2>, 3> pairs{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[0].data()) == 0);
  REQUIRE(::pipe2(pairs[1].data(), O_CLOEXEC) == 0);
  REQUIRE(::pipe2(pairs[2].data(), O_CLOEXEC) == 0);
  const unique_fd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, null.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, pairs[1][1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, pairs[2][1], STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, pairs[0][1], 3);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 4);
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");
  ::posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::array<char, 10> name{"/bin/true"};
  std::array<char*, 2> arguments{name.data(), nullptr};
  std::array<char*, 1> environment{};
  pid_t pid = -1;
  CHECK(::posix_spawn(&pid, name.data(), &actions, &attributes, arguments.data(),
                      environment.data()) == 0);
  const unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  for (const auto& pair : pairs)
    for (const int fd : pair) ::close(fd);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

void spawn_by_us(const process_spec& spec) {
  auto result = posix_spawner{}.spawn(spec);
  REQUIRE(std::holds_alternative<spawned_process>(result));
  const auto& process = std::get<spawned_process>(result).process;
  process->signal(SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(process->pid()), &info, WEXITED | WNOWAIT);
  process->reap();
}

template <class Work>
double microseconds(const Work& work) {
  const auto begin = clock::now();
  work();
  return std::chrono::duration<double, std::micro>(clock::now() - begin).count();
}

/// The tenth of `times` that is least: the cost without what else the machine did.
double tenth(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 10];
}

}  // namespace

TEST_CASE("a start by path or by descriptor costs what posix_spawn costs") {
  process_spec by_path;
  by_path.executable = "/bin/true";
  auto by_descriptor = by_path;
  by_descriptor.program =
      std::make_shared<const unique_fd>(::open("/bin/true", O_RDONLY | O_CLOEXEC));
  const auto as_fast = [&] {
    std::vector<double> libc;
    std::vector<double> path;
    std::vector<double> descriptor;
    for (int i = 0; i < rounds; ++i) {
      libc.push_back(microseconds(spawn_by_libc));
      path.push_back(microseconds([&] { spawn_by_us(by_path); }));
      descriptor.push_back(microseconds([&] { spawn_by_us(by_descriptor); }));
    }
    const double base = tenth(libc);
    std::cout << "start and end of a process, p10: posix_spawn " << base << " us; by path "
              << tenth(path) / base << " of that, by descriptor " << tenth(descriptor) / base
              << '\n';
    return std::max(tenth(path), tenth(descriptor)) < slower_max * base;
  };
  CHECK(bars::met(as_fast));
}
