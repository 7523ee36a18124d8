// SPDX-License-Identifier: Apache-2.0
// The launcher as a process: what it makes of what it is started with, before anybody asks it for
// anything.
#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "actors/launcher/protocol.hpp"
#include "tests/confinement/confined.hpp"
#include "tests/confinement/faulty.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

constexpr int odd_fd = 77;

struct running_launcher {
  std::unique_ptr<launched_spawner> by;
  pid_t process = -1;
};

running_launcher run_with(const launched_spawner_options& chosen) {
  running_launcher made{std::make_unique<launched_spawner>(chosen)};
  made.process = launcher_begun_by(*made.by);
  return made;
}

running_launcher run_after(std::function<void()> become) {
  return run_with(options_after(std::move(become)));
}

std::string path_of(pid_t process, const std::string& what) {
  return "/proc/" + std::to_string(process) + "/" + what;
}

/// For good: programs that it executes have none either.
void drop_all_capabilities() {
  if (::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0) != 0) ::_exit(126);
  __user_cap_header_struct who{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &who, none.data()) != 0) ::_exit(126);
}

std::string bytes_of(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// How a launcher ends that finds this at its descriptor; -1: not by itself.
int status_with(int descriptor, const std::vector<const char*>& words = {},
                const std::function<void()>& become = {}) {
  const pid_t process = ::fork();
  if (process == 0) {
    ::alarm(static_cast<unsigned>(patience_ms() / 1000));
    ::dup2(descriptor, launcher::socket_fd);
    ::fcntl(launcher::socket_fd, F_SETFD, 0);  // where it was the same
    if (become) become();
    std::vector<char*> arguments{const_cast<char*>("launcher")};
    for (const char* each : words) arguments.push_back(const_cast<char*>(each));
    arguments.push_back(nullptr);
    ::execv(launcher_path().c_str(), arguments.data());
    ::_exit(127);
  }
  int status = 0;
  CHECK(::waitpid(process, &status, 0) == process);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A launcher's, whose other end is closed: there may be an order to answer in it.
unique_fd socket_of_gone_broker(bool asked = false) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  unique_fd left{ends[0]};
  const unique_fd broker{ends[1]};
  const launcher::header unknown;  // of no kind
  if (asked) REQUIRE(::send(broker.get(), &unknown, sizeof unknown, 0) == sizeof unknown);
  return left;
}

}  // namespace

TEST_CASE("a launcher keeps nothing of what it was started in") {
  temporary_directory folder;
  auto chosen = options();
  chosen.starts = launcher_after(public_launcher(folder), [&folder] {
    const rlimit files{200, 3000};
    if (::dup2(0, odd_fd) < 0 || ::chdir(folder.path().c_str()) != 0 ||
        ::setrlimit(RLIMIT_NOFILE, &files) != 0)
      ::_exit(126);
  });
  const auto made = run_with(chosen);
  CHECK(status_of(made.process, "Name") == "bulkhead-launch");
  CHECK(std::filesystem::read_symlink(path_of(made.process, "cwd")) == "/");
  CHECK_FALSE(std::filesystem::is_symlink(path_of(made.process, "fd/" + std::to_string(odd_fd))));
  std::error_code gone;
  for (const auto& each : std::filesystem::directory_iterator(path_of(made.process, "fd")))
    CHECK_FALSE(std::filesystem::read_symlink(each, gone).string().starts_with("/proc"));
  std::ifstream limits{path_of(made.process, "limits")};
  std::string line;
  while (std::getline(limits, line) && !line.starts_with("Max open files")) {
  }
  CHECK(line.find(" 3000  ") != std::string::npos);
  CHECK(line.find(" 200 ") == std::string::npos);
}

TEST_CASE("the launcher needs no loader, and lies where the kernel chooses") {
  const auto bytes = bytes_of(launcher_path());
  Elf64_Ehdr head{};
  REQUIRE(bytes.size() > sizeof head);
  std::memcpy(&head, bytes.data(), sizeof head);
  CHECK(head.e_type == ET_DYN);
  REQUIRE(head.e_phnum > 0);
  REQUIRE(bytes.size() > head.e_phoff + head.e_phnum * sizeof(Elf64_Phdr));
  for (std::size_t each = 0; each < head.e_phnum; ++each) {
    Elf64_Phdr part{};
    std::memcpy(&part, bytes.data() + head.e_phoff + each * sizeof part, sizeof part);
    CHECK(part.p_type != PT_INTERP);
  }
}

TEST_CASE("the launcher has one thread, also when it has started something") {
  const auto made = run_with(options());
  auto child = confined::start(*made.by, inside({"wait"}));
  REQUIRE(confined::launcher_of(child) == made.process);
  CHECK(status_of(made.process, "Threads") == "1");
  child.process->signal_group(SIGKILL);
  end_of(child);
}

TEST_CASE("a broker gives its launcher no argument and no environment") {
  const auto made = run_with(options());
  CHECK(bytes_of(path_of(made.process, "cmdline")) == launcher_path() + '\0');
  CHECK(bytes_of(path_of(made.process, "environ")).empty());
}

TEST_CASE("what is no socket for messages is no broker's") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const unique_fd one{ends[0]}, other{ends[1]};
  constexpr int no_work = 2;
  CHECK(status_with(one.get()) == no_work);
  const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  CHECK(status_with(null.get()) == no_work);
}

TEST_CASE("an argument is the uid of a broker that is not root, or there is no launcher") {
  constexpr int no_work = 2;
  const unique_fd left{socket_of_gone_broker()};
  CHECK(status_with(left.get()) == 0);
  for (const char* user : {"1", "65534", "4294967294"}) CHECK(status_with(left.get(), {user}) == 0);
  for (const char* text : {"", "0", "-1", "12a", "a12", "4294967295", "4294967296",
                           "18446744073709551617", "99999999999999999999999999999"}) {
    CAPTURE(text);
    CHECK(status_with(left.get(), {text}) == no_work);
  }
  CHECK(status_with(left.get(), {"12", "13"}) == no_work);
}

TEST_CASE("a launcher ends when the broker that it would answer has gone") {
  const unique_fd left{socket_of_gone_broker(true)};
  CHECK(status_with(left.get()) == 0);
}

TEST_CASE("a child that is no instance is reaped like one, and nothing else comes of it") {
  const auto made = run_after([] {
    if (::fork() == 0) ::_exit(0);
  });
  {
    auto first = confined::start(*made.by, inside({"wait"}));
    first.process->signal_group(SIGKILL);
    end_of(first);
  }
  auto second = confined::start(*made.by, inside({"wait"}));
  CHECK(confined::launcher_of(second) == made.process);
  CHECK(comes_true([&] {
    for (const pid_t each : children_of(made.process))
      if (status_of(each, "State").starts_with("Z")) return false;
    return true;
  }));
}

TEST_CASE("an answer for which there is no memory is tried for a while") {
  const unique_fd left{socket_of_gone_broker(true)};
  const auto then = std::chrono::steady_clock::now();
  CHECK(status_with(left.get(), {}, [] { let_fail({"sendmsg", SYS_sendmsg}, ENOMEM); }) == 0);
  CHECK(std::chrono::steady_clock::now() - then > std::chrono::milliseconds{900});
}

TEST_CASE("root's launcher cannot be looked into, by who has as few rights either") {
  if (!as_root()) return;  // whose launcher must own its files
  auto made = run_after(drop_all_capabilities);
  const pid_t other = ::fork();
  if (other == 0) {
    drop_all_capabilities();
    const int memory = ::open(path_of(made.process, "mem").c_str(), O_RDONLY);
    ::_exit(memory < 0 && errno == EACCES ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(other, &status, 0) == other);
  CHECK(status == 0);
}
