// SPDX-License-Identifier: Apache-2.0
// The roots of instances: how what is in them is mounted, as it is seen from outside, and what
// becomes of a start whose root cannot be made as it is wanted.
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "tests/confinement/confined.hpp"
#include "tests/confinement/faulty.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

struct mounted {
  std::string options;
  std::string of_its_kind;  // options of the file system, not of this mount
};

/// By place.
std::map<std::string, mounted> mounts_of(pid_t process) {
  std::map<std::string, mounted> mounts;
  std::ifstream file{"/proc/" + std::to_string(process) + "/mountinfo"};
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line};
    std::string ignored, place, options, last;
    for (int n = 0; n < 4; ++n) words >> ignored;
    words >> place >> options;
    for (std::string word; words >> word;) last = word;
    mounts[place] = {options.substr(0, options.rfind(",relatime")), last};
  }
  return mounts;
}

bool is_in(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

process_spec with_grants(std::vector<grant> grants) {
  auto how = whole();
  how.grants = std::move(grants);
  return inside({"wait"}, how);
}

/// Hides a directory of the kernel's from the launcher alone.
void hide(const char* directory) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", directory, "tmpfs", 0, nullptr) != 0)
    ::_exit(126);
}

}  // namespace

TEST_CASE("an empty root is small, read-only, and good for nothing") {
  if (!as_root()) return;  // others do not see it
  auto child = start(inside({"wait"}));
  const auto mounts = mounts_of(child.process->pid());
  REQUIRE(mounts.size() == 1);
  CHECK(mounts.at("/").options == "ro,nosuid,nodev,noexec");
  CHECK(is_in(mounts.at("/").of_its_kind, "size=4k,nr_inodes=2,mode=555"));
}

TEST_CASE("what is granted is mounted with no more rights than it takes") {
  if (!as_root()) return;
  owned_folder folder;
  auto child = start(with_grants({{grant_kind::read_directory, folder.path(), "/data"},
                                  {grant_kind::write_directory, folder.path(), "/own"},
                                  {grant_kind::device, "/dev/null", ""}}));
  const auto mounts = mounts_of(child.process->pid());
  REQUIRE(mounts.size() == 4);
  CHECK(mounts.at("/").options == "ro,nosuid,nodev,noexec");
  CHECK(mounts.at("/data").options == "ro,nosuid,nodev");
  CHECK(mounts.at("/own").options == "rw,nosuid,nodev,noexec");
  CHECK(mounts.at("/dev/null").options == "rw,nosuid,noexec");
  auto dynamic = start(dynamic_inside({"wait"}));
  CHECK(mounts_of(dynamic.process->pid()).at("/").options == "ro,nosuid,nodev");
}

TEST_CASE("a root is filled whatever its launcher's mask is") {
  launched_spawner by{options_after([] { ::umask(0777); })};
  auto child = start(by, dynamic_inside({"exit", "7"}));
  CHECK(end_of(child) == exit_status::exited(7));
}

TEST_CASE("a place with a longer path than there is room for refuses the start") {
  owned_folder folder;
  std::string deep;
  for (int n = 0; n < 60; ++n) deep += "/1234567890";
  const auto error = start_fails(confined::spawner(),
                                 with_grants({{grant_kind::read_directory, folder.path(), deep}}));
  CHECK(error.why == "its root could not be made (ENAMETOOLONG)");
}

TEST_CASE("a file or a device that cannot be placed refuses the start, by the errno of that") {
  constexpr auto made_file = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  constexpr auto made_device = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  const auto device = with_grants({{grant_kind::device, "/dev/null", ""}});
  const std::vector<std::tuple<call, int, process_spec, const char*>> all{
      {{"open a file", SYS_openat, 2, made_file}, our_error, dynamic_inside({"wait"}), "EDOM"},
      {{"sendfile", SYS_sendfile}, our_error, dynamic_inside({"wait"}), "EDOM"},
      {{"sendfile of nothing", SYS_sendfile}, no_error, dynamic_inside({"wait"}), "EIO"},
      {{"open a device", SYS_openat, 2, made_device}, our_error, device, "EDOM"},
  };
  for (const auto& [needs, error, spec, name] : all) {
    CAPTURE(needs.name, error);
    faulty_launcher by{needs, error};
    CHECK(by.refusal(spec).why == "its root could not be made (" + std::string{name} + ")");
    CHECK(by.holds_nothing());
  }
}

TEST_CASE("limits and settings that the kernel does not have refuse the start") {
  if (!as_root()) return;  // who may mount
  launched_spawner no_limits{options_after([] { hide("/proc/sys/user"); })};
  const auto error = start_fails(no_limits, inside({"wait"}));
  CHECK(error.missing == wall::namespace_limits);
  CHECK(error.error_number == ENOENT);
  launched_spawner no_settings{options_after([] { hide("/proc/sys/vm"); })};
  const auto other = start_fails(no_settings, inside({"wait"}));
  CHECK(other.missing == wall::memfd_noexec);
  CHECK(other.error_number == ENOENT);
}
