// SPDX-License-Identifier: Apache-2.0
// With real processes: /bin/sh and what coreutils holds. Waits for descriptors, never for time;
// every wait has a bound. What a process is promised is tested for both ways of starting it.
#include "actors/posix_spawner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "tools/temporary_directory.hpp"

using bulkhead::exit_status;
using bulkhead::posix_spawner;
using bulkhead::process_spec;
using bulkhead::spawn_error;
using bulkhead::spawn_failure;
using bulkhead::spawned_process;
using bulkhead::temporary_directory;
using bulkhead::unique_fd;

namespace {

constexpr int patience_ms = 20'000;

enum class by { path, descriptor };

/// Runs the rest of its test case once for each way.
by either_way() {
  const auto way = GENERATE(by::path, by::descriptor);
  CAPTURE(way == by::descriptor);
  return way;
}

process_spec program(by way, const std::string& path, std::vector<std::string> arguments = {}) {
  process_spec spec;
  spec.executable = path;
  spec.arguments = std::move(arguments);
  if (way == by::descriptor)
    spec.program = std::make_shared<const unique_fd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return spec;
}

process_spec shell(by way, const std::string& script) {
  return program(way, "/bin/sh", {"-c", script});
}

process_spec shell(const std::string& script) {
  return shell(by::path, script);
}

spawned_process start(const process_spec& spec) {
  auto result = posix_spawner{}.spawn(spec);
  if (auto* failed = std::get_if<spawn_error>(&result)) FAIL(failed->what << ": " << failed->why);
  return std::move(std::get<spawned_process>(result));
}

spawn_error start_fails(const process_spec& spec) {
  auto result = posix_spawner{}.spawn(spec);
  REQUIRE(std::holds_alternative<spawn_error>(result));
  return std::get<spawn_error>(result);
}

/// Returns when this process has no child any more, no zombie either.
void await_no_child() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) std::this_thread::yield();
}

bool readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, patience_ms) == 1;
}

exit_status end_of(spawned_process& child) {
  REQUIRE(readable(child.process->exit_fd()));
  const auto end = child.process->reap();
  REQUIRE(end);
  return *end;
}

/// Reads up to end of file.
std::string text_of(const unique_fd& fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (readable(fd.get())) {
    const auto got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

/// Reads up to the first newline.
std::string line_of(const unique_fd& fd) {
  std::string line;
  char byte = 0;
  while (readable(fd.get()) && ::read(fd.get(), &byte, 1) == 1 && byte != '\n') line += byte;
  return line;
}

std::string output_of(const process_spec& spec) {
  auto child = start(spec);
  auto text = text_of(child.standard_output);
  CHECK(end_of(child) == exit_status::exited(0));
  return text;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += entry.path().empty() ? 0 : 1;
  }
  return count;
}

std::string new_file(const temporary_directory& where, const std::string& name,
                     const std::string& content, mode_t mode) {
  auto path = where / name;
  std::ofstream{path} << content;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
  return path;
}

pid_t handled_by = 0;  // the last process in which the handler ran, when that was a wrong one

/// In a process of its own: starts children while its whole group is signalled without pause.
/// Answers what it exits with: 0 when the handler only ever ran in this process.
int handlers_under_rain() {
  static pid_t self = 0;
  self = ::getpid();
  if (::setpgid(0, 0) != 0) return 2;
  struct sigaction action {};
  // A raw system call: glibc's getpid may not ask, and the child shares its memory.
  action.sa_handler = [](int) {
    const auto here = static_cast<pid_t>(::syscall(SYS_getpid));
    if (here != self) handled_by = here;
  };
  action.sa_flags = SA_RESTART;
  if (::sigaction(SIGUSR1, &action, nullptr) != 0) return 3;
  std::atomic<bool> done{false};
  std::thread rain{[&done] {
    while (!done) ::kill(0, SIGUSR1);
  }};
  const auto spec = program(by::descriptor, "/bin/true");
  int failed = 0;
  for (int i = 0; i < 100; ++i) {
    auto result = posix_spawner{}.spawn(spec);
    failed += std::holds_alternative<spawn_error>(result) ? 1 : 0;
  }
  done = true;
  rain.join();
  if (handled_by != 0) return 4;
  return failed == 0 ? 0 : 5;
}

}  // namespace

TEST_CASE("a process that ends well is seen, then reaped, with its code") {
  const auto way = either_way();
  auto spec = program(way, "/bin/true");
  auto child = start(spec);
  CHECK(child.process->pid() > 0);
  REQUIRE(readable(child.process->exit_fd()));
  CHECK(child.process->peek() == exit_status::exited(0));
  CHECK(child.process->peek() == exit_status::exited(0));
  CHECK(child.process->reap() == exit_status::exited(0));
  CHECK(child.process->reap() == exit_status::exited(0));
  CHECK(child.process->peek() == exit_status::exited(0));
}

TEST_CASE("an exit code and a signal reach the parent as they were") {
  const auto way = either_way();
  auto seven = start(shell(way, "exit 7"));
  CHECK(end_of(seven) == exit_status::exited(7));
  auto killed = start(shell(way, "kill -KILL $$"));
  CHECK(end_of(killed) == exit_status::signaled(SIGKILL, false));
  auto terminated = start(shell(way, "kill -TERM $$"));
  CHECK(end_of(terminated) == exit_status::signaled(SIGTERM, false));
}

TEST_CASE("a running process has no status, and dies by a signal to its handle") {
  const auto way = either_way();
  auto child = start(shell(way, "echo up; read line <&3"));
  CHECK(line_of(child.standard_output) == "up");
  CHECK(child.process->peek() == std::nullopt);
  CHECK(child.process->reap() == std::nullopt);
  CHECK(child.process->signal(SIGTERM));
  CHECK(end_of(child) == exit_status::signaled(SIGTERM, false));
  CHECK_FALSE(child.process->signal(SIGTERM));
  CHECK_FALSE(child.process->signal_group(SIGTERM));
}

TEST_CASE("the link is a socket at descriptor 3 and carries bytes both ways") {
  const auto way = either_way();
  auto child = start(shell(way, "read line <&3; echo \"got $line\" >&3"));
  CHECK((::fcntl(child.link.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(child.link.get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(::write(child.link.get(), "hello\n", 6) == 6);
  CHECK(line_of(child.link) == "got hello");
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("closing the link is end of file for the child") {
  const auto way = either_way();
  auto child = start(shell(way, "cat <&3; exit 5"));
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(5));
}

TEST_CASE("the child has descriptors 0 to 3 and no others, whatever the parent left inheritable") {
  const auto way = either_way();
  const unique_fd leaked{::open("/dev/zero", O_RDONLY)};  // without O_CLOEXEC
  const unique_fd leaked_high{::fcntl(leaked.get(), F_DUPFD, 200)};
  REQUIRE(leaked_high.get() >= 200);
  auto spec = program(way, "/bin/ls", {"-l", "/proc/self/fd"});
  std::istringstream lines{output_of(spec)};
  std::set<std::string> kinds;
  for (std::string line; std::getline(lines, line);) {
    const auto arrow = line.find(" -> ");
    if (arrow == std::string::npos) continue;
    const auto begin = line.rfind(' ', arrow - 1) + 1;
    kinds.insert(line.substr(begin, line.find_first_of(":[", arrow) - begin));
  }
  // 4 is the directory that ls itself reads.
  REQUIRE(kinds.size() == 5);
  CHECK(kinds.count("0 -> /dev/null") == 1);
  CHECK(kinds.count("1 -> pipe") == 1);
  CHECK(kinds.count("2 -> pipe") == 1);
  CHECK(kinds.count("3 -> socket") == 1);
}

TEST_CASE("the link lands on 3 also when the parent's own descriptors 0 to 3 are free") {
  const auto way = either_way();
  // In a process of its own, as it closes the descriptors that the test program writes to.
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    for (int fd = 0; fd < 10; ++fd) ::close(fd);
    auto result =
        posix_spawner{}.spawn(shell(way, "read l <&3; echo \"<$l\" >&3; echo out; echo err >&2"));
    auto* child = std::get_if<spawned_process>(&result);
    if (child == nullptr) ::_exit(1);
    if (::write(child->link.get(), "x\n", 2) != 2) ::_exit(2);
    if (line_of(child->link) != "<x") ::_exit(3);
    if (line_of(child->standard_output) != "out") ::_exit(4);
    if (line_of(child->standard_error) != "err") ::_exit(5);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("the environment holds what is listed and nothing of the parent's") {
  const auto way = either_way();
  ::setenv("BULKHEAD_TEST_SECRET", "leak", 1);
  auto spec = program(way, "/usr/bin/env");
  CHECK(output_of(spec) == "BULKHEAD_FD=3\nBULKHEAD_PROTOCOL=1\nLANG=C.UTF-8\n");
  spec.environment.emplace_back("EXTRA=1 2");
  CHECK(output_of(spec) == "BULKHEAD_FD=3\nBULKHEAD_PROTOCOL=1\nLANG=C.UTF-8\nEXTRA=1 2\n");
}

TEST_CASE("arguments arrive unchanged, with the path as argument zero") {
  const auto way = either_way();
  process_spec spec = shell(way, "printf '%s|' \"$0\" \"$@\"");
  spec.arguments.insert(spec.arguments.end(), {"zero", "", "a b", "$(date)", "\xc3\xa9"});
  CHECK(output_of(spec) == "zero||a b|$(date)|\xc3\xa9|");
  CHECK(output_of(shell(way, "tr '\\0' ' ' < /proc/$$/cmdline | cut -c1-7")) == "/bin/sh\n");
}

TEST_CASE("stdin is at end of file") {
  const auto way = either_way();
  CHECK(output_of(shell(way, "cat; echo end")) == "end\n");
}

TEST_CASE("stdout and stderr are two pipes") {
  const auto way = either_way();
  auto child = start(shell(way, "echo one; echo two >&2"));
  CHECK(text_of(child.standard_output) == "one\n");
  CHECK(text_of(child.standard_error) == "two\n");
  CHECK(end_of(child).success());
}

TEST_CASE("the child runs in the working directory that is asked for") {
  const auto way = either_way();
  CHECK(output_of(shell(way, "pwd")) == "/\n");
  auto spec = shell(way, "pwd");
  spec.working_directory = "/usr";
  CHECK(output_of(spec) == "/usr\n");
}

TEST_CASE("a relative path is one from the parent's directory, not from the child's") {
  const temporary_directory directory;
  new_file(directory, "program", "#!/bin/sh\npwd\n", 0755);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  process_spec spec;
  spec.executable = "./program";
  CHECK(output_of(spec) == "/\n");
  std::filesystem::current_path(before);
}

TEST_CASE("M09 the child leads a session and process group of its own") {
  const auto way = either_way();
  auto child = start(shell(way,
                           "read pid comm state ppid pgrp session rest < /proc/$$/stat; "
                           "echo $pid $pgrp $session; kill -KILL -$$"));
  const auto pid = std::to_string(child.process->pid());
  CHECK(line_of(child.standard_output) == pid + " " + pid + " " + pid);
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));  // and this test lives on
}

TEST_CASE("no signal is blocked or ignored in the child, whatever the parent does") {
  const auto way = either_way();
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
  auto* old_handler = std::signal(SIGPIPE, SIG_IGN);
  auto spec = program(way, "/bin/grep", {"-E", "^Sig(Blk|Ign)", "/proc/self/status"});
  const auto masks = output_of(spec);
  CHECK(masks.find("SigBlk:\t0000000000000000\n") != std::string::npos);
  CHECK(masks.find("SigIgn:\t0000000000000000\n") != std::string::npos);
  std::signal(SIGPIPE, old_handler);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

TEST_CASE("F11 reaping kills a forked grandchild that ignores SIGTERM") {
  const auto way = either_way();
  // The grandchild holds stdout: its end of file says that the grandchild is gone.
  auto child = start(shell(way,
                           "(trap '' TERM; echo up; while :; do read l <&3 || :; done) & "
                           "read l <&3; exit 3"));
  CHECK(line_of(child.standard_output) == "up");
  CHECK(child.process->signal(SIGTERM));
  REQUIRE(readable(child.process->exit_fd()));
  CHECK(child.process->peek() == exit_status::signaled(SIGTERM, false));
  // Its parent is gone, it lives: no end of file yet.
  pollfd output{child.standard_output.get(), POLLIN, 0};
  CHECK(::poll(&output, 1, 0) == 0);
  CHECK(child.process->reap() == exit_status::signaled(SIGTERM, false));
  CHECK(text_of(child.standard_output).empty());
  REQUIRE(readable(child.standard_output.get()));
  char byte = 0;
  CHECK(::read(child.standard_output.get(), &byte, 1) == 0);
}

TEST_CASE("a handle that goes takes its process and the whole group along") {
  const auto way = either_way();
  unique_fd output;
  {
    auto child =
        start(shell(way, "trap '' TERM; (trap '' TERM; read l <&3) & echo up; read l <&3"));
    CHECK(line_of(child.standard_output) == "up");
    output = std::move(child.standard_output);
    const unique_fd held = std::move(child.link);  // so that end of file does not end them
    child.process.reset();
    char byte = 0;
    REQUIRE(readable(output.get()));
    CHECK(::read(output.get(), &byte, 1) == 0);
  }
  await_no_child();
}

TEST_CASE("a handle that goes does not wait for a process that will not die; it is reaped later") {
  // Not the leader of a group, so the handle's kill misses it, as SIGKILL does a process that is
  // stuck in the kernel.
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  {
    const auto child =
        make_posix_child(pid, unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
    REQUIRE(child->exit_fd() >= 0);
  }
  // Still there: whoever waited for its end would have waited for ever.
  REQUIRE(::kill(pid, 0) == 0);
  REQUIRE(::kill(pid, SIGKILL) == 0);
  await_no_child();
  // Who reaps it lets go of the number a moment after there is no child any more.
  for (int tries = 0; tries < 1000 && ::kill(pid, 0) == 0; ++tries) ::poll(nullptr, 0, 1);
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("a status that somebody else took is reported as unknown, and nothing is signalled") {
  auto child = start(shell("exit 3"));
  REQUIRE(::waitpid(child.process->pid(), nullptr, 0) == child.process->pid());
  CHECK(child.process->reap() == exit_status{});
  CHECK_FALSE(child.process->signal_group(SIGKILL));
}

TEST_CASE("a missing program is a permanent failure that names the file") {
  process_spec spec;
  spec.executable = "/no/such/plugin";
  const auto error = start_fails(spec);
  CHECK(error.failure == spawn_failure::not_found);
  CHECK(error.permanent);
  CHECK(error.error_number == ENOENT);
  CHECK(error.what == "cannot start /no/such/plugin");
  CHECK(error.why == "there is no such file");
  CHECK_FALSE(error.remedy.empty());
}

TEST_CASE("what is no program is told apart from what is not there") {
  const temporary_directory directory;
  process_spec spec;
  const auto failure_of = [&](const std::string& path) {
    spec.executable = path;
    return start_fails(spec);
  };
  CHECK(failure_of(directory.path()).failure == spawn_failure::not_executable);
  CHECK(failure_of(directory.path()).why == "it is not a file");
  const auto plain = failure_of(new_file(directory, "plain", "#!/bin/sh\n", 0644));
  CHECK(plain.failure == spawn_failure::not_executable);
  CHECK(plain.remedy.find("chmod +x") == 0);
  const auto script = failure_of(new_file(directory, "script", "#! /no/such/shell -x\n", 0755));
  CHECK(script.failure == spawn_failure::no_interpreter);
  CHECK(script.why.find("/no/such/shell,") != std::string::npos);
  CHECK(failure_of(new_file(directory, "text", "no program\n", 0755)).failure ==
        spawn_failure::bad_format);
  CHECK(failure_of(directory / "text/below").failure == spawn_failure::not_found);
}

TEST_CASE("a missing working directory is not taken for a missing program") {
  const auto way = either_way();
  auto spec = program(way, "/bin/true");
  spec.working_directory = "/no/such/directory";
  const auto error = start_fails(spec);
  CHECK(error.failure == spawn_failure::no_working_directory);
  CHECK(error.why.find("/no/such/directory") != std::string::npos);
}

TEST_CASE("arguments above the kernel's limit are a permanent failure") {
  const auto way = either_way();
  auto spec = program(way, "/bin/true", {std::string(1U << 20U, 'x')});
  const auto error = start_fails(spec);
  CHECK(error.failure == spawn_failure::arguments_too_long);
  CHECK(error.permanent);
}

TEST_CASE("M10 running out of descriptors is a passing failure that leaks none") {
  const auto spec = program(either_way(), "/bin/true");
  const auto before = open_descriptors();
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  for (std::size_t room = 0; room < 9; ++room) {
    rlimit tight{before - 1 + room, limit.rlim_max};  // one of those counted was the directory
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    auto result = posix_spawner{}.spawn(spec);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const auto* error = std::get_if<spawn_error>(&result);
    if (error == nullptr) continue;
    CHECK(error->failure == spawn_failure::too_many_descriptors);
    CHECK_FALSE(error->permanent);
    CHECK(error->why.find("RLIMIT_NOFILE") != std::string::npos);
    CHECK(open_descriptors() == before);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a program by descriptor is what was opened, whatever lies at its path by now") {
  const temporary_directory directory;
  const auto path = directory / "program";
  std::filesystem::copy_file("/bin/true", path);
  const auto spec = program(by::descriptor, path);
  std::filesystem::rename(new_file(directory, "other", "#!/bin/sh\nexit 9\n", 0755), path);
  auto by_path = start(program(by::path, path));
  CHECK(end_of(by_path) == exit_status::exited(9));
  auto by_descriptor = start(spec);
  CHECK(end_of(by_descriptor) == exit_status::exited(0));
}

TEST_CASE(
    "a script by descriptor is read by its interpreter through descriptor 4, and only there") {
  const temporary_directory directory;
  const auto path =
      new_file(directory, "script", "#!/bin/sh -e\necho $0 $*; ls /proc/$$/fd; exit 6\n", 0755);
  auto spec = program(by::descriptor, path, {"one", "two"});
  std::filesystem::remove(path);
  auto child = start(spec);
  // The shell keeps the script open at 10, by its own choice.
  CHECK(text_of(child.standard_output) == "/dev/fd/4 one two\n0\n1\n10\n2\n3\n4\n");
  CHECK(end_of(child) == exit_status::exited(6));
  // Its own position: the parent's descriptor has not moved, and another start reads it whole.
  CHECK(::lseek(spec.program->get(), 0, SEEK_CUR) == 0);
  auto second = start(spec);
  CHECK(end_of(second) == exit_status::exited(6));
}

TEST_CASE("what is no program is told apart by descriptor as by path") {
  const temporary_directory directory;
  const auto failure_of = [&](const std::string& content) {
    return start_fails(program(by::descriptor, new_file(directory, "program", content, 0755)));
  };
  const auto script = failure_of("#!/no/such/shell -x\n");
  CHECK(script.failure == spawn_failure::no_interpreter);
  CHECK(script.why.find("/no/such/shell,") != std::string::npos);
  CHECK(failure_of("no program\n").failure == spawn_failure::bad_format);
  const auto plain =
      start_fails(program(by::descriptor, new_file(directory, "plain", "#!/bin/sh\n", 0644)));
  CHECK(plain.failure == spawn_failure::not_executable);
  CHECK(plain.permanent);
  CHECK(start_fails(program(by::descriptor, directory.path())).failure ==
        spawn_failure::not_executable);
  auto nothing = program(by::path, "/bin/true");
  nothing.program = std::make_shared<const unique_fd>();
  CHECK(start_fails(nothing).failure == spawn_failure::other);
}

TEST_CASE("a failed start leaves no process, no descriptor, and the signal mask as it was") {
  const auto way = either_way();
  await_no_child();
  auto spec = program(way, "/bin/true");
  spec.working_directory = "/no/such/directory";
  const auto before = open_descriptors();
  sigset_t mask{};  // wider than what the kernel knows
  sigset_t after{};
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0);
  CHECK(start_fails(spec).failure == spawn_failure::no_working_directory);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
  CHECK(std::memcmp(&mask, &after, sizeof mask) == 0);
  CHECK(open_descriptors() == before);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a handler of the parent never runs in a child") {
  // Signals rain on this process group, and so on each child until it has a session of its own.
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(handlers_under_rain());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("failures that pass are told from failures that stay") {
  process_spec spec;
  spec.executable = "/bin/true";
  for (const int passing : {EAGAIN, EMFILE, ENFILE, ENOMEM, ETXTBSY, EIO}) {
    CHECK_FALSE(explain_spawn_failure(spec, passing).permanent);
  }
  CHECK(explain_spawn_failure(spec, EAGAIN).failure == spawn_failure::too_many_processes);
  for (const int staying : {ENOEXEC, E2BIG, ENOENT, EACCES}) {
    CHECK(explain_spawn_failure(spec, staying).permanent);
  }
}

TEST_CASE("two hundred processes, four threads at once, leave nothing behind") {
  const auto way = either_way();
  await_no_child();  // those of the tests before
  const auto before = open_descriptors();
  std::array<int, 4> good{};
  std::array<std::thread, 4> threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread{[&good, way, t] {
      for (int i = 0; i < 50; ++i) {
        auto spec = program(way, i % 2 == 0 ? "/bin/true" : "/bin/false");
        auto result = posix_spawner{}.spawn(spec);
        auto* child = std::get_if<spawned_process>(&result);
        if (child == nullptr || !readable(child->process->exit_fd())) continue;
        if (child->process->reap() == exit_status::exited(i % 2)) ++good[t];
      }
    }};
  }
  for (auto& thread : threads) thread.join();
  for (const int count : good) CHECK(count == 50);
  CHECK(open_descriptors() == before);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}
