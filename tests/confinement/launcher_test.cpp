// SPDX-License-Identifier: Apache-2.0
// The launcher itself: what it holds of the host's beside other launchers, what it clears away
// after those that are no more, and what it goes on through.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "actors/launcher/messages.hpp"
#include "actors/launcher/orders.hpp"
#include "tests/confinement/confined.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

constexpr std::int64_t first_user = 2'000'203'776;
constexpr std::int64_t users_of_a_block = 4096;
constexpr std::int64_t blocks = 35'925;
constexpr const char* file_of_blocks = "/run/bulkhead-users";

std::int64_t block_of(const spawned_process& child) {
  return ((*child.report)[wall::own_uid].value - first_user) / users_of_a_block;
}

struct flock part(short type, std::int64_t first, std::int64_t count) {
  struct flock bytes {};
  bytes.l_type = type;
  bytes.l_whence = SEEK_SET;
  bytes.l_start = first;
  bytes.l_len = count;
  return bytes;
}

bool is_held(const unique_fd& file, std::int64_t block) {
  auto bytes = part(F_WRLCK, block, 1);
  REQUIRE(::fcntl(file.get(), F_OFD_GETLK, &bytes) == 0);
  return bytes.l_type != F_UNLCK;
}

void change_lock(const unique_fd& file, short type, std::int64_t first, std::int64_t count) {
  auto bytes = part(type, first, count);
  REQUIRE(::fcntl(file.get(), F_OFD_SETLK, &bytes) == 0);
}

/// A launcher to whom the directory is /run.
launched_spawner_options with_run(const std::string& directory, unsigned flags = 0) {
  auto chosen = options();
  chosen.starts = launcher_after(launcher_path(), [directory, flags] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(directory.c_str(), "/run", nullptr, MS_BIND, nullptr) != 0 ||
        ::mount(nullptr, "/run", nullptr, MS_REMOUNT | MS_BIND | flags, nullptr) != 0)
      ::_exit(126);
  });
  return chosen;
}

spawn_error refused_with_run(const std::string& directory, unsigned flags = 0) {
  launched_spawner by{with_run(directory, flags)};
  return start_fails(by, inside({"wait"}));
}

/// A directory as /run is.
void make_public(const temporary_directory& folder) {
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
}

/// The group of a process: of the controller of memory, or of all of version 2.
std::string group_of(pid_t process) {
  const auto groups = groups_of(process);
  const auto memory = groups.find("memory");
  if (memory != groups.end()) return "/sys/fs/cgroup/memory" + memory->second;
  return "/sys/fs/cgroup" + groups.at("");
}

/// Where version 2 is mounted; empty: nowhere.
std::string place_of_version_2() {
  std::ifstream file{"/proc/self/mountinfo"};
  for (std::string line; std::getline(file, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream words{line};
    std::string skipped, place;
    words >> skipped >> skipped >> skipped >> skipped >> place;
    return place;
  }
  return {};
}

/// Of those that the launcher uses.
bool has_controllers(const std::string& group) {
  std::ifstream file{group + "/cgroup.controllers"};
  for (std::string word; file >> word;)
    if (word == "memory" || word == "pids" || word == "cpu" || word == "io") return true;
  return false;
}

/// A directory of groups that goes with the test, with all in it.
class group_directory {
 public:
  explicit group_directory(std::string path) : path_{std::move(path)} {
    REQUIRE(::mkdir(path_.c_str(), 0755) == 0);
  }
  group_directory(const group_directory&) = delete;
  group_directory& operator=(const group_directory&) = delete;
  ~group_directory() {
    // What was in them may still be dying.
    for (const auto& each : made_) comes_true([&] { return goes(each); });
    comes_true([&] { return goes(path_); });
  }

  const std::string& path() const { return path_; }

  std::string make(const std::string& name, unsigned mode) {
    made_.push_back(path_ + "/" + name);
    REQUIRE(::mkdir(made_.back().c_str(), mode) == 0);
    return made_.back();
  }

 private:
  static bool goes(const std::string& path) {
    return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
  }

  std::string path_;
  std::vector<std::string> made_;
};

bool is_there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

/// A process that waits, in the group; killed with its object.
class lodger {
 public:
  explicit lodger(const std::string& group) {
    process_ = ::fork();
    if (process_ == 0)
      for (;;) ::pause();
    std::ofstream{group + "/cgroup.procs"} << process_ << std::flush;
  }
  lodger(const lodger&) = delete;
  lodger& operator=(const lodger&) = delete;
  ~lodger() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

  pid_t process() const { return process_; }

 private:
  pid_t process_ = -1;
};

/// The group of a process by version 1's controller of memory; empty where that is version 2's.
std::string memory_group_of(pid_t process) {
  const auto groups = groups_of(process);
  const auto memory = groups.find("memory");
  return memory != groups.end() ? "/sys/fs/cgroup/memory" + memory->second : "";
}

void take_away(const std::string& mount) {
  if (::umount2(mount.c_str(), MNT_DETACH) != 0) ::_exit(126);
}

void have_own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    ::_exit(126);
}

/// Into which this process goes.
void enter_group(const std::string& directory) {
  std::ofstream{directory + "/cgroup.procs"} << ::getpid() << std::flush;
}

/// The socket of a launcher, without the link around it, which reads each answer at once. It has
/// room for few answers, and the launcher waits a moment for more before it fails to send one: as
/// if there were no memory.
class bare_launcher {
 public:
  explicit bare_launcher(bool greeted = true) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    socket_ = unique_fd{ends[0]};
    const unique_fd theirs{ends[1]};
    const int bytes = 1;  // the kernel makes that its minimum
    const timeval most{0, 20'000};
    REQUIRE(::setsockopt(theirs.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
    REQUIRE(::setsockopt(theirs.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) == 0);
    const auto path = launcher_path();
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(theirs.get(), launcher::socket_fd);
      ::execl(path.c_str(), path.c_str(), nullptr);
      ::_exit(127);
    }
    std::array<int, 2> line{};
    REQUIRE(::pipe2(line.data(), O_CLOEXEC) == 0);
    const unique_fd far{line[0]};
    lifeline_ = unique_fd{line[1]};
    if (!greeted) return;
    say_hello(far);
    CHECK(answer<launcher::hello_answer>().head.number == 1);
  }

  void say_hello(const unique_fd& lifeline) const {
    launcher::hello_order hello;
    hello.head = head_of(launcher::order_kind::hello, 1);
    send(&hello, sizeof hello, std::array{lifeline.get()});
  }

  static launcher::header head_of(launcher::order_kind kind, std::uint64_t number) {
    launcher::header head;
    head.kind = static_cast<std::uint16_t>(kind);
    head.number = number;
    return head;
  }

  void send(const void* order, std::size_t size, std::span<const int> fds = {}) const {
    REQUIRE(launcher::send_message(socket_.get(), order, size, fds));
  }

  /// Its descriptors are closed.
  template <class Answer>
  Answer answer() const {
    Answer came;
    std::array<int, 8> fds{};
    REQUIRE(readable(socket_.get()));
    const auto got = launcher::receive_message(socket_.get(), &came, sizeof came, fds);
    for (std::size_t n = 0; n < got.fds; ++n) ::close(fds[n]);
    REQUIRE(got.size == static_cast<ssize_t>(sizeof came));
    return came;
  }

  /// An order with a short answer. False: that one does not come.
  bool ask() {
    launcher::limits_order order;
    order.head = head_of(launcher::order_kind::limits, 2);
    order.instance = 4711;
    send(&order, sizeof order);
    ++asked_;
    const auto wanted = asked_ * static_cast<int>(sizeof(launcher::limits_answer));
    for (int tries = 0; tries < 40; ++tries) {
      int waiting = 0;
      REQUIRE(::ioctl(socket_.get(), FIONREAD, &waiting) == 0);
      if (waiting == wanted) return true;
      ::poll(nullptr, 0, 5);
    }
    return false;
  }
  bool hangs_up() const {
    char byte = 0;
    return readable(socket_.get()) && ::recv(socket_.get(), &byte, 1, 0) == 0;
  }
  /// Its only instance so far was killed.
  bool has_killed() const {
    const auto children = children_of(process_);
    return children.size() == 1 && status_of(children.front(), "State").starts_with('Z');
  }
  /// Reads the answers to these.
  void take_answers() {
    for (; asked_ > 0; --asked_) CHECK(answer<launcher::limits_answer>().error_number == ESRCH);
  }

 private:
  pid_t process_ = -1;
  unique_fd socket_, lifeline_;
  int asked_ = 0;
};

/// A plugin that says "!" and waits for the end of its link.
class greeter {
 public:
  greeter() : program_{::open(inside_path().c_str(), O_RDONLY | O_CLOEXEC)} {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    said_ = unique_fd{ends[0]};
    output_ = unique_fd{ends[1]};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    link_ = unique_fd{ends[0]};
    far_link_ = unique_fd{ends[1]};
  }

  void order(const bare_launcher& from, std::uint64_t number) {
    const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    launcher::start_order order;
    order.head = bare_launcher::head_of(launcher::order_kind::start, number);
    ask_for_inside(order, "greet");
    from.send(&order, launcher::size_of(order),
              std::array{program_.get(), null.get(), output_.get(), null.get(), far_link_.get()});
    output_.reset();
    far_link_.reset();
  }

  /// All that it said until it ended.
  std::string all_it_said() const { return text_of(said_); }
  void end() { link_.reset(); }

 private:
  unique_fd program_, said_, output_, link_, far_link_;
};

/// The longest of the waits for an answer of the launcher while it has groups to remove that are
/// not empty; and whether they went when they were.
struct removal {
  std::chrono::milliseconds wait;
  bool went;
};

removal remove_groups_that_are_in_use() {
  constexpr int instances = 8;
  launched_spawner by{options()};
  std::vector<spawned_process> children;
  std::vector<std::string> groups;
  groups.reserve(instances);
  for (int n = 0; n < instances; ++n) {
    children.push_back(start(by, inside({"wait"})));
    groups.push_back(memory_group_of(children.back().process->pid()));
  }
  std::vector<std::unique_ptr<lodger>> lodgers;
  lodgers.reserve(groups.size());
  for (const auto& each : groups) lodgers.push_back(std::make_unique<lodger>(each));
  for (auto& each : children) {
    each.process->signal_group(SIGKILL);
    end_of(each);
  }
  const auto then = std::chrono::steady_clock::now();
  CHECK(by.set_limits(children.back().ticket + 1000, {}) == ESRCH);
  const auto wait = std::chrono::steady_clock::now() - then;
  for (int n = 0; n < 20; ++n) {
    ::poll(nullptr, 0, 10);  // longer than anybody would wait in one go
    for (const auto& each : groups) CHECK(is_there(each));
  }
  lodgers.clear();
  const bool went = comes_true([&] {
    return std::none_of(groups.begin(), groups.end(), [](auto& at) { return is_there(at); });
  });
  return {std::chrono::duration_cast<std::chrono::milliseconds>(wait), went};
}

}  // namespace

TEST_CASE("a block of uids is held by a lock that only root can have, and goes with its launcher") {
  if (!as_root()) {
    CHECK((*start(inside({"wait"})).report)[wall::own_uid].error_number == EPERM);
    return;
  }
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const auto block = block_of(child);
  const unique_fd file{::open(file_of_blocks, O_RDWR | O_CLOEXEC)};
  REQUIRE(file);
  CHECK(is_held(file, block));
  const pid_t other = ::fork();
  if (other == 0) {
    become_nobody();
    ::_exit(::open(file_of_blocks, O_RDONLY) < 0 && errno == EACCES ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(other, &status, 0) == other);
  CHECK(status == 0);
  REQUIRE(::kill(launcher_of(child), SIGKILL) == 0);
  CHECK(comes_true([&] { return !is_held(file, block); }));
}

TEST_CASE("a launcher takes the block that is free, and refuses starts as long as there is none") {
  if (!as_root()) return;  // who has uids of nobody's; see above
  temporary_directory run;
  make_public(run);
  const unique_fd file{
      ::open((run / "bulkhead-users").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  REQUIRE(file);
  change_lock(file, F_WRLCK, 0, blocks);
  launched_spawner by{with_run(run.path())};
  const auto error = start_fails(by, inside({"wait"}));
  CHECK(error.missing == wall::own_uid);
  CHECK(error.error_number == EUSERS);
  CHECK(start_fails(by, inside({"wait"}, whole(profile::no_userns))).error_number == EUSERS);
  change_lock(file, F_UNLCK, 4711, 1);
  auto child = start(by, inside({"wait"}));
  CHECK(block_of(child) == 4711);
  CHECK(is_held(file, 4711));
  launched_spawner other{with_run(run.path())};
  CHECK(start_fails(other, inside({"wait"})).error_number == EUSERS);
}

TEST_CASE("where /run is not root's alone, or cannot be written, a start says so") {
  if (!as_root()) return;
  constexpr unsigned nobody = 65534;
  const auto refuses = [](const temporary_directory& run, int error_number, unsigned flags = 0) {
    const auto error = refused_with_run(run.path(), flags);
    CHECK(error.missing == wall::own_uid);
    CHECK(error.error_number == error_number);
    CHECK(error.remedy.find(file_of_blocks) != std::string::npos);
  };
  temporary_directory run;
  make_public(run);
  refuses(run, EROFS, MS_RDONLY);
  REQUIRE(::chmod(run.path().c_str(), 01777) == 0);
  refuses(run, EPERM);
  make_public(run);
  std::ofstream{run / "bulkhead-users"} << "";
  REQUIRE(::chmod((run / "bulkhead-users").c_str(), 0640) == 0);
  refuses(run, EPERM);
  REQUIRE(::chmod((run / "bulkhead-users").c_str(), 0600) == 0);
  REQUIRE(::chown((run / "bulkhead-users").c_str(), nobody, nobody) == 0);
  refuses(run, EPERM);
  std::filesystem::remove(run / "bulkhead-users");
  std::filesystem::create_symlink("elsewhere", run / "bulkhead-users");
  refuses(run, ELOOP);
  CHECK_FALSE(is_there(run / "elsewhere"));
}

TEST_CASE("groups are judged by the lock of their owner's mark, wherever they are") {
  if (!as_root()) return;  // nobody can make one
  constexpr unsigned nobody = 65534;
  group_directory place{group_of(::getpid()) + "/another-place-" + std::to_string(::getpid())};
  const auto living = "bulkhead-" + std::to_string(::getpid());
  // Its number says nothing: that of this process, which lives.
  const auto dead_mark = place.make(living + ".1", 0700), dead = place.make(living + ".1-1", 0755);
  // As of a launcher in another process tree.
  const auto held_mark = place.make("bulkhead-4194304.2", 0700);
  const auto held = place.make("bulkhead-4194304.2-1", 0755);
  const unique_fd lock{::open(held_mark.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  REQUIRE(::flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  const auto others_mark = place.make("bulkhead-4194304.3", 0700);
  REQUIRE(::chown(others_mark.c_str(), nobody, nobody) == 0);
  const auto others = place.make("bulkhead-4194304.3-1", 0755);
  const auto without_mark = place.make("bulkhead-4194304.4-1", 0755);
  const auto unknown = place.make("bulkhead-service", 0755);
  // No groups of the mark that they begin with, and no mark: of nobody here.
  const auto no_group = place.make(living + ".167", 0700);
  const unique_fd other_lock{::open(no_group.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  REQUIRE(::flock(other_lock.get(), LOCK_EX | LOCK_NB) == 0);
  const auto no_mark = place.make("bulkhood-4194304.6", 0700);
  // In use: come back to when it is not.
  const auto used_mark = place.make("bulkhead-4194304.5", 0700);
  const auto used = place.make("bulkhead-4194304.5-1", 0755);
  auto in_use = std::make_unique<lodger>(used);

  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  CHECK(comes_true([&] { return !is_there(dead_mark); }));
  CHECK_FALSE(is_there(dead));
  in_use.reset();
  CHECK(comes_true([&] { return !is_there(used_mark); }));
  CHECK_FALSE(is_there(used));
  for (const auto& each :
       {held_mark, held, others_mark, others, without_mark, unknown, no_group, no_mark})
    CHECK(is_there(each));
  CHECK(comes_true([&] { return descriptors_below(launcher_of(child), place.path()) == 0; }));
}

TEST_CASE("where no control groups are mounted they are missing, by the name of the first") {
  if (!as_root()) return;  // who can mount
  launched_spawner by{options_after([] {
    have_own_mounts();
    take_away("/sys/fs/cgroup");
  })};
  const auto error = start_fails(by, inside({"wait"}));
  CHECK(error.missing == wall::cgroup_memory);
  CHECK(error.error_number == ENOENT);
}

TEST_CASE("of a hierarchy of version 1 a part may be mounted, as in a container") {
  const auto all = memory_group_of(::getpid());
  if (!as_root() || all.empty()) return;
  const group_directory part{all + "/part-" + std::to_string(::getpid())};
  temporary_directory place;
  const auto seen_in_part = [&](bool inside_it) {
    return options_after([&, inside_it] {
      if (inside_it) enter_group(part.path());
      have_own_mounts();
      if (::mount(part.path().c_str(), place.path().c_str(), nullptr, MS_BIND, nullptr) != 0)
        ::_exit(126);
      take_away("/sys/fs/cgroup/memory");
    });
  };
  {
    launched_spawner by{seen_in_part(true)};
    auto child = start(by, inside({"wait"}));
    CHECK(memory_group_of(child.process->pid()).starts_with(part.path() + "/bulkhead-"));
  }
  launched_spawner by{seen_in_part(false)};
  CHECK(start_fails(by, inside({"wait"})).missing == wall::cgroup_memory);
}

TEST_CASE("in a group of version 2 that was delegated, groups are made beside the daemon's") {
  const auto unified = place_of_version_2();
  if (!as_root() || unified.empty()) return;
  group_directory above{unified + "/delegated-" + std::to_string(::getpid())};
  const auto daemon = above.make("daemon", 0755);
  REQUIRE(::setxattr(above.path().c_str(), "trusted.delegate", "1", 1, 0) == 0);
  launched_spawner by{options_after([&daemon] { enter_group(daemon); })};
  auto child = start(by, inside({"wait"}));
  bool beside = false;
  for (const auto& each : std::filesystem::directory_iterator(above.path()))
    beside = beside || each.path().filename().string().starts_with("bulkhead-");
  CHECK(beside);
  for (const auto& each : std::filesystem::directory_iterator(daemon))
    CHECK_FALSE(each.is_directory());
}

TEST_CASE("where version 2 has controllers, groups are made beside a group that has processes") {
  const auto unified = place_of_version_2();
  if (!as_root() || unified.empty()) return;
  if (!has_controllers(unified)) {
    WARN("version 2 has no controllers here");
    return;
  }
  group_directory slice{unified + "/slice-" + std::to_string(::getpid())};
  const auto scope = slice.make("scope", 0755);
  const lodger somebody{scope};
  {
    launched_spawner by{options_after([&scope] { enter_group(scope); })};
    auto child = start(by, inside({"wait"}));
    const auto group = groups_of(child.process->pid()).at("");
    CHECK(group.starts_with(slice.path().substr(unified.size()) + "/bulkhead/bulkhead-"));
    const auto named = [&](const char* file) { return is_there(unified + group + "/" + file); };
    CHECK((named("memory.max") || named("pids.max") || named("cpu.max") || named("io.weight")));
  }
  CHECK(comes_true([&] { return ::rmdir((slice.path() + "/bulkhead").c_str()) == 0; }));
}

TEST_CASE("a group of version 2 that was delegated with the daemon in it is emptied first") {
  const auto unified = place_of_version_2();
  if (!as_root() || unified.empty()) return;
  group_directory own{unified + "/handed-over-" + std::to_string(::getpid())};
  REQUIRE(::setxattr(own.path().c_str(), "trusted.delegate", "1", 1, 0) == 0);
  const auto group = [&](const std::string& name) {
    return own.path().substr(unified.size()) + name;
  };
  {
    const lodger daemon{own.path()};
    launched_spawner by{options_after([&own] { enter_group(own.path()); })};
    auto child = start(by, inside({"wait"}));
    CHECK(groups_of(child.process->pid()).at("").starts_with(group("/bulkhead-")));
    CHECK(groups_of(launcher_of(child)).at("") == group("/rest"));
    CHECK(groups_of(daemon.process()).at("") == group("/rest"));
  }
  CHECK(comes_true([&] { return ::rmdir((own.path() + "/rest").c_str()) == 0; }));
}

TEST_CASE("groups are not made in another user's") {
  const auto groups = groups_of(::getpid());
  if (!as_root() || !groups.contains("memory")) return;  // elsewhere it is another that is taken
  const group_directory theirs{group_of(::getpid()) + "/theirs-" + std::to_string(::getpid())};
  give(theirs.path());
  launched_spawner by{options_after([&theirs] { enter_group(theirs.path()); })};
  const auto error = start_fails(by, inside({"wait"}));
  CHECK(error.missing == wall::cgroup_memory);
  CHECK(error.error_number == EPERM);
}

TEST_CASE("a group that nothing can be born into is missing, and not the namespaces") {
  const auto unified = place_of_version_2();
  if (!as_root() || unified.empty() || has_controllers(unified)) return;  // else it is another
  group_directory own{unified + "/of-threads-" + std::to_string(::getpid())};
  const auto threads = own.make("threads", 0755);
  // Which makes the groups beside it no place for processes.
  std::ofstream{threads + "/cgroup.type"} << "threaded" << std::flush;
  launched_spawner by{options_after([&own] { enter_group(own.path()); })};
  const auto error = start_fails(by, inside({"wait"}));
  CHECK(error.missing == wall::cgroup_kill);
  CHECK(error.error_number == EOPNOTSUPP);
  auto how = whole();
  how.waived.set(index_of(wall::cgroup_kill));
  auto child = start(by, inside({"wait"}, how));
  CHECK((*child.report)[wall::cgroup_kill].state == wall_state::unavailable);
  CHECK((*child.report)[wall::pid_namespace].state == wall_state::enforced);
}

TEST_CASE("what lives in a group of a dead launcher is killed, where the kernel has a way") {
  const auto unified = place_of_version_2();
  if (!as_root() || unified.empty()) return;  // nobody can make a group
  group_directory place{unified + "/yet-another-place-" + std::to_string(::getpid())};
  const auto mark = place.make("bulkhead-4194304.7", 0700);
  const auto group = place.make("bulkhead-4194304.7-1", 0755);
  if (!is_there(group + "/cgroup.kill")) return;
  const lodger left{group};
  launched_spawner by{options()};
  REQUIRE(by.prepare());
  CHECK(comes_true([&] { return !is_there(mark) && !is_there(group); }));
}

TEST_CASE("a launcher that has nothing to do sleeps") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const pid_t launcher = launcher_of(child);
  child.process->signal_group(SIGKILL);
  end_of(child);
  // Longer than it ever waits for something to be done.
  CHECK(comes_true([&] {
    const auto before = status_of(launcher, "voluntary_ctxt_switches");
    ::poll(nullptr, 0, 1200);
    return status_of(launcher, "voluntary_ctxt_switches") == before;
  }));
}

TEST_CASE("a launcher has a mark that only its user can lock, and holds it") {
  launched_spawner by{options()};
  auto child = start(by, inside({"wait"}));
  const auto mark = "bulkhead-" + std::to_string(launcher_of(child)) + ".";
  int marks = 0;
  if (!as_root()) CHECK(groups_made_by(launcher_of(child)) == 0);
  const std::filesystem::path group{group_of(child.process->pid())};
  for (const auto& each : std::filesystem::directory_iterator(group.parent_path())) {
    const auto name = each.path().filename().string();
    if (!name.starts_with(mark) || name.find('-', mark.size()) != std::string::npos) continue;
    ++marks;
    struct stat found {};
    REQUIRE(::stat(each.path().c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0700);
    const unique_fd lock{::open(each.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    CHECK(::flock(lock.get(), LOCK_EX | LOCK_NB) != 0);
    CHECK(errno == EWOULDBLOCK);
  }
  CHECK(marks == (as_root() ? 1 : 0));
}

TEST_CASE("groups that are in use keep nobody waiting, and are removed when they are not") {
  if (!as_root()) return;  // then there are none
  if (memory_group_of(::getpid()).empty()) {
    WARN("control groups of version 2 kill what is in them: there is no group in use");
    return;
  }
  using namespace std::chrono_literals;
  auto wait = 1'000'000ms;
  for (int tries = 0; tries < 3 && wait >= 100ms; ++tries) {
    const auto tried = remove_groups_that_are_in_use();
    REQUIRE(tried.went);
    wait = std::min(wait, tried.wait);
  }
  CHECK(wait < 100ms);
}

TEST_CASE("an answer that cannot be sent is a failed start, and the end of nothing else") {
  bare_launcher by;
  while (by.ask()) {
  }
  int room = 0;
  for (by.take_answers(); room < 100 && by.ask(); ++room) {
  }
  by.take_answers();
  REQUIRE(room > 0);
  for (int n = 0; n < room; ++n) REQUIRE(by.ask());
  greeter first;
  first.order(by, 10);
  REQUIRE(comes_true([&] { return by.has_killed(); }));
  by.take_answers();
  const auto failed = by.answer<launcher::start_answer>();
  CHECK(failed.head.number == 10);
  CHECK(failed.stopped_at == launcher::stage::descriptors);
  CHECK(failed.error_number == EAGAIN);

  greeter second;
  second.order(by, 11);
  const auto runs = by.answer<launcher::start_answer>();
  CHECK(runs.head.number == 11);
  CHECK(runs.stopped_at == launcher::stage::none);
  second.end();
  CHECK(second.all_it_said() == "!");
}

TEST_CASE("an order of another version is refused by one that says which is spoken") {
  bare_launcher by;
  launcher::limits_order order;
  order.head = bare_launcher::head_of(launcher::order_kind::limits, 7);
  order.head.version = launcher::version + 1;
  by.send(&order, sizeof order);
  const auto refused = by.answer<launcher::start_answer>();
  CHECK(refused.head.version == launcher::version);
  CHECK(refused.head.number == 7);
  CHECK(refused.stopped_at == launcher::stage::order);
  CHECK(refused.error_number == EBADMSG);
}

TEST_CASE("a launcher that nobody has said hello to starts nothing") {
  bare_launcher by{false};
  greeter plugin;
  plugin.order(by, 7);
  const auto refused = by.answer<launcher::start_answer>();
  CHECK(refused.head.number == 7);
  CHECK(refused.stopped_at == launcher::stage::order);
  CHECK(refused.error_number == EBADMSG);
  CHECK(plugin.all_it_said().empty());
}

TEST_CASE("a change that cannot be made is answered with its wall") {
  bare_launcher by;
  greeter plugin;
  plugin.order(by, 7);
  REQUIRE(by.answer<launcher::start_answer>().stopped_at == launcher::stage::none);
  launcher::limits_order order;
  order.head = bare_launcher::head_of(launcher::order_kind::limits, 8);
  order.instance = 7;
  // Of a group less than is in it; nobody, who has none, may not raise a process's.
  if (as_root())
    order.limits.memory_bytes = 4096;
  else
    order.limits.descriptors = 100'000;
  by.send(&order, sizeof order);
  const auto answer = by.answer<launcher::limits_answer>();
  CHECK(answer.error_number == (as_root() ? EBUSY : EPERM));
  CHECK(answer.wall == index_of(as_root() ? wall::cgroup_memory : wall::resource_limits));
  plugin.end();
}

TEST_CASE("a signal for an instance that is not there goes to nobody") {
  bare_launcher by;
  launcher::signal_order order;
  order.head = bare_launcher::head_of(launcher::order_kind::signal, 8);
  order.instance = 4711;
  order.number = SIGKILL;
  for (const std::uint32_t all : {0U, 1U}) {
    order.all = all;
    by.send(&order, sizeof order);
  }
  REQUIRE(by.ask());
  by.take_answers();
}

TEST_CASE("a launcher ends when it is told what is no order at all") {
  bare_launcher by;
  by.send("garbage", 7);
  CHECK(by.hangs_up());
  launcher::limits_order order;
  order.head = bare_launcher::head_of(launcher::order_kind::limits, 8);
  order.head.magic += 1;
  bare_launcher other;
  other.send(&order, sizeof order);
  CHECK(other.hangs_up());
}

TEST_CASE("a launcher has one broker, and ends when somebody says hello again") {
  bare_launcher by;
  const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  by.say_hello(null);
  CHECK(by.hangs_up());
}

TEST_CASE("an init that cannot arrange its descriptors refuses the start, by its name") {
  launcher_link link{launcher_after(launcher_path(),
                                    [] {
                                      const rlimit few{48, 48};  // of which it wants 64 and more
                                      if (::setrlimit(RLIMIT_NOFILE, &few) != 0) ::_exit(126);
                                    })(),
                     std::chrono::seconds{10}};
  const unique_fd program{::open(inside_path().c_str(), O_RDONLY | O_CLOEXEC)};
  const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  launcher::start_order order;
  order.arguments = 1;
  order.text_bytes = 1;
  for (int n = 0; n < 2; ++n) {
    const auto answer =
        link.start(order, std::array{program.get(), null.get(), null.get(), null.get(), null.get()})
            .answer;
    CHECK(answer.stopped_at == launcher::stage::init);
    CHECK(answer.error_number == EINVAL);
  }
}
