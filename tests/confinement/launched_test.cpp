// SPDX-License-Identifier: Apache-2.0
// A confined process as a child: how it ends, how it is signalled, and what ends with what.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/confinement/confined.hpp"

using bulkhead::exit_status;
using bulkhead::launched_spawner;
using bulkhead::spawn_failure;
using bulkhead::unique_fd;
using bulkhead::wall;
using namespace confined;

namespace {

unique_fd handle_on(pid_t process) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
}

bool ends(const unique_fd& handle) {
  return readable(handle.get());
}

/// Does it stand anywhere in the memory of the process? Nothing when that cannot be read.
std::optional<bool> memory_holds(pid_t process, const std::string& what) {
  const auto folder = "/proc/" + std::to_string(process);
  const unique_fd memory{::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!memory) return std::nullopt;
  std::ifstream maps{folder + "/maps"};
  std::string bytes;
  for (std::string line; std::getline(maps, line);) {
    std::size_t dash = 0;
    const auto from = std::stoull(line, &dash, 16);
    const auto to = std::stoull(line.substr(dash + 1), nullptr, 16);
    bytes.resize(to - from);
    const auto got = ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(from));
    if (got > 0 && bytes.find(what) != std::string::npos) return true;
  }
  return false;
}

long open_descriptors() {
  const auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

/// Of processor time, in the kernel's ticks.
long ticks_of(pid_t process) {
  std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
  std::string word;
  long user = 0, system = 0;
  for (int n = 0; n < 13; ++n) file >> word;  // its name has no blank
  file >> user >> system;
  return user + system;
}

}  // namespace

TEST_CASE("the status of a confined process comes whole") {
  auto child = start(inside({"exit", "7"}));
  CHECK(end_of(child) == exit_status::exited(7));
  CHECK(child.process->reap() == exit_status::exited(7));
  CHECK_FALSE(child.process->signal(SIGTERM));
  auto crash = start(inside({"abort"}));
  CHECK(end_of(crash) == exit_status::signaled(SIGABRT, false));
}

TEST_CASE("arguments arrive as they were given") {
  auto child = start(inside({"arguments", "", "two words", "\xc3\xa4"}));
  CHECK(text_of(child.standard_output) == inside_path() + "\narguments\n\ntwo words\n\xc3\xa4\n");
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a signal reaches the plugin alone, and is reported as what ended it") {
  auto child = start(inside({"wait"}));
  CHECK_FALSE(child.process->peek());
  CHECK(child.process->signal(SIGTERM));
  CHECK(end_of(child) == exit_status::signaled(SIGTERM, false));
}

TEST_CASE("the group is killed with its init") {
  auto child = start(inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  CHECK(child.process->signal_group(SIGKILL));
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));
  CHECK(ends(plugin));
}

TEST_CASE("the link is a socket to the plugin, and its end is seen there") {
  auto child = start(inside({"wait"}));
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a shipped plugin waits under its filter, and ends with its link") {
  if (plugin_path().empty()) {
    WARN("this build has sanitizers, so its plugins are not run confined");
    return;
  }
  auto spec = inside({});
  spec.executable = plugin_path();
  auto child = start(spec);
  // Garbage is an answer's worth of work: it reads, complains and ends by itself.
  REQUIRE(::write(child.link.get(), "\xff\xff\xff\xff\0\0\0\0", 8) == 8);
  CHECK(end_of(child).how == exit_status::kind::exited);
  auto other = start(spec);
  other.link.reset();
  CHECK(end_of(other) == exit_status::exited(0));
}

TEST_CASE("a process whose handle goes is killed") {
  auto child = start(inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  const auto init = handle_on(parent_of(child.process->pid()));
  child.process.reset();
  CHECK(ends(plugin));
  CHECK(ends(init));
}

TEST_CASE(
    "without a process tree of its own a plugin ends with its init, its launcher and its handle") {
  const auto how = whole(bulkhead::profile::no_userns);
  launched_spawner by{options()};
  const auto ends_with = [&](const char* which, auto&& kill) {
    CAPTURE(which);
    auto child = start(by, inside({"wait"}, how));
    const auto plugin = handle_on(child.process->pid());
    kill(child);
    CHECK(ends(plugin));
  };
  ends_with("handle", [](auto& child) { child.process.reset(); });
  ends_with("group", [](auto& child) { child.process->signal_group(SIGKILL); });
  ends_with("init", [](auto& child) { ::kill(parent_of(child.process->pid()), SIGKILL); });
  ends_with("launcher",
            [](auto& child) { ::kill(parent_of(parent_of(child.process->pid())), SIGKILL); });
}

TEST_CASE("a launcher that is killed takes its instances along, and the next start has another") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const auto plugin = handle_on(child.process->pid());
  const auto launcher = parent_of(parent_of(child.process->pid()));
  REQUIRE(parent_of(launcher) == ::getpid());
  REQUIRE(::kill(launcher, SIGKILL) == 0);
  CHECK(ends(plugin));
  CHECK(end_of(child) == exit_status::signaled(SIGKILL, false));
  auto next = start(by, inside({"exit", "3"}));
  CHECK(end_of(next) == exit_status::exited(3));
}

TEST_CASE("who has ended is not signalled, though its init is still to be seen") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const auto launcher = launcher_of(child);
  const auto init = handle_on(parent_of(child.process->pid()));
  REQUIRE(::kill(launcher, SIGSTOP) == 0);  // and reaps nobody
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(0));
  CHECK(ends(init));
  CHECK_FALSE(child.process->signal_group(SIGKILL));
  CHECK_FALSE(child.process->signal(SIGKILL));
  REQUIRE(::kill(launcher, SIGCONT) == 0);
}

TEST_CASE("without a process tree of its own a plugin ends with its init, whoever looks") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}, whole(bulkhead::profile::no_userns)));
  const auto plugin = handle_on(child.process->pid());
  const auto launcher = launcher_of(child);
  REQUIRE(::kill(launcher, SIGSTOP) == 0);  // which would end what is left
  REQUIRE(::kill(parent_of(child.process->pid()), SIGKILL) == 0);
  CHECK(ends(plugin));
  REQUIRE(::kill(launcher, SIGCONT) == 0);
}

TEST_CASE("a spawner that goes leaves no descriptor") {
  start(confined::spawner(), inside({"exit", "0"}));  // whatever stays from the first one on
  const auto before = confined::descriptors_of(::getpid());
  {
    launched_spawner by{options()};
    auto child = start(by, inside({"exit", "0"}));
    end_of(child);
  }
  CHECK(confined::descriptors_of(::getpid()).size() == before.size());
}

TEST_CASE("an init ends by itself when its plugin has") {
  auto child = start(inside({"wait"}));
  const auto init = handle_on(parent_of(child.process->pid()));
  REQUIRE(init);
  child.link.reset();
  // Nobody has asked for its end, as nobody has looked at the plugin's.
  CHECK(ends(init));
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("an init without a filter reaps what its plugin leaves, at its leisure") {
  bulkhead::wall_set without;
  without.set(index_of(wall::seccomp));
  launched_spawner by{options(without)};
  auto child = start(by, inside({"orphan"}));
  const auto plugin = child.process->pid(), init = parent_of(plugin);
  CHECK(status_of(init, "Seccomp") == "0");
  CHECK(comes_true([&] { return children_of(plugin).empty() && children_of(init).size() == 1; }));
  CHECK_FALSE(child.process->peek());
  const auto before = ticks_of(init);
  ::poll(nullptr, 0, 300);
  CHECK(ticks_of(init) - before < 10);  // hundredths of a second
}

TEST_CASE("what a plugin leaves without a process tree of its own ends with its group") {
  if (!as_root()) return;  // nobody has a group
  bulkhead::wall_set without;
  without.set(index_of(wall::seccomp));
  launched_spawner by{options(without)};
  auto child = start(by, inside({"leave-child"}, whole(bulkhead::profile::no_userns)));
  const auto plugin = child.process->pid();
  CHECK(comes_true([&] { return children_of(plugin).size() == 1; }));
  const auto left = children_of(plugin).at(0);
  child.process->signal_group(SIGKILL);
  end_of(child);
  CHECK(comes_true([&] { return ::kill(left, 0) != 0 || status_of(left, "State")[0] == 'Z'; }));
}

TEST_CASE("a spawner that goes leaves what it started, until that goes too") {
  auto by = std::make_unique<launched_spawner>(options());
  auto child = start(*by, inside({"wait"}));
  by.reset();
  CHECK_FALSE(child.process->peek());
  child.link.reset();
  CHECK(end_of(child) == exit_status::exited(0));
}

TEST_CASE("a program that is none, or is not there, fails by its name") {
  auto spec = inside({});
  spec.executable = "/nonexistent/plugin";
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::not_found);
  spec.executable = "/etc/passwd";
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::not_executable);
  spec = inside(std::vector<std::string>(1000, "word"));
  CHECK(start_fails(spawner(), spec).failure == spawn_failure::arguments_too_long);
}

TEST_CASE("a program that the plugin could read is one that could be dumped, and is refused") {
  bulkhead::launcher_link link{bulkhead::start_launcher(launcher_path()), std::chrono::seconds{10}};
  const unique_fd program{::open(inside_path().c_str(), O_RDONLY | O_CLOEXEC)};
  const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  bulkhead::launcher::start_order order;
  order.wanted = bulkhead::wanted_walls(whole().of).to_ullong();
  order.required = std::uint64_t{1} << index_of(wall::not_dumpable);
  order.arguments = 1;
  order.text_bytes = 1;
  const auto answer =
      link.start(order, std::array{program.get(), null.get(), null.get(), null.get(), null.get()})
          .answer;
  CHECK(answer.stopped_at == bulkhead::launcher::stage::wall);
  CHECK(answer.wall == index_of(wall::not_dumpable));
  CHECK(answer.error_number == EACCES);
}

// -- a broker that is not root -------------------------------------------------------------------

namespace {

bulkhead::launched_spawner_options options_for_owner() {
  auto how = options();
  how.starts = [] { return bulkhead::start_launcher(launcher_path(), owner); };
  return how;
}

bulkhead::wall_set walls_of(std::initializer_list<wall> some) {
  bulkhead::wall_set all;
  for (const auto each : some) all.set(index_of(each));
  return all;
}

}  // namespace

TEST_CASE("a launcher of root's for a broker that is not starts nothing as root") {
  if (!as_root()) return;
  launched_spawner by{options_for_owner()};
  CHECK(start(by, inside({"wait"})).report->of == bulkhead::profile::strict);
  for (const auto& which :
       {walls_of({wall::own_uid}), walls_of({wall::no_groups}), walls_of({wall::no_capabilities}),
        walls_of({wall::no_new_privileges}), walls_of({wall::lifeline}),
        walls_of({wall::user_namespace}), walls_of({wall::pid_namespace, wall::cgroup_kill})}) {
    auto how = whole();
    how.waived |= which;
    CHECK(start_fails(by, inside({"wait"}, how)).why.find("cannot be waived (EPERM)") !=
          std::string::npos);
  }
  auto how = whole();
  how.waived = walls_of({wall::seccomp, wall::pid_namespace});
  CHECK(start(by, inside({"wait"}, how)).report->waived == how.waived);
}

TEST_CASE("a launcher of root's for a broker that is not grants that user's directories") {
  if (!as_root()) return;
  launched_spawner by{options_for_owner()};
  constexpr unsigned stranger = owner + 1;
  const owned_folder own, of_others{0700, stranger}, shown_by_others{0755, stranger},
      open_to_all{0777, stranger};
  const auto refusal = [&](bulkhead::grant_kind kind, const std::string& folder) {
    return start_fails(by, inside({"wait"}, with_grant(kind, folder))).why;
  };
  const std::string not_its =
      " is not the directory of the broker's user, and not open to "
      "everybody (EACCES)";
  CHECK(refusal(bulkhead::grant_kind::read_directory, of_others.path()) ==
        "the grant read-dir " + of_others.path() + not_its);
  CHECK(refusal(bulkhead::grant_kind::write_directory, open_to_all.path()) ==
        "the grant write-dir " + open_to_all.path() + not_its);
  for (const auto& [kind, folder] :
       {std::pair{bulkhead::grant_kind::write_directory, own.path()},
        {bulkhead::grant_kind::read_directory, shown_by_others.path()}})
    start(by, inside({"wait"}, with_grant(kind, folder)));
}

TEST_CASE("a launcher takes one argument, a user who is not root, or none") {
  for (const auto* argument : {"0", "", "x", "-1", "4294967295", "99999999999999999999"}) {
    const auto command = launcher_path() + " '" + argument + "' 3<&0 </dev/null";
    CHECK(WEXITSTATUS(std::system(command.c_str())) == 2);
  }
}

TEST_CASE("a variable of one plugin does not stay in the memory of which others are born") {
  launched_spawner by{options()};
  auto how = whole();
  std::string value = "value-";  // not whole in this program's text, which the launcher is not of
  for (int n = 0; n < 16; ++n) value += static_cast<char>('a' + (::getpid() >> n) % 16 + n % 3);
  how.grants.push_back({bulkhead::grant_kind::environment, "TOKEN=" + value, ""});
  auto child = start(by, inside({"wait"}, how));
  const auto init = parent_of(child.process->pid());
  const auto launcher = parent_of(init);
  auto others = children_of(launcher);
  for (int n = 0; n < 1000 && others.size() < 3; ++n) {
    ::poll(nullptr, 0, 5);
    others = children_of(launcher);
  }
  REQUIRE(others.size() == 3);
  REQUIRE(memory_holds(launcher, "plugin-init") == true);  // it can be looked into
  CHECK(memory_holds(launcher, value) == false);
  for (const auto other : others) {
    // Root looks into anybody; nobody not into what cannot be traced.
    if (other != init && as_root()) CHECK(memory_holds(other, value) == false);
  }
}

TEST_CASE("starts and ends leave no descriptor behind") {
  for (int n = 0; n < 3; ++n) {  // whatever is opened once is open by then
    auto child = start(inside({"exit", "0"}));
    end_of(child);
  }
  const auto before = open_descriptors();
  for (int n = 0; n < 20; ++n) {
    auto child = start(inside({"exit", "0"}));
    end_of(child);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("starts and ends leave no memory of the launcher's behind") {
  launched_spawner by{options()};
  auto first = start(by, inside({"wait"}));
  const auto kib = [launcher = launcher_of(first)] {
    return std::stol(status_of(launcher, "VmSize"));
  };
  const auto before = kib();
  for (int n = 0; n < 20; ++n) {
    auto child = start(by, inside({"exit", "0"}));
    end_of(child);
  }
  constexpr long pages_of_spares = 4;
  CHECK(comes_true([&] { return kib() <= before + pages_of_spares * 4; }));
}

TEST_CASE("an unconfined start goes past the launcher") {
  auto options_without = options();
  options_without.starts = []() -> bulkhead::launcher_process {
    throw std::system_error{ENOENT, std::generic_category(), "none"};
  };
  launched_spawner by{options_without};
  auto spec = inside({"exit", "5"});
  spec.confined = nullptr;
  auto child = start(by, spec);
  CHECK_FALSE(child.report);
  CHECK(end_of(child) == exit_status::exited(5));
  spec = inside({"exit", "5"});
  CHECK(start_fails(by, spec).failure == spawn_failure::no_launcher);
}
