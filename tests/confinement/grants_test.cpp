// SPDX-License-Identifier: Apache-2.0
// What is granted of the host: directories, devices, files, variables; whose a directory is to the
// plugin, and what it leaves behind there.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "actors/confinement/root_contents.hpp"
#include "tests/confinement/confined.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

struct stat seen(const std::string& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found;
}

std::string refusal_of(const confinement& how) {
  const auto error = start_fails(confined::spawner(), inside({"wait"}, how));
  CHECK(error.permanent);
  CHECK_FALSE(error.remedy.empty());
  return error.why;
}

confinement as_data(grant_kind kind, const std::string& path, std::uint64_t file_bytes = 4096) {
  auto how = with_grant(kind, path, "/data");
  how.limits.file_bytes = file_bytes;
  return how;
}

/// A process of somebody's, whose folder in /proc is theirs: of a file system without maps of ids.
class somebodys_process {
 public:
  somebodys_process() : id_{::fork()} {
    if (id_ != 0) return;
    if (::setresgid(owner, owner, owner) == 0 && ::setresuid(owner, owner, owner) == 0)
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    for (;;) ::pause();
  }
  somebodys_process(const somebodys_process&) = delete;
  somebodys_process& operator=(const somebodys_process&) = delete;
  ~somebodys_process() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  std::string folder() const { return "/proc/" + std::to_string(id_); }

 private:
  pid_t id_;
};

}  // namespace

TEST_CASE("a granted directory is there, and can be read and not written") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  write_file(folder / "note", "granted\n", 0666);
  const auto how = with_grant(grant_kind::read_directory, folder.path(), "/data");
  CHECK(said_by(inside({"list", "/"}, how)) == "data\n");
  CHECK(said_by(inside({"read", "/data/note"}, how)) == "granted\n");
  CHECK(said_by(inside({"write", "/data/note"}, how)) == "EACCES\n");
  CHECK(said_by(inside({"read", "/data/../etc/passwd"}, how)) == "ENOENT\n");
}

TEST_CASE("a directory granted for writing can be written, within the limit of a file") {
  owned_folder folder;
  auto how = with_grant(grant_kind::write_directory, folder.path());
  how.limits.file_bytes = 4096;
  CHECK(said_by(inside({"write", folder / "made"}, how)) == "0\n");
  CHECK(std::filesystem::file_size(folder / "made") == 5);
  auto nothing = with_grant(grant_kind::write_directory, folder.path());
  auto child = start(inside({"write", folder / "other"}, nothing));
  CHECK(end_of(child).value == SIGXFSZ);
}

TEST_CASE("a granted device is there, and it alone") {
  const auto how = with_grant(grant_kind::device, "/dev/null");
  CHECK(said_by(inside({"list", "/dev"}, how)) == "null\n");
  CHECK(said_by(inside({"write", "/dev/null"}, how)) == "0\n");
}

TEST_CASE("who may write a directory may make others in it, and nobody else may ask for that") {
  const owned_folder folder;
  const auto how = with_grant(grant_kind::write_directory, folder.path());
  CHECK(said_by(inside({"make-directory", folder / "one"}, how)) == "0\n");
  CHECK(said_by(dynamic_inside({"make-directory", folder / "two"}, how)) == "0\n");
  const auto to_read = with_grant(grant_kind::read_directory, folder.path());
  auto child = start(inside({"make-directory", folder / "three"}, to_read));
  CHECK(end_of(child).value == SIGSYS);
  auto dynamic = start(dynamic_inside({"make-directory", folder / "four"}, to_read));
  CHECK(end_of(dynamic).value == SIGSYS);
}

TEST_CASE("a granted file comes as a descriptor, and a granted variable in the environment") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  write_file(folder / "secret", "by descriptor\n", 0644);
  auto how = with_grant(grant_kind::descriptor, folder / "secret");
  how.grants.push_back({grant_kind::environment, "COLOUR=green", ""});
  CHECK(said_by(inside({"read-descriptor", "4"}, how)) == "by descriptor\n");
  const auto all = said_by(inside({"all"}, how));
  CHECK(all.find("env COLOUR=green\n") != std::string::npos);
  CHECK(facts_of(all)["descriptors"] == "5");
  CHECK(facts_of(all)["passwd"] == std::to_string(EACCES));
}

TEST_CASE("a granted pipe keeps nobody waiting for who writes to it") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0644) == 0);
  const auto how = with_grant(grant_kind::descriptor, folder / "pipe");
  CHECK(said_by(inside({"read-descriptor", "4"}, how)).empty());  // nobody does
  const auto opened = placements_of(how.grants);
  REQUIRE(opened.size() == 1);
  CHECK((::fcntl(opened[0].what.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a directory is no file that comes as a descriptor: it would lead out of the root") {
  const auto how = with_grant(grant_kind::descriptor, "/usr");
  CHECK(start_fails(confined::spawner(), inside({"wait"}, how)).why ==
        "the grant file /usr cannot be opened (EISDIR)");
}

TEST_CASE("what may be read cannot be emptied, by the mount either") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  write_file(folder / "note", "granted\n", 0666);
  const auto how = with_grant(grant_kind::read_directory, folder.path(), "/data");
  wall_set without;
  without.set(index_of(wall::seccomp)).set(index_of(wall::landlock));
  launched_spawner by{options(without)};
  CHECK(said_by(inside({"write", "/data/note"}, how), by) == "EROFS\n");
  CHECK(std::filesystem::file_size(folder / "note") == 8);
}

TEST_CASE("a grant that is not there refuses the start") {
  const auto how = with_grant(grant_kind::read_directory, "/nonexistent");
  const auto error = start_fails(confined::spawner(), inside({"wait"}, how));
  CHECK(error.why == "the grant read-dir /nonexistent cannot be opened (ENOENT)");
}

TEST_CASE("what one instance writes to a granted directory the next one reads and continues") {
  owned_folder folder;
  const auto how = as_data(grant_kind::write_directory, folder.path());
  CHECK(said_by(inside({"write", "/data/made"}, how)) == "0\n");
  CHECK(said_by(inside({"read", "/data/made"}, how)) == "text\n");
  CHECK(said_by(inside({"append", "/data/made"}, how)) == "0\n");
  CHECK(said_by(inside({"read", "/data/made"}, how)) == "text\ntext\n");
  CHECK(said_by(inside({"list", "/data"}, how)) == "made\n");
  // On the disk it is the owner's, and nobody else's.
  const auto made = seen(folder / "made");
  CHECK((made.st_mode & 07777) == 0600);
  CHECK(made.st_uid == (as_root() ? owner : ::geteuid()));
  CHECK(made.st_gid == (as_root() ? owners_group : ::getegid()));
}

TEST_CASE("a directory that is its owner's alone can be granted for reading") {
  owned_folder folder;
  write_file(folder / "note", "private\n", 0600);
  give(folder / "note");
  const auto how = as_data(grant_kind::read_directory, folder.path());
  CHECK(said_by(inside({"read", "/data/note"}, how)) == "private\n");
  CHECK(said_by(inside({"write", "/data/note"}, how)) == "EACCES\n");
}

TEST_CASE("of others' files in a granted directory a plugin has what its owner has") {
  if (!as_root()) return;  // who cannot make files of others
  owned_folder folder;
  for (const auto& [name, mode] :
       {std::pair{"closed", 0600U}, {"open", 0666U}, {"groups", 0640U}}) {
    write_file(folder / name, "text\n", mode);
    give(folder / name, stranger, name == std::string{"groups"} ? owners_group : stranger);
  }
  write_file(folder / "roots", "text\n", 0600);
  const auto how = as_data(grant_kind::write_directory, folder.path());
  CHECK(said_by(inside({"read", "/data/closed"}, how)) == "EACCES\n");
  CHECK(said_by(inside({"read", "/data/roots"}, how)) == "EACCES\n");
  CHECK(said_by(inside({"read", "/data/groups"}, how)) == "text\n");
  CHECK(said_by(inside({"append", "/data/groups"}, how)) == "EACCES\n");
  CHECK(said_by(inside({"append", "/data/open"}, how)) == "0\n");
  CHECK(seen(folder / "open").st_uid == stranger);
  // Below and above both of the users that change places.
  for (const unsigned other : {1U, 3'000'000'000U}) {
    write_file(folder / "others", "text\n", 0666);
    give(folder / "others", other, other);
    CHECK(said_by(inside({"append", "/data/others"}, how)) == "0\n");
    CHECK(seen(folder / "others").st_uid == other);
  }
}

TEST_CASE("each of several directories is its own owner's") {
  if (!as_root()) return;  // who cannot give directories to others
  owned_folder one, two{0700, stranger, owners_group}, three{0700, stranger, stranger};
  auto how = as_data(grant_kind::write_directory, one.path());
  how.grants.push_back({grant_kind::write_directory, two.path(), "/two"});
  how.grants.push_back({grant_kind::write_directory, three.path(), "/three"});
  for (const auto* const name : {"/data/made", "/two/made", "/three/made"})
    CHECK(said_by(inside({"write", name}, how)) == "0\n");
  const auto owners_of = [](const std::string& path) {
    const auto found = seen(path);
    return std::pair{found.st_uid, found.st_gid};
  };
  CHECK(owners_of(one / "made") == std::pair{owner, owners_group});
  CHECK(owners_of(two / "made") == std::pair{stranger, owners_group});
  CHECK(owners_of(three / "made") == std::pair{stranger, stranger});
}

TEST_CASE("nothing that a plugin makes is root's, and it reads nothing by being root") {
  if (!as_root()) return;  // nor are there any grants of root's directories to it
  owned_folder roots{0777, 0, 0};
  const auto of_root = "the grant write-dir " + roots.path() +
                       " belongs to root, and no plugin makes files of root's (EPERM)";
  CHECK(refusal_of(as_data(grant_kind::write_directory, roots.path())) == of_root);
  // Not by a group of others either.
  give(roots.path(), 0, owners_group);
  CHECK(refusal_of(as_data(grant_kind::write_directory, roots.path())) == of_root);
  write_file(roots / "secret", "secret\n", 0600);
  write_file(roots / "note", "note\n", 0644);
  const auto how = as_data(grant_kind::read_directory, roots.path());
  CHECK(said_by(inside({"read", "/data/note"}, how)) == "note\n");
  CHECK(said_by(inside({"read", "/data/secret"}, how)) == "EACCES\n");
  REQUIRE(::chmod(roots.path().c_str(), 0750) == 0);
  CHECK(refusal_of(how) == "the grant read-dir " + roots.path() +
                               " belongs to root, and not everybody may read it (EACCES)");
  // A group of root's is nobody's.
  owned_folder half{0700, owner, 0};
  write_file(half / "secret", "secret\n", 0640);
  const auto halves = as_data(grant_kind::write_directory, half.path());
  CHECK(said_by(inside({"read", "/data/secret"}, halves)) == "EACCES\n");
  CHECK(said_by(inside({"write", "/data/made"}, halves)) == "0\n");
  CHECK(said_by(inside({"read", "/data/made"}, halves)) == "text\n");
  CHECK(seen(half / "made").st_uid == owner);
  CHECK(seen(half / "made").st_gid != 0);
}

TEST_CASE("a plugin leaves no set-id file, link, pipe or device in a granted directory") {
  owned_folder folder{0777};
  write_file(folder / "note", "text\n", 0644);
  give(folder / "note");
  const auto how = as_data(grant_kind::write_directory, folder.path());
  for (const auto* const what : {"setuid-file", "setgid-file", "chmod", "chown", "symbolic-link",
                                 "hard-link", "pipe-file"}) {
    CAPTURE(what);
    CHECK(attempt(confined::spawner(), what, how) == "SIGSYS");
  }
  CHECK_FALSE(std::filesystem::exists(folder / "made"));
  // The kernel leaves these bits away.
  CHECK(attempt(confined::spawner(), "set-id-directory", how) == "0");
  CHECK((seen(folder / "made").st_mode & 07777) == 0700);
}

TEST_CASE("a granted directory is mounted without setuid and devices") {
  if (!as_root()) return;  // nobody can look at the mounts of what cannot be traced
  owned_folder folder;
  auto child = start(inside({"wait"}, as_data(grant_kind::write_directory, folder.path())));
  std::ifstream mounts{"/proc/" + std::to_string(child.process->pid()) + "/mountinfo"};
  std::string options;
  for (std::string line; std::getline(mounts, line);)
    if (line.find(" /data ") != std::string::npos) options = line;
  CHECK(options.find("rw,nosuid,nodev") != std::string::npos);
  CHECK(options.find("idmapped") != std::string::npos);
}

TEST_CASE("a launcher keeps nothing of what it granted") {
  owned_folder folder;
  const auto how = as_data(grant_kind::write_directory, folder.path());
  launched_spawner by{options()};
  auto first = start(by, inside({"wait"}, how));
  const auto held = [launcher = launcher_of(first)] { return descriptors_of(launcher).size(); };
  const auto settles_at = [&](std::size_t wanted) {
    return comes_true([&] { return held() <= wanted; });
  };
  constexpr int starts = 20;
  const auto before = held();
  for (int n = 0; n < starts; ++n) said_by(inside({"list", "/data"}, how), by);
  // Nor of the maps of several owners.
  const owned_folder others{0700, stranger, stranger};
  auto both = how;
  both.grants.push_back({grant_kind::read_directory, others.path(), "/others"});
  for (int n = 0; n < starts && as_root(); ++n) said_by(inside({"list", "/data"}, both), by);
  CHECK(settles_at(before + starts / 2));
}

TEST_CASE("a directory that cannot be mapped is not granted for writing") {
  if (!as_root()) return;  // whose plugins are of one user, without a map
  somebodys_process process;
  REQUIRE(comes_true([&] { return seen(process.folder()).st_uid == owner; }));
  CHECK(refusal_of(as_data(grant_kind::write_directory, process.folder())) ==
        "the grant write-dir " + process.folder() +
            " is on a file system that cannot show it as another user's (EINVAL)");
  const auto reads = as_data(grant_kind::read_directory, process.folder());
  CHECK(said_by(inside({"list", "/data"}, reads)).find("status\n") != std::string::npos);
}

TEST_CASE(
    "without a mount namespace a directory is granted as far as everybody, or its user, has it") {
  owned_folder folder{0755};
  write_file(folder / "note", "text\n", 0644);
  give(folder / "note");
  auto reads = whole(profile::no_userns);
  reads.grants.push_back({grant_kind::read_directory, folder.path(), ""});
  CHECK(said_by(inside({"read", folder / "note"}, reads)) == "text\n");
  CHECK(said_by(inside({"write", folder / "note"}, reads)) == "EACCES\n");
  auto writes = whole(profile::no_userns);
  writes.limits.file_bytes = 4096;
  writes.grants.push_back({grant_kind::write_directory, folder.path(), folder.path()});
  const std::string takes_one =
      " takes a mount namespace where each process has a uid of its own "
      "(EOPNOTSUPP)";
  if (as_root()) {
    CHECK(refusal_of(writes) == "the grant write-dir " + folder.path() + takes_one);
    REQUIRE(::chmod(folder.path().c_str(), 0750) == 0);
    CHECK(refusal_of(reads) == "the grant read-dir " + folder.path() + takes_one);
  } else {
    CHECK(said_by(inside({"write", folder / "made"}, writes)) == "0\n");
    CHECK(said_by(inside({"read", folder / "made"}, writes)) == "text\n");
  }
}

TEST_CASE("without a mount namespace nothing is granted by another name") {
  owned_folder folder{0755};
  auto waived = whole();
  waived.waived.set(index_of(wall::mount_namespace));
  wall_set without;
  without.set(index_of(wall::mount_namespace));
  launched_spawner by{options(without)};
  for (const auto& base : {whole(profile::no_userns), waived}) {
    const std::vector<grant> grants{{grant_kind::read_directory, folder.path(), "/data"},
                                    {grant_kind::device, "/dev/null", "/dev/zero"},
                                    {grant_kind::device, "/dev/null", "/null"}};
    for (const auto& each : grants) {
      auto how = base;
      how.grants = {
          {grant_kind::environment, "A=b", ""}, each, {grant_kind::descriptor, "/dev/null", ""}};
      const auto error = start_fails(by, inside({"wait"}, how));
      CHECK(error.why == "the grant " + std::string{to_string(each.kind)} + " " + each.what +
                             " has another name inside, which takes a mount namespace (ENXIO)");
      CHECK(error.permanent);
    }
  }
  auto how = whole(profile::no_userns);
  how.grants = {{grant_kind::device, "/dev/null", "/dev/null"}};
  CHECK(said_by(inside({"write", "/dev/null"}, how)) == "0\n");
}
