// SPDX-License-Identifier: Apache-2.0
// The rules of the plugin directory, each refusal by name, on real files. Whose files they are can
// only be played with as root.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <set>

#include "tests/unit/image_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

constexpr uid_t somebody = 12345;
const std::string script = "#!/bin/sh\n";

image_failure directory_failure(const std::string& path) {
  return failure_of([&] { plugin_directory{path}; });
}

image_failure file_failure(const plugin_files& files, const std::string& command,
                           std::uint64_t bytes_max = file_bytes_max) {
  const plugin_directory directory{files.path()};
  return failure_of([&] { (void)directory.open(command, bytes_max); });
}

bool may_give_away() {
  if (::geteuid() == 0) return true;
  WARN("not run as root: rules about the owner of a file were not tested");
  return false;
}

}  // namespace

TEST_CASE("a directory of ours below a sticky one, and a file of ours in it, keep the rules") {
  const plugin_files files;
  files.put("kv", script);
  const plugin_directory directory{files.path()};
  const auto file = directory.open("kv", file_bytes_max);
  CHECK(file.size == script.size());
  CHECK(file.name == files.path() + "/kv");
  CHECK((::fcntl(file.fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a directory of root's keeps the rules") {
  CHECK_NOTHROW(plugin_directory{"/usr/bin"}.open("env", file_bytes_max));
  CHECK_NOTHROW(plugin_directory{"//usr//bin/"}.open("env", file_bytes_max));
}

TEST_CASE("a directory is named by its whole path") {
  for (const auto* path : {"", "plugins", "./plugins", "/usr/../usr", "/usr/./bin"})
    CHECK(directory_failure(path) == image_failure::directory_not_absolute);
  CHECK(directory_failure(std::string("/usr\0/bin", 9)) == image_failure::directory_not_absolute);
  CHECK(directory_failure("/usr/no\nbin") == image_failure::directory_not_absolute);
}

TEST_CASE("a directory that is missing, or none, is refused by what it lacks") {
  const plugin_files files;
  files.put("file", script);
  CHECK(directory_failure(files.path() + "/none") == image_failure::directory_missing);
  CHECK(directory_failure(files.path() + "/none/below") == image_failure::directory_missing);
  CHECK(directory_failure(files.path() + "/file") == image_failure::not_a_directory);
  CHECK(directory_failure(files.path() + "/file/below") == image_failure::not_a_directory);
}

TEST_CASE("no component of the directory's path may be a symbolic link") {
  const plugin_files files;
  std::filesystem::create_directories(files.path() + "/real/below");
  std::filesystem::create_directory_symlink(files.path() + "/real", files.path() + "/link");
  CHECK_NOTHROW(plugin_directory{files.path() + "/real/below"});
  CHECK(directory_failure(files.path() + "/link") == image_failure::directory_is_link);
  CHECK(directory_failure(files.path() + "/link/below") == image_failure::directory_is_link);
}

TEST_CASE("a directory that others may write to is refused, sticky or not") {
  const plugin_files files;
  for (const mode_t mode : {0775, 0757, 01777, 02775}) {
    REQUIRE(::chmod(files.path().c_str(), mode) == 0);
    CHECK(directory_failure(files.path()) == image_failure::directory_writable);
  }
}

TEST_CASE("a directory above may be writable to others only when it is sticky") {
  const plugin_files files;
  const auto below = files.path() + "/below";
  REQUIRE(::mkdir(below.c_str(), 0700) == 0);
  REQUIRE(::chmod(files.path().c_str(), 0777) == 0);
  CHECK(directory_failure(below) == image_failure::directory_writable);
  REQUIRE(::chmod(files.path().c_str(), 01777) == 0);
  CHECK_NOTHROW(plugin_directory{below});
}

TEST_CASE("a directory of somebody else's, or below one, is refused") {
  if (!may_give_away()) return;
  const plugin_files files;
  const auto below = files.path() + "/below";
  REQUIRE(::mkdir(below.c_str(), 0755) == 0);
  REQUIRE(::chown(below.c_str(), somebody, 0) == 0);
  CHECK(directory_failure(below) == image_failure::directory_owner);
  REQUIRE(::chown(below.c_str(), 0, 0) == 0);
  REQUIRE(::chown(files.path().c_str(), somebody, 0) == 0);
  CHECK(directory_failure(below) == image_failure::directory_owner);
  // Sticky does not help: the owner of the directory above may rename in it.
  REQUIRE(::chmod(files.path().c_str(), 01755) == 0);
  CHECK(directory_failure(below) == image_failure::directory_owner);
  REQUIRE(::chown(files.path().c_str(), 0, 0) == 0);
}

TEST_CASE("a command is a plain path beneath the directory") {
  const plugin_files files;
  files.put("kv", script);
  const std::string nul("kv\0x", 4);
  const std::string long_name(256, 'x');
  std::string long_path = "a";
  while (long_path.size() < 4096) long_path += "/a";
  for (const auto& command :
       {std::string(""), std::string("/bin/true"), files.path() + "/kv", std::string(".."),
        std::string("../kv"), std::string("a/../kv"), std::string("./kv"), std::string("kv/"),
        std::string("a//kv"), std::string("/"), nul, std::string("k\nv"), std::string("k\x1b[2Jv"),
        std::string("k\x7f"), long_name, long_path}) {
    CAPTURE(command);
    CHECK(file_failure(files, command) == image_failure::bad_command);
  }
}

TEST_CASE("the text about a command shows no control character and no more than a line") {
  const plugin_files files;
  const plugin_directory directory{files.path()};
  try {
    (void)directory.open("../\x1b[2J\n" + std::string(9000, 'x'), file_bytes_max);
    FAIL("it was opened");
  } catch (const image_error& refused) {
    const std::string text = refused.what();
    CHECK(text.size() < 300);
    CHECK(text.find_first_of("\x1b\n") == std::string::npos);
    CHECK(refused.permanent());
  }
}

TEST_CASE("a missing file is missing, also beneath a file") {
  const plugin_files files;
  files.put("kv", script);
  CHECK(file_failure(files, "none") == image_failure::file_missing);
  CHECK(file_failure(files, "none/kv") == image_failure::file_missing);
  CHECK(file_failure(files, "kv/below") == image_failure::file_missing);
}

TEST_CASE("no symbolic link is followed, wherever it leads") {
  const plugin_files files;
  files.put("kv", script);
  REQUIRE(::mkdir((files.path() + "/sub").c_str(), 0755) == 0);
  files.put("sub/calc", script);
  const auto link = [&](const std::string& to, const std::string& name) {
    std::filesystem::create_symlink(to, files.path() + "/" + name);
  };
  link("kv", "stays-beneath");
  link("/bin/true", "leaves");
  link("../../../../../bin/true", "climbs");
  link("/proc/self/exe", "magic");
  link("nowhere", "dangling");
  link("loop", "loop");
  link("sub", "sub-link");
  link("/bin", "out");
  CHECK_NOTHROW(plugin_directory{files.path()}.open("sub/calc", file_bytes_max));
  for (const auto* name : {"stays-beneath", "leaves", "climbs", "magic", "dangling", "loop",
                           "sub-link/calc", "out/true"}) {
    CAPTURE(name);
    CHECK(file_failure(files, name) == image_failure::file_is_link);
  }
}

TEST_CASE("a directory within it keeps the rules of the directory itself") {
  const plugin_files files;
  const auto sub = files.path() + "/sub";
  REQUIRE(::mkdir(sub.c_str(), 0755) == 0);
  files.put("sub/kv", script);
  REQUIRE(::chmod(sub.c_str(), 01777) == 0);
  CHECK(file_failure(files, "sub/kv") == image_failure::directory_writable);
}

TEST_CASE("a directory, a FIFO, a socket and a device are no files, and none is waited for") {
  const plugin_files files;
  REQUIRE(::mkdir((files.path() + "/sub").c_str(), 0755) == 0);
  CHECK(file_failure(files, "sub") == image_failure::not_a_file);
  REQUIRE(::mkfifo((files.path() + "/fifo").c_str(), 0755) == 0);
  CHECK(file_failure(files, "fifo") == image_failure::not_a_file);
  const unique_fd socket{::socket(AF_UNIX, SOCK_STREAM, 0)};
  sockaddr_un address{AF_UNIX, {}};
  (files.path() + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK(file_failure(files, "socket") == image_failure::not_a_file);
  const plugin_directory devices{"/dev"};
  CHECK(failure_of([&] { (void)devices.open("null", file_bytes_max); }) ==
        image_failure::not_a_file);
}

TEST_CASE("a file that others may write to, setid, not executable or empty is refused by name") {
  const plugin_files files;
  const auto failure_with = [&](mode_t mode) {
    files.put("kv", script, mode);
    return file_failure(files, "kv");
  };
  CHECK(failure_with(0775) == image_failure::file_writable);
  CHECK(failure_with(0757) == image_failure::file_writable);
  CHECK(failure_with(04755) == image_failure::file_setid);
  CHECK(failure_with(02755) == image_failure::file_setid);
  CHECK(failure_with(0644) == image_failure::not_executable);
  files.put("kv", script, 0500);
  CHECK_NOTHROW(plugin_directory{files.path()}.open("kv", file_bytes_max));
  files.put("empty", "");
  CHECK(file_failure(files, "empty") == image_failure::file_empty);
}

TEST_CASE("what the broker's user may not open is refused as that, for good") {
  const plugin_files files;
  const auto closed = files.path() + "/closed";
  REQUIRE(::mkdir(closed.c_str(), 0755) == 0);
  CHECK(holds_as_nobody([&] {
    const plugin_files own;
    own.put("kv", script, 0111);
    try {
      (void)plugin_directory{own.path()}.open("kv", file_bytes_max);
    } catch (const image_error& refused) {
      return refused.failure() == image_failure::not_readable && refused.permanent();
    }
    return false;
  }));
  REQUIRE(::chmod(closed.c_str(), 0700) == 0);
  REQUIRE(::chmod(files.path().c_str(), 0755) == 0);
  if (!may_give_away()) return;  // its owner may enter it
  CHECK(holds_as_nobody([&] {
    try {
      plugin_directory{closed + "/below"};
    } catch (const image_error& refused) {
      return refused.failure() == image_failure::not_readable && refused.permanent();
    }
    return false;
  }));
}

TEST_CASE("a file may be plugin_file_bytes_max long and not one byte longer") {
  const plugin_files files;
  files.put("kv", std::string(1000, '#'));
  CHECK_NOTHROW(plugin_directory{files.path()}.open("kv", 1000));
  CHECK(file_failure(files, "kv", 999) == image_failure::file_too_large);
}

TEST_CASE("a file of somebody else's is refused under any of its names") {
  if (!may_give_away()) return;
  const plugin_files files;
  const auto path = files.put("kv", script);
  std::filesystem::create_hard_link(path, files.path() + "/other-name");
  REQUIRE(::chown(path.c_str(), somebody, 0) == 0);
  CHECK(file_failure(files, "kv") == image_failure::file_owner);
  CHECK(file_failure(files, "other-name") == image_failure::file_owner);
}

TEST_CASE("a hard link to a file of ours is that file: other names give nobody more rights") {
  const plugin_files files;
  const plugin_files elsewhere;
  const auto path = elsewhere.put("original", script);
  std::filesystem::create_hard_link(path, files.path() + "/kv");
  CHECK_NOTHROW(plugin_directory{files.path()}.open("kv", file_bytes_max));
  REQUIRE(::chmod(path.c_str(), 0777) == 0);  // by the other name
  CHECK(file_failure(files, "kv") == image_failure::file_writable);
}

TEST_CASE("a directory that is renamed away is still the one that was checked") {
  const plugin_files files;
  const auto home = files.path() + "/plugins";
  REQUIRE(::mkdir(home.c_str(), 0755) == 0);
  files.put("plugins/kv", script);
  const plugin_directory directory{home};
  std::filesystem::rename(home, files.path() + "/away");
  REQUIRE(::mkdir(home.c_str(), 0755) == 0);
  files.put("plugins/kv", "#!/bin/evil\n");
  CHECK(directory.open("kv", file_bytes_max).size == script.size());
}

TEST_CASE("each reason to refuse has a name of its own") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(image_failure::system); ++i)
    names.insert(to_string(static_cast<image_failure>(i)));
  CHECK(names.size() == static_cast<std::size_t>(image_failure::system) + 1);
  CHECK(to_string(image_failure::directory_not_absolute) == "directory_not_absolute");
  CHECK(to_string(image_failure::file_changed) == "file_changed");
  CHECK(to_string(image_failure::digest_mismatch) == "digest_mismatch");
}
