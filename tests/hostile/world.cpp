// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/world.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "tests/hostile/attack.hpp"

namespace hostile {

namespace {

namespace fs = std::filesystem;

constexpr const char* outside_suffix = "-outside";

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// A sealed copy in memory, as the broker makes of a release.
bulkhead::unique_fd sealed_copy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  const std::string all = bytes.str();
  constexpr unsigned executable = 0x10;  // MFD_EXEC
  bulkhead::unique_fd memory(
      ::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | executable));
  if (memory.get() < 0) fail("memfd_create");
  if (::write(memory.get(), all.data(), all.size()) != static_cast<ssize_t>(all.size())) {
    fail("the copy in memory");
  }
  // Not what it was written through: that one could not be executed.
  bulkhead::unique_fd readable(
      ::open(fmt::format("/proc/self/fd/{}", memory.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (readable.get() < 0) fail("reopening the copy");
  ::fchmod(memory.get(), 0111);
  constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(memory.get(), F_ADD_SEALS, all_seals) < 0) fail("sealing");
  return readable;
}

}  // namespace

bulkhead::resource_limits small_limits() {
  bulkhead::resource_limits limits;
  limits.memory_bytes = 64ULL << 20U;
  limits.tasks = 16;
  limits.descriptors = 64;
  limits.pending_signals = 32;
  limits.cpu_percent = 10;
  return limits;
}

void become(uid_t uid) {
  const std::array<gid_t, 1> groups{extra_group};
  const bool done = ::setgroups(groups.size(), groups.data()) == 0 &&
                    ::setresgid(uid, uid, uid) == 0 && ::setresuid(uid, uid, uid) == 0;
  if (!done) ::_exit(125);
}

world::world(const attack_files& from, openness to)
    : changes_user_(::geteuid() == 0),
      attacker_(changes_user_ ? attacker_uid : ::geteuid()),
      to_(to) {
  make_files(from);
  make_ways_out();
  give_away();
  for (auto& [as, program] : programs_) {
    program.image = std::make_shared<const bulkhead::unique_fd>(sealed_copy(program.path));
  }
  leave_descriptors_open();
  ::setenv("BULKHEAD_HOSTILE_SECRET", std::string(secret).c_str(), 1);
  start_victim();
}

world::~world() {
  victim_input_ = {};
  if (victim_ > 0) {
    ::waitpid(victim_, nullptr, 0);
  }
  for (const int each : left_open_) ::close(each);
  tidy();
  ::unlink((directory_.path() + outside_suffix).c_str());
}

mode_t world::canary_mode() const {
  return to_ == openness::everybody ? 0666 : 0600;
}

const launchable& world::program(shape as) const {
  return programs_.at(as);
}

void world::make_files(const attack_files& from) {
  const bool open = to_ == openness::everybody;
  ::chmod(directory_.path().c_str(), open ? 0777 : 0755);
  programs_[shape::alone].path = directory_ / "hostile";
  // Named as one to which the host lends its library, so that it gets all that an interpreter gets.
  programs_[shape::linked].path = directory_ / "perl-hostile";
  programs_[shape::script].path = directory_ / "script";
  fs::copy_file(from.alone, program(shape::alone).path);
  fs::copy_file(from.linked, program(shape::linked).path);
  std::ofstream(program(shape::script).path)
      << "#!" << program(shape::linked).path << " as-script\n";
  for (const auto& [as, program] : programs_) ::chmod(program.path.c_str(), 0755);
  const std::string canary = directory_ / "canary";
  std::ofstream(canary) << secret << " in a file\n";
  ::chmod(canary.c_str(), canary_mode());
  if (!changes_user_) return;
  set_uid_ = directory_ / "set-uid";
  fs::copy_file(from.alone, set_uid_);
  if (::chown(set_uid_.c_str(), other_uid, other_uid) < 0) fail("the set-uid copy");
  ::chmod(set_uid_.c_str(), 04755);
}

/// What a careless operator may have in a directory: a link that leads out of it, and a device.
void world::make_ways_out() {
  const std::string outside = directory_.path() + outside_suffix;
  std::ofstream(outside) << secret << " elsewhere\n";
  ::chmod(outside.c_str(), to_ == openness::everybody ? 0666 : 0600);
  fs::create_symlink(outside, directory_ / "way-out");
  if (!changes_user_) return;
  if (::chown(outside.c_str(), attacker_, attacker_) < 0) fail(outside);
  const std::string node = directory_ / "device";
  if (::mknod(node.c_str(), S_IFCHR | 0666, ::makedev(1, 5)) < 0) return;  // /dev/zero
  ::chmod(node.c_str(), 0666);
  // Where the machine lets no node of this file system be used, it is no target.
  const bulkhead::unique_fd opened(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened) node_ = node;
}

void world::give_away() {
  if (!changes_user_) return;
  std::vector<std::string> all{directory_.path(), directory_ / "canary"};
  for (const auto& [as, program] : programs_) all.push_back(program.path);
  for (const std::string& each : all) {
    if (::chown(each.c_str(), attacker_, attacker_) < 0) fail(each);
  }
}

void world::leave_descriptors_open() {
  constexpr int first = 30;
  const auto leave = [&](int opened) {
    if (opened < 0) fail("what is left open");
    left_open_.push_back(::fcntl(opened, F_DUPFD, first));
    ::close(opened);
  };
  leave(::open((directory_ / "canary").c_str(), O_RDONLY | O_CLOEXEC));
  leave(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  leave(::open(program().path.c_str(), O_RDONLY | O_CLOEXEC));
}

void world::start_victim() {
  std::array<int, 2> input{};
  std::array<int, 2> output{};
  if (::pipe2(input.data(), O_CLOEXEC) < 0 || ::pipe2(output.data(), O_CLOEXEC) < 0) fail("a pipe");
  victim_ = ::fork();
  if (victim_ < 0) fail("the victim");
  if (victim_ == 0) {
    ::dup2(input[0], 0);
    ::dup2(output[1], 1);
    if (changes_user_) become(attacker_);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (to_ == openness::everybody) ::umask(0);
    ::execl(program().path.c_str(), "hostile", "victim", directory_.path().c_str(), nullptr);
    ::_exit(126);
  }
  ::close(input[0]);
  ::close(output[1]);
  victim_input_ = bulkhead::unique_fd(input[1]);
  std::FILE* const said = ::fdopen(output[0], "r");
  std::array<char, 4096> line{};
  const bool spoke = std::fgets(line.data(), line.size(), said) != nullptr;
  std::fclose(said);
  if (!spoke) throw std::runtime_error("the victim did not come up");
  targets_ = line.data();
}

bool world::victim_lives() const {
  siginfo_t info{};
  const int rc = ::waitid(P_PID, static_cast<id_t>(victim_), &info, WEXITED | WNOHANG | WNOWAIT);
  return rc == 0 && info.si_pid == 0;
}

void world::tidy() const {
  const std::string scratch = directory_.path() + "-scratch";
  const std::string in_shared_memory = "/dev/shm" + scratch.substr(scratch.rfind('/'));
  for (const auto& each : {scratch, in_shared_memory, directory_ / "core"}) {
    ::unlink(each.c_str());
  }
  for (const char* name :
       {"written", "node", "code", "disk", "hard-link", "symbolic-link", "left"}) {
    ::unlink((directory_ / name).c_str());
  }
  ::chmod((directory_ / "canary").c_str(), canary_mode());
}

std::vector<std::string> world::words(const std::string& attack, shape as) const {
  std::vector<std::string> all{attack};
  std::istringstream targets(targets_);
  for (std::string word; targets >> word;) all.push_back(word);
  const auto limits = small_limits();
  all.push_back("canary=" + (directory_ / "canary"));
  all.push_back("directory=" + directory_.path());
  all.push_back("self=" + program(as).path);
  all.push_back("set-uid=" + set_uid_);
  all.push_back("outside=" + directory_.path() + outside_suffix);
  all.push_back("node=" + node_);
  all.push_back("scratch=" + directory_.path() + "-scratch");
  all.push_back(fmt::format("memory-bytes={}", limits.memory_bytes));
  all.push_back(fmt::format("tasks={}", limits.tasks));
  all.push_back(fmt::format("descriptors={}", limits.descriptors));
  all.push_back(fmt::format("pending-signals={}", limits.pending_signals));
  return all;
}

}  // namespace hostile
