// SPDX-License-Identifier: Apache-2.0
// Which group of version 2 a launcher takes for those of its instances. The groups are ordinary
// directories here, with the files that the decision is made by: what the machine that the tests
// run on mounts is its own affair.
#include "actors/launcher/group_base.hpp"

#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tools/temporary_directory.hpp"

namespace fs = std::filesystem;
using bulkhead::launcher::group_place;
using bulkhead::launcher::path_text;

namespace {

constexpr bool with_processes = true, without_processes = false;

/// top / slice / scope, and the launcher in the last.
class groups {
 public:
  groups() {
    write(top() / "cgroup.controllers", "cpuset memory pids\n");
    make(top(), with_processes);
    make(slice(), without_processes);
    make(scope(), with_processes);
  }

  fs::path top() const { return folder_.path(); }
  fs::path slice() const { return top() / "slice"; }
  fs::path scope() const { return slice() / "scope"; }

  static void write(const fs::path& file, const std::string& text) { std::ofstream{file} << text; }

  /// As a group other than the topmost of all has it.
  static void have_type(const fs::path& group) { write(group / "cgroup.type", "domain\n"); }

  static bool is_handed_on(const fs::path& group) {
    return fs::file_size(group / "cgroup.subtree_control") > 0;
  }

  struct found {
    int error;
    std::string base;
    bool operator==(const found&) const = default;
  };
  found found_from(const fs::path& own) const {
    group_place place;
    place.own << own.string();
    place.top << top().string();
    path_text base;
    const int error = find_group_base(place, base);
    return {error, std::string{base.view()}};
  }

 private:
  void make(const fs::path& group, bool processes) const {
    fs::create_directory(group);
    write(group / "cgroup.procs", processes ? "1\n" : "");
    write(group / "cgroup.subtree_control", "");
    if (group != top()) have_type(group);
  }

  bulkhead::temporary_directory folder_;
};

/// False where the file system has no such attributes for this user.
bool delegate(const fs::path& group) {
  return ::setxattr(group.c_str(), "user.delegate", "1", 1, 0) == 0 ||
         ::setxattr(group.c_str(), "trusted.delegate", "1", 1, 0) == 0;
}

}  // namespace

TEST_CASE("the topmost group of all may have processes, and groups beneath it") {
  const groups all;
  CHECK(all.found_from(all.top()) == groups::found{0, all.top()});
}

TEST_CASE("without controllers a group of version 2 may have both too") {
  const groups all;
  groups::write(all.top() / "cgroup.controllers", "hugetlb memories\n");
  CHECK(all.found_from(all.scope()) == groups::found{0, all.scope()});
  CHECK_FALSE(groups::is_handed_on(all.slice()));
}

TEST_CASE("groups are made beside one's own, where nothing stands in the way") {
  const groups all;
  for (int twice = 0; twice < 2; ++twice)
    CHECK(all.found_from(all.scope()) == groups::found{0, all.slice() / "bulkhead"});
  CHECK(fs::is_directory(all.slice() / "bulkhead"));
  CHECK(groups::is_handed_on(all.top()));
  CHECK(groups::is_handed_on(all.slice()));
  CHECK_FALSE(groups::is_handed_on(all.scope()));
}

TEST_CASE("a group with processes is passed over, but the topmost of all") {
  const groups all;
  groups::write(all.slice() / "cgroup.procs", "2\n");
  CHECK(all.found_from(all.scope()) == groups::found{0, all.top() / "bulkhead"});
  CHECK_FALSE(groups::is_handed_on(all.slice()));
}

TEST_CASE("what another user owns is no place for this one's groups") {
  if (::geteuid() != 0) return;  // who alone can give something away
  const groups all;
  constexpr unsigned somebody = 12345;
  REQUIRE(::chown(all.slice().c_str(), somebody, somebody) == 0);
  CHECK(all.found_from(all.scope()) == groups::found{0, all.top() / "bulkhead"});
}

TEST_CASE("where all groups that are to be seen have processes there is no place") {
  const groups all;
  groups::have_type(all.top());
  groups::write(all.slice() / "cgroup.procs", "2\n");
  const auto found = all.found_from(all.scope());
  CHECK(found.error == EBUSY);
  CHECK_FALSE(fs::exists(all.top() / "bulkhead"));
}

TEST_CASE("what systemd has handed over is used, and nothing above it") {
  const groups all;
  if (!delegate(all.slice())) {
    WARN("no extended attributes here");
    return;
  }
  CHECK(all.found_from(all.scope()) == groups::found{0, all.slice()});
  CHECK_FALSE(fs::exists(all.slice() / "bulkhead"));
  CHECK_FALSE(groups::is_handed_on(all.top()));
}

TEST_CASE("a group that cannot be emptied is none, though it was handed over or is the last") {
  const groups all;  // its files take processes from nobody
  groups::have_type(all.top());
  CHECK(all.found_from(all.top()).error == EBUSY);
  CHECK(fs::is_directory(all.top() / "rest"));
  if (!delegate(all.scope())) {
    WARN("no extended attributes here");
    return;
  }
  CHECK(all.found_from(all.scope()).error == EBUSY);
  CHECK(fs::is_directory(all.scope() / "rest"));
}

TEST_CASE("a group whose files have too long a path is told") {
  const groups all;
  constexpr std::size_t path_max = 511;
  const auto longest = all.slice().string() + '/';
  const auto of_size = [&](std::size_t size) {
    return longest + std::string(size - longest.size(), 'x');
  };
  const auto most = path_max - std::string_view{"/cgroup.subtree_control"}.size();
  CHECK(all.found_from(of_size(most)).error == 0);
  CHECK(all.found_from(of_size(most + 1)).error == ENAMETOOLONG);
}
