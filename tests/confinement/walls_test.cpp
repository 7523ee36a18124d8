// SPDX-License-Identifier: Apache-2.0
// Each wall from both sides: what the confined program finds, and what this process sees of it. Run
// twice, as root and as nobody (see confinement.cmake). Nothing is skipped: a machine that cannot
// confine fails these tests.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/confinement/confined.hpp"

using bulkhead::exit_status;
using bulkhead::launched_spawner;
using bulkhead::profile;
using bulkhead::wall;
using bulkhead::wall_set;
using bulkhead::wall_state;
using namespace confined;

namespace {

wall_set only(wall which) {
  wall_set set;
  set.set(index_of(which));
  return set;
}

std::string attempt_without(wall which, const std::string& what) {
  launched_spawner by{options(only(which))};
  return attempt(by, what);
}

std::string namespace_link(const std::string& process, const std::string& kind) {
  std::error_code denied;
  return std::filesystem::read_symlink("/proc/" + process + "/ns/" + kind, denied).string();
}

/// Soft and hard, by name: of lines such as "Max open files    64    64    files".
std::map<std::string, std::string> limits_of(pid_t process) {
  std::map<std::string, std::string> limits;
  std::ifstream file{"/proc/" + std::to_string(process) + "/limits"};
  for (std::string line; std::getline(file, line);) {
    constexpr std::size_t head = 4, name_ends = 26;
    std::istringstream rest{line.substr(name_ends)};
    std::string soft, hard;
    rest >> soft >> hard;
    auto name = line.substr(head, name_ends - head);
    name.resize(name.find_last_not_of(' ') + 1);
    limits[name] = soft.append(" ").append(hard);
  }
  return limits;
}

}  // namespace

TEST_CASE("a confined program finds nothing but its link") {
  auto child = start(inside({"all"}));
  const auto text = text_of(child.standard_output);
  CAPTURE(text);
  auto facts = facts_of(text);
  CHECK(facts["pid"] == "2");
  CHECK(facts["parent"] == "1");
  CHECK(facts["uid"] == "1000");
  CHECK(facts["gid"] == "1000");
  CHECK(facts["host"] == "plugin");
  CHECK(facts["descriptors"] == "4");
  CHECK(facts["stdin"] == "0");
  CHECK(facts["passwd"] == std::to_string(EACCES));
  CHECK(facts["core"] == "1");
  CHECK(facts["files"] == "64");
  CHECK(facts["data"] == std::to_string(256L << 20));
  CHECK(facts["tasks"] == (as_root() ? "66" : "65"));
  CHECK(facts["child-signal-blocked"] == "0");
  CHECK(text.find("env BULKHEAD_FD=3\nenv BULKHEAD_PROTOCOL=1\nenv LANG=C.UTF-8\n") !=
        std::string::npos);
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("what no program needs kills the one that asks for it") {
  for (const auto* const what :
       {"socket", "fork", "x32", "mkdir", "exec", "execveat", "executable-page", "code-change",
        "user-namespace", "memory-file", "signal-parent", "signal-all", "keyring"}) {
    CAPTURE(what);
    CHECK(attempt(spawner(), what) == "SIGSYS");
  }
}

TEST_CASE("what the C library only asks for is refused with an error") {
  CHECK(attempt(spawner(), "open") == "EACCES");
  CHECK(attempt(spawner(), "clone3") == "ENOSYS");
  CHECK(attempt(spawner(), "unknown-call") == "ENOSYS");
}

TEST_CASE("memory ends at its limit") {
  CHECK(attempt(spawner(), "memory") == "ENOMEM");
}

TEST_CASE("behind the filter stand other walls") {
  launched_spawner by{options(only(wall::seccomp))};
  CHECK(attempt(by, "open") == "EACCES");             // Landlock, of an empty root
  CHECK(attempt(by, "mkdir") == "EROFS");             // the root is read-only
  CHECK(attempt(by, "exec") == "ENOENT");             // nothing in it
  CHECK(attempt(by, "code-change") == "EACCES");      // MDWE
  CHECK(attempt(by, "executable-page") == "EACCES");  // likewise
  CHECK(attempt(by, "user-namespace") == "ENOSPC");   // the limits on namespaces
  CHECK(attempt(by, "signal-parent") == "EPERM");     // Landlock's scope
  CHECK(attempt(by, "fork") == "0");                  // only its number is limited
  if (as_root()) CHECK(attempt(by, "memory-file") == "EACCES");
}

TEST_CASE("without a wall its attempt comes further") {
  wall_set both = only(wall::seccomp);
  const auto without = [&](wall which, const std::string& what) {
    launched_spawner by{options(both | only(which))};
    return attempt(by, what);
  };
  CHECK(without(wall::landlock, "open") == "0");
  CHECK(without(wall::no_writable_code, "code-change") == "0");
  CHECK(without(wall::namespace_limits, "user-namespace") == "0");
  CHECK(without(wall::resource_limits, "memory") == "0");
  if (as_root()) CHECK(without(wall::memfd_noexec, "memory-file") == "0");
  CHECK(attempt_without(wall::seccomp, "socket") == "0");
}

TEST_CASE("the report names every wall, and what can be seen from outside was") {
  auto child = start(inside({"wait"}));
  REQUIRE(child.report);
  const auto& report = *child.report;
  for (std::size_t n = 0; n < bulkhead::wall_count; ++n) {
    const auto which = static_cast<wall>(n);
    CAPTURE(line_of(which, report));
    if (n >= index_of(wall::speculation)) continue;
    const bool roots =
        which == wall::own_uid || which == wall::no_groups || which == wall::memfd_noexec;
    if (as_root() || !roots) CHECK(report[which].state == wall_state::enforced);
    if (!as_root() && roots && which != wall::no_groups)
      CHECK(report[which].state == wall_state::unavailable);
  }
  for (const auto which :
       {wall::user_namespace, wall::pid_namespace, wall::mount_namespace, wall::net_namespace,
        wall::ipc_namespace, wall::uts_namespace, wall::cgroup_namespace, wall::no_capabilities,
        wall::no_new_privileges, wall::seccomp, wall::resource_limits, wall::own_session,
        wall::not_dumpable, wall::oom_first, wall::no_groups}) {
    CAPTURE(line_of(which, report));
    CHECK(report[which].observed);
  }
  CHECK(report[wall::own_uid].observed == as_root());
  CHECK(report[wall::landlock].value >= 6);
  CHECK(report[wall::seccomp].value > 100);
}

TEST_CASE("from outside, the process is what the report says") {
  auto child = start(inside({"wait"}));
  const auto pid = child.process->pid();
  CHECK(status_of(pid, "NoNewPrivs") == "1");
  CHECK(status_of(pid, "Seccomp") == "2");
  for (const auto* const set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    CHECK(status_of(pid, set) == "0000000000000000");
  CHECK(status_of(pid, "NSpid") == std::to_string(pid) + "\t2");
  CHECK(status_of(pid, "Groups").find_first_not_of(' ') == std::string::npos);
  struct stat file {};
  REQUIRE(::stat(("/proc/" + std::to_string(pid) + "/status").c_str(), &file) == 0);
  CHECK(file.st_uid == 0);
  const bulkhead::unique_fd memory{
      ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY)};
  CHECK(static_cast<bool>(memory) == as_root());
  if (!as_root()) return;
  const auto uid = std::to_string((*child.report)[wall::own_uid].value);
  CHECK(status_of(pid, "Uid") == uid + "\t" + uid + "\t" + uid + "\t" + uid);
  for (const auto* const kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    CAPTURE(kind);
    CHECK(namespace_link(std::to_string(pid), kind) != namespace_link("self", kind));
  }
  const auto root = std::filesystem::path("/proc") / std::to_string(pid) / "root";
  CHECK(std::filesystem::is_empty(root));
}

TEST_CASE("no mask, signal or limit of its launcher's comes along") {
  launched_spawner by{options_after([] {
    ::umask(0);
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGRTMAX, SIG_IGN);
    sigset_t some;
    ::sigfillset(&some);
    ::sigprocmask(SIG_BLOCK, &some, nullptr);
    for (const auto which : {RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_LOCKS}) {
      const rlimit much{65'536, 65'536};
      if (::setrlimit(which, &much) != 0) ::_exit(126);
    }
  })};
  auto child = start(by, inside({"wait"}));
  const auto pid = child.process->pid();
  CHECK(status_of(pid, "Umask") == "0077");
  CHECK(status_of(pid, "SigBlk") == "0000000000000000");
  CHECK(status_of(pid, "SigIgn") == "0000000000000000");
  const auto limits = limits_of(pid);
  const bulkhead::resource_limits given;
  const std::vector<std::pair<std::string, std::uint64_t>> expected{
      {"core file size", 1},
      {"locked memory", 0},
      {"msgqueue size", 0},
      {"file locks", 0},
      {"nice priority", 0},
      {"realtime priority", 0},
      {"realtime timeout", 100'000},
      {"file size", given.file_bytes},
      {"data size", given.memory_bytes},
      {"stack size", given.stack_bytes},
      {"processes", given.tasks + (as_root() ? 2 : 1)},
      {"open files", given.descriptors},
      {"pending signals", given.pending_signals},
  };
  for (const auto& [name, most] : expected) {
    CAPTURE(name);
    REQUIRE(limits.contains(name));
    CHECK(limits.at(name) == std::to_string(most) + " " + std::to_string(most));
  }
}

TEST_CASE("where the network is the host's, Landlock keeps a program from it") {
  launched_spawner by{options(only(wall::seccomp) | only(wall::net_namespace))};
  CHECK(attempt(by, "connect-stream") == "EACCES");
  CHECK(attempt(by, "bind-stream") == "EACCES");
}

TEST_CASE("no capability can be kept through a change of the user") {
  launched_spawner by{options(only(wall::seccomp))};
  CHECK(attempt(by, "keep-capabilities") == "EPERM");
}

TEST_CASE("the init of an instance stands behind walls of its own") {
  auto child = start(inside({"wait"}));
  const auto init = parent_of(child.process->pid());
  CHECK(status_of(init, "Name") == "plugin-init");
  CHECK(status_of(init, "NoNewPrivs") == "1");
  CHECK(status_of(init, "Seccomp") == "2");
  for (const auto* const set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    CHECK(status_of(init, set) == "0000000000000000");
  struct stat file {};
  REQUIRE(::stat(("/proc/" + std::to_string(init) + "/status").c_str(), &file) == 0);
  CHECK(file.st_uid == 0);
}

TEST_CASE("as root no two instances have one uid") {
  if (!as_root()) {
    CHECK((*start(inside({"wait"})).report)[wall::own_uid].state == wall_state::unavailable);
    return;
  }
  auto one = start(inside({"wait"}));
  auto other = start(inside({"wait"}));
  CHECK((*one.report)[wall::own_uid].value != (*other.report)[wall::own_uid].value);
  launched_spawner second{options()};
  auto third = start(second, inside({"wait"}));
  CHECK((*third.report)[wall::own_uid].value != (*one.report)[wall::own_uid].value);
  CHECK((*third.report)[wall::own_uid].value != (*other.report)[wall::own_uid].value);
}

TEST_CASE("as root the other walls stand without a user namespace") {
  if (!as_root()) return;  // who has none of the namespaces then
  launched_spawner by{options(only(wall::user_namespace))};
  auto how = whole();
  how.waived.set(index_of(wall::namespace_limits));
  auto child = start(by, inside({"wait"}, how));
  for (const auto which : {wall::own_uid, wall::mount_namespace, wall::pid_namespace})
    CHECK((*child.report)[which].state == wall_state::enforced);
  CHECK((*child.report)[wall::namespace_limits].error_number == EPERM);
  CHECK((*child.report)[wall::own_uid].observed);
  const auto uid = std::to_string((*child.report)[wall::own_uid].value);
  CHECK(status_of(child.process->pid(), "Gid") == uid + "\t" + uid + "\t" + uid + "\t" + uid);
}

TEST_CASE("without namespaces the filter, Landlock and the limits stand") {
  auto how = whole(profile::no_userns);
  auto child = start(inside({"wait"}, how));
  const auto& report = *child.report;
  CHECK(report.of == profile::no_userns);
  CHECK(report[wall::user_namespace].state == wall_state::off);
  CHECK(report[wall::seccomp].state == wall_state::enforced);
  CHECK(report[wall::landlock].state == wall_state::enforced);
  CHECK(report[wall::no_capabilities].state == wall_state::enforced);
  if (as_root()) CHECK(report[wall::own_uid].observed);
  CHECK(attempt(spawner(), "open", how) == "EACCES");
  CHECK(attempt(spawner(), "socket", how) == "SIGSYS");
  CHECK(child.process->signal_group(SIGKILL));
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));
}
