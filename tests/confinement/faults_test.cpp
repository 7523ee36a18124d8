// SPDX-License-Identifier: Apache-2.0
// Starts to which the kernel refuses a call, or says of one that it was made when it was not.
//
// Such a start is refused, by the name of the wall or of the step that lacks the call, and nothing
// of it stays.
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include "actors/launcher/kernel.hpp"
#include "tests/confinement/confined.hpp"
#include "tests/confinement/faulty.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

struct wall_call {
  wall which;
  call needs;
};

struct step_call {
  const char* why;
  call needs;
};

confinement less(wall which) {
  auto how = whole();
  how.waived.set(index_of(which));
  return how;
}

constexpr auto file_of_users = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

const std::vector<wall_call>& calls_of_walls() {
  static const std::vector<wall_call> all{
      {wall::user_namespace, {"clone3", SYS_clone3}},
      {wall::own_uid, {"open the file of users", SYS_openat, 2, file_of_users}},
      {wall::no_groups, {"setgroups", SYS_setgroups}},
      {wall::uts_namespace, {"sethostname", SYS_sethostname}},
      {wall::uts_namespace, {"setdomainname", SYS_setdomainname}},
      {wall::landlock, {"landlock_create_ruleset", launcher::landlock_create}},
      {wall::landlock, {"landlock_create_ruleset of rules", launcher::landlock_create, 2, 0}},
      {wall::landlock, {"landlock_restrict_self", launcher::landlock_restrict}},
      {wall::seccomp, {"seccomp", SYS_seccomp}},
      {wall::no_writable_code, prctl_of("PR_SET_MDWE", launcher::set_mdwe)},
      {wall::resource_limits, limit_of("RLIMIT_CORE", RLIMIT_CORE)},
      {wall::resource_limits, limit_of("RLIMIT_MEMLOCK", RLIMIT_MEMLOCK)},
      {wall::resource_limits, limit_of("RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE)},
      {wall::resource_limits, limit_of("RLIMIT_LOCKS", RLIMIT_LOCKS)},
      {wall::resource_limits, limit_of("RLIMIT_NICE", RLIMIT_NICE)},
      {wall::resource_limits, limit_of("RLIMIT_RTPRIO", RLIMIT_RTPRIO)},
      {wall::resource_limits, limit_of("RLIMIT_RTTIME", RLIMIT_RTTIME)},
      {wall::resource_limits, limit_of("RLIMIT_FSIZE", RLIMIT_FSIZE)},
      {wall::resource_limits, limit_of("RLIMIT_DATA", RLIMIT_DATA)},
      {wall::resource_limits, limit_of("RLIMIT_STACK", RLIMIT_STACK)},
      {wall::resource_limits, limit_of("RLIMIT_NPROC", RLIMIT_NPROC)},
      {wall::resource_limits, limit_of("RLIMIT_NOFILE", RLIMIT_NOFILE)},
      {wall::resource_limits, limit_of("RLIMIT_SIGPENDING", RLIMIT_SIGPENDING)},
      // Behind the seven that the exec needs.
      {wall::descriptors, {"close_range", SYS_close_range, 0, 7}},
      {wall::own_session, {"keyctl", SYS_keyctl}},
      {wall::own_session, {"setsid", SYS_setsid}},
      {wall::parent_death, prctl_of("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG)},
  };
  return all;
}

constexpr const char* no_user = "it could not take on its user (EDOM)";
constexpr const char* no_root = "its root could not be made (EDOM)";
constexpr const char* no_init = "its init could not be set up (EDOM)";
constexpr const char* no_start = "the launcher could not start it (EDOM)";

const std::vector<step_call>& calls_of_steps() {
  static const std::vector<step_call> all{
      {no_user, {"setresgid", SYS_setresgid}},
      {no_user, {"setresuid", SYS_setresuid}},
      {no_user, {"capget", SYS_capget}},
      {no_user, {"capset", SYS_capset}},
      {no_root, {"mount", SYS_mount}},
      {no_root, {"fsopen", SYS_fsopen}},
      {no_root, {"fsconfig of an option", SYS_fsconfig, 1, FSCONFIG_SET_STRING}},
      {no_root, {"fsconfig to make it", SYS_fsconfig, 1, FSCONFIG_CMD_CREATE}},
      {no_root, {"fsmount", SYS_fsmount}},
      {no_root, {"move_mount", SYS_move_mount}},
      {no_root, {"fchdir", SYS_fchdir}},
      {no_root, {"mount_setattr", SYS_mount_setattr}},
      {no_root, {"pivot_root", SYS_pivot_root}},
      {no_root, {"umount2", SYS_umount2}},
      {no_start, {"socketpair", SYS_socketpair}},
      // By where each moves its descriptors to.
      {no_init, {"fcntl of an init", SYS_fcntl, 2, 64}},
      {no_init, {"dup3 of an init", SYS_dup3, 1, 7}},
      // Behind its six, of which one is of a group.
      {no_init, {"close_range of an init", SYS_close_range, 0, as_root() ? 9U : 8U}},
      {no_start, {"fcntl of a plugin", SYS_fcntl, 2, 256}},
      {no_start, {"dup3 of a plugin", SYS_dup3, 1, 0}},
      {"it ended on its way to its program (EIO)", {"getrandom", SYS_getrandom}},
  };
  return all;
}

/// With a directory of the host's in its root.
process_spec with_directory(const std::string& path) {
  auto how = whole();
  how.grants.push_back({grant_kind::read_directory, path, "/data/of/it"});
  return inside({"wait"}, how);
}

/// What a broker says of a start to whom the kernel refuses a call.
std::string refusal_of_broker(const call& needs) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const unique_fd heard{ends[0]};
  const pid_t broker = ::fork();
  if (broker == 0) {
    launched_spawner by{options()};
    let_fail(needs, our_error);
    const auto result = by.spawn(inside({"wait"}));
    const auto* const error = std::get_if<spawn_error>(&result);
    const auto said =
        error == nullptr ? "it runs" : std::to_string(error->error_number) + " " + error->why;
    const auto written = ::write(ends[1], said.data(), said.size());
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  auto said = text_of(heard);
  CHECK(::waitpid(broker, nullptr, 0) == broker);
  return said;
}

bool groups_are_of_version_1() {
  return groups_of(::getpid()).contains("memory");
}

constexpr std::size_t enough_for_an_init = 40;

/// Of instructions that let all through. False: there is no room for them.
bool add_filter(std::size_t instructions) {
  const std::vector<sock_filter> code(instructions, BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()),
                           const_cast<sock_filter*>(code.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/// In a process of its own: a filter stays.
bool is_room_for(std::size_t instructions) {
  const pid_t tries = ::fork();
  if (tries == 0) ::_exit(add_filter(instructions) ? 0 : 1);
  int status = -1;
  ::waitpid(tries, &status, 0);
  return status == 0;
}

/// Takes all of this process's, but for this much and half as much again.
void leave_room_for_filters(std::size_t instructions) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(126);
  constexpr std::size_t most = 4096;
  for (auto size = most; size >= instructions / 2; size /= 2)
    while (is_room_for(size + instructions))
      if (!add_filter(size)) ::_exit(126);
}

/// What a launcher has that its plugins may not.
void have_more() {
  const gid_t group = 4711;
  if (as_root() && ::setgroups(1, &group) != 0) ::_exit(126);
  for (const auto which : {RLIMIT_CORE, RLIMIT_MEMLOCK}) {
    const rlimit some{4096, 8192};
    if (::setrlimit(which, &some) != 0) ::_exit(126);
  }
}

}  // namespace

TEST_CASE("a call that fails is missed by the wall that it was for, and the start refused") {
  for (const auto& [which, needs] : calls_of_walls()) {
    // Others make no such call.
    if ((which == wall::no_groups || which == wall::own_uid) && !as_root()) continue;
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    const auto error = by.refusal();
    CHECK(error.failure == spawn_failure::no_wall);
    CHECK(error.missing == which);
    CHECK(error.error_number == our_error);
    CHECK(by.holds_nothing());
    // Of a process there is none without it, with fewer namespaces either.
    if (which == wall::user_namespace) continue;
    auto child = by.start(less(which));
    CHECK((*child.report)[which].state == wall_state::failed);
    CHECK((*child.report)[which].error_number == our_error);
  }
}

TEST_CASE("a call that fails on the way to a program is told by the step that it was for") {
  for (const auto& [why, needs] : calls_of_steps()) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    const auto error = by.refusal();
    CHECK(error.why == why);
    CHECK_FALSE(error.missing);
    CHECK(by.holds_nothing());
  }
}

TEST_CASE("so is one that a granted directory takes") {
  owned_folder folder;
  // As root it is the launcher that mounts, and the grant that cannot be given.
  const std::string no_grant =
      as_root() ? "the grant read-dir " + folder.path() + " cannot be mounted (EDOM)" : no_root;
  for (const auto& [why, needs] : {std::pair{std::string{no_root}, call{"mkdir", SYS_mkdir}},
                                   {no_root, call{"mount", SYS_mount}},
                                   {no_root, call{"fsopen", SYS_fsopen}},
                                   {no_grant, call{"readlink", SYS_readlink}},
                                   {no_grant, call{"open_tree", SYS_open_tree}}}) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    CHECK(by.refusal(with_directory(folder.path())).why == why);
    CHECK(by.holds_nothing());
  }
  const owned_folder open_to_all{0755};
  for (const auto& needs : {call{"readlink", SYS_readlink}, call{"open_tree", SYS_open_tree}}) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    CHECK(by.refusal(with_directory(open_to_all.path())).why ==
          (as_root() ? "the grant read-dir " + open_to_all.path() + " cannot be mounted (EDOM)"
                     : std::string{no_root}));
    CHECK(by.refusal(inside({"wait"}, with_grant(grant_kind::device, "/dev/null"))).why == no_root);
    CHECK(by.holds_nothing());
  }
  for (const auto& needs : {call{"landlock_add_rule", launcher::landlock_add},
                            call{"landlock_create_ruleset", launcher::landlock_create, 2, 0}}) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    const auto error = by.refusal(with_directory(folder.path()));
    CHECK(error.missing == wall::landlock);
    CHECK(error.error_number == our_error);
    CHECK(by.holds_nothing());
  }
}

TEST_CASE("of a later kernel's Landlock no more is said to stand than is asked for") {
  constexpr int known = 7;
  // An older one would refuse what is asked of the later.
  if (::syscall(launcher::landlock_create, nullptr, 0, 1) < known) return;
  launched_spawner by{options_after([] {
    let_answer({"version of Landlock", launcher::landlock_create, 2, 1}, known + 2);
  })};
  auto child = start(by, inside({"wait"}));
  CHECK((*child.report)[wall::landlock].state == wall_state::enforced);
  CHECK((*child.report)[wall::landlock].value == known);
  child.process->signal_group(SIGKILL);
  end_of(child);
}

TEST_CASE("an init raises its walls before its plugin does, and stops the start without one") {
  for (const auto& [which, needs] :
       {wall_call{wall::landlock, {"landlock_restrict_self", launcher::landlock_restrict}},
        wall_call{wall::seccomp, {"seccomp", SYS_seccomp}}}) {
    CAPTURE(needs.name);
    launcher_link link{
        launcher_after(launcher_path(), [needs = needs] { let_fail(needs, our_error); })(),
        std::chrono::seconds{10}};
    const unique_fd program{::open(inside_path().c_str(), O_RDONLY | O_CLOEXEC)};
    const unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    launcher::start_order order;
    order.wanted = order.required = wall_set{}.set(index_of(which)).to_ullong();
    order.arguments = 1;
    order.text_bytes = 1;
    const auto answer =
        link.start(order, std::array{program.get(), null.get(), null.get(), null.get(), null.get()})
            .answer;
    CHECK(answer.stopped_at == launcher::stage::init);
    CHECK(answer.wall == index_of(which));
    CHECK(answer.error_number == our_error);
  }
}

TEST_CASE("a map of ids that cannot be written is told by the grant that it was for") {
  if (!as_root()) return;  // nobody has none
  const owned_folder folder;
  constexpr auto existing = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;
  auto chosen = options_after([] {
    let_fail({"open to write", SYS_openat, 2, existing}, our_error);
  });
  chosen.without.set(index_of(wall::user_namespace));  // whose maps come first
  launched_spawner by{chosen};
  auto how = with_grant(grant_kind::read_directory, folder.path());
  // Which write to files of the kernel's too.
  for (const auto each :
       {wall::user_namespace, wall::oom_first, wall::memfd_noexec, wall::namespace_limits,
        wall::cgroup_memory, wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill})
    how.waived.set(index_of(each));
  CHECK(start_fails(by, inside({"wait"}, how)).why ==
        "the grant read-dir " + folder.path() + " cannot be mounted (EDOM)");
}

TEST_CASE("a filter that cannot be raised stops the start at its last step too") {
  // The kernel has room for so many instructions in all the filters of a process: for that of an
  // init there is some left, and not for the longer one of its plugin.
  launched_spawner by{options_after([] { leave_room_for_filters(enough_for_an_init); })};
  const auto error = start_fails(by, inside({"wait"}));
  CHECK(error.failure == spawn_failure::no_memory);
  CHECK_FALSE(error.missing);
  auto child = start(by, inside({"wait"}, less(wall::seccomp)));
  CHECK((*child.report)[wall::seccomp].error_number == ENOMEM);
}

TEST_CASE("a program whose start is refused has not run, not for a moment either") {
  constexpr int tries = 20;
  faulty_launcher by{limit_of("RLIMIT_LOCKS", RLIMIT_LOCKS)};
  const owned_folder folder;
  auto how = whole();
  how.limits.file_bytes = 4096;
  how.grants.push_back({grant_kind::write_directory, folder.path(), ""});
  for (int n = 0; n < tries; ++n)
    CHECK(by.refusal(inside({"write", folder / "trace"}, how)).missing == wall::resource_limits);
  CHECK(by.holds_nothing());
  CHECK_FALSE(std::filesystem::exists(folder / "trace"));
}

TEST_CASE("a program that cannot be executed under its filter is told by its errno") {
  faulty_launcher by{{"execveat", SYS_execveat}};
  const auto error = by.refusal();
  CHECK(error.error_number == our_error);
  CHECK_FALSE(error.missing);
  CHECK(by.holds_nothing());
}

TEST_CASE("where no process can be made, with fewer namespaces either, that is what is told") {
  auto how = whole();
  for (const auto each :
       {wall::user_namespace, wall::pid_namespace, wall::mount_namespace, wall::net_namespace,
        wall::ipc_namespace, wall::uts_namespace, wall::cgroup_namespace})
    how.waived.set(index_of(each));
  faulty_launcher by{{"clone3", SYS_clone3}};
  CHECK(by.refusal(inside({"wait"}, how)).why == "its first process could not be made (EDOM)");
  CHECK(by.holds_nothing());
}

TEST_CASE("what there is too little of for now is no wall that is missing for good") {
  for (const auto error : {EAGAIN, ENOMEM, EMFILE, ENFILE})
    for (const auto& needs : {call{"clone3", SYS_clone3}, call{"keyctl", SYS_keyctl}}) {
      CAPTURE(needs.name, error);
      faulty_launcher by{needs, error};
      const auto refused = by.refusal();
      CHECK_FALSE(refused.permanent);
      CHECK_FALSE(refused.missing);
      CHECK(refused.error_number == error);
      CHECK(by.holds_nothing());
    }
}

TEST_CASE("files of the kernel's that cannot be written are told by what they were for") {
  constexpr auto existing = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;
  faulty_launcher by{{"open to write", SYS_openat, 2, existing}};
  CHECK(by.refusal().why == no_user);  // the maps
  const auto error = by.refusal(inside({"wait"}, whole(profile::no_userns)));
  CHECK(error.missing == wall::oom_first);
  CHECK(error.error_number == our_error);
  CHECK(by.holds_nothing());
  if (as_root()) {
    auto how = whole(profile::no_userns);
    how.waived.set(index_of(wall::oom_first)).set(index_of(wall::memfd_noexec));
    auto child = by.start(how);
    for (const auto each : {wall::cgroup_memory, wall::cgroup_tasks, wall::cgroup_cpu}) {
      CHECK((*child.report)[each].state == wall_state::failed);
      CHECK((*child.report)[each].error_number == our_error);
    }
  }
}

TEST_CASE("a group of version 1 that cannot be entered is missing") {
  if (!as_root() || !groups_are_of_version_1()) return;  // nobody else enters one himself
  auto how = whole();
  // A byte is written for these too.
  for (const auto each : {wall::memfd_noexec, wall::namespace_limits})
    how.waived.set(index_of(each));
  for (const auto& needs : {call{"open it", SYS_openat, 2, O_WRONLY | O_CLOEXEC},
                            call{"write a byte", SYS_write, 2, 1}}) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    const auto error = by.refusal(inside({"wait"}, how));
    CHECK(error.missing == wall::cgroup_memory);
    CHECK(error.error_number == our_error);
    CHECK(by.holds_nothing());
  }
}

TEST_CASE(
    "a group that one write kills is missing where it cannot be opened, or has no such file") {
  if (!as_root()) return;  // nobody has one
  auto how = whole();
  // A directory is opened so for these too.
  for (const auto each : {wall::own_uid, wall::namespace_limits}) how.waived.set(index_of(each));
  for (const auto& needs : {call{"open it", SYS_openat, 2, O_PATH | O_DIRECTORY | O_CLOEXEC},
                            call{"look for the file", SYS_faccessat2}}) {
    CAPTURE(needs.name);
    faulty_launcher by{needs};
    const auto error = by.refusal(inside({"wait"}, how));
    CHECK(error.missing == wall::cgroup_kill);
    CHECK(error.error_number == our_error);
    CHECK(by.holds_nothing());
  }
}

TEST_CASE("a start for whose report there is no memory is refused") {
  faulty_launcher by{{"mmap of a report", SYS_mmap, 3, MAP_SHARED | MAP_ANONYMOUS}};
  CHECK(by.refusal().why == "the kernel has no memory for another process");
  CHECK(by.holds_nothing());
}

TEST_CASE("a namespace that cannot be seen from outside counts as not seen") {
  faulty_launcher by{{"stat of a path", SYS_newfstatat, 0, static_cast<std::uint32_t>(AT_FDCWD)}};
  auto child = by.start(whole());
  CHECK((*child.report)[wall::net_namespace].state == wall_state::enforced);
  CHECK_FALSE((*child.report)[wall::net_namespace].observed);
}

TEST_CASE("a launcher that cannot wait for a start gives it up at once") {
  // Of one descriptor: that of the reins.
  faulty_launcher by{{"poll", SYS_poll, 1, 1}};
  const auto then = std::chrono::steady_clock::now();
  CHECK(by.refusal().why == "it did not reach its program in time (ETIMEDOUT)");
  CHECK(std::chrono::steady_clock::now() - then < std::chrono::seconds{3});
  CHECK(by.holds_nothing());
}

TEST_CASE("a broker without a launcher, for want of a call, says which") {
  for (const auto& needs : {call{"socketpair", SYS_socketpair}, call{"setsockopt", SYS_setsockopt},
                            call{"poll", SYS_poll, 1, 1}}) {
    const auto said = refusal_of_broker(needs);
    CAPTURE(said);
    CHECK(said.find("there is no launcher: " + std::string{needs.name}) != std::string::npos);
  }
}

TEST_CASE("a broker that cannot make its sealed copy of a program starts none") {
  for (const auto& needs :
       {call{"memfd_create", SYS_memfd_create}, call{"sendfile", SYS_sendfile},
        call{"fchmod", SYS_fchmod}, call{"F_ADD_SEALS", SYS_fcntl, 1, F_ADD_SEALS}}) {
    CAPTURE(needs.name);
    CHECK(refusal_of_broker(needs).starts_with(std::to_string(our_error) + " "));
  }
}

TEST_CASE("where /run cannot be opened there is no uid to be had") {
  if (!as_root()) return;
  faulty_launcher by{{"open a directory", SYS_openat, 2, O_PATH | O_DIRECTORY | O_CLOEXEC}};
  const auto error = by.refusal();
  CHECK(error.missing == wall::own_uid);
  CHECK(error.error_number == our_error);
  CHECK(by.holds_nothing());
}

TEST_CASE("no new privileges are those that the kernel says it has granted none of") {
  for (const int option : {PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS}) {
    if (!as_root()) continue;  // who had to give them up for the filter
    faulty_launcher by{prctl_of("no new privileges", option), no_error};
    const auto error = by.refusal();
    CHECK(error.missing == wall::no_new_privileges);
    CHECK(error.error_number == EINVAL);
  }
}

TEST_CASE("capabilities that only seem to be dropped are looked at again") {
  if (!as_root()) return;  // who needs them for the namespaces, and has none without
  // Nobody needs them here, so that nobody notices before.
  auto how = whole(profile::no_userns);
  for (const int error : {no_error, our_error}) {
    auto chosen = options_after([error] { let_fail({"capset", SYS_capset}, error); });
    chosen.without.set(index_of(wall::own_uid));
    launched_spawner by{chosen};
    const auto refused = start_fails(by, inside({"wait"}, how));
    CHECK(refused.missing == wall::no_capabilities);
    CHECK(refused.error_number == (error == no_error ? ENOTRECOVERABLE : our_error));
  }
}

TEST_CASE("speculation that cannot be controlled is told, and is no reason to refuse a start") {
  faulty_launcher by{prctl_of("PR_SET_SPECULATION_CTRL", PR_SET_SPECULATION_CTRL)};
  auto child = by.start(whole());
  CHECK(line_of(wall::speculation, *child.report) == "speculation: failed (EDOM)");
}

TEST_CASE("capabilities that cannot be dropped from the bounding set are counted") {
  faulty_launcher by{prctl_of("PR_CAPBSET_DROP", PR_CAPBSET_DROP)};
  auto child = by.start(whole());
  CHECK((*child.report)[wall::no_capabilities].state == wall_state::enforced);
  CHECK((*child.report)[wall::no_capabilities].value > 30);
}

TEST_CASE("a wall of which the kernel only says that it stands is not to be seen from outside") {
  const std::vector<wall_call> all{
      {wall::own_uid, {"setresuid", SYS_setresuid}},
      {wall::no_groups, {"setgroups", SYS_setgroups}},
      {wall::no_capabilities, prctl_of("PR_CAPBSET_DROP", PR_CAPBSET_DROP)},
      {wall::own_session, {"setsid", SYS_setsid}},
      {wall::resource_limits, limit_of("RLIMIT_CORE", RLIMIT_CORE)},
      {wall::resource_limits, limit_of("RLIMIT_MEMLOCK", RLIMIT_MEMLOCK)},
      {wall::resource_limits, limit_of("RLIMIT_FSIZE", RLIMIT_FSIZE)},
      {wall::resource_limits, limit_of("RLIMIT_DATA", RLIMIT_DATA)},
      {wall::resource_limits, limit_of("RLIMIT_NOFILE", RLIMIT_NOFILE)},
  };
  for (const auto& [which, needs] : all) {
    if (!as_root() && (which == wall::own_uid || which == wall::no_groups)) continue;
    CAPTURE(needs.name);
    faulty_launcher by{needs, no_error, have_more};
    const auto error = by.refusal();
    CHECK(error.missing == which);
    CHECK(error.why.find("was reported to stand and is not to be seen") != std::string::npos);
  }
}
