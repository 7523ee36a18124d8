// SPDX-License-Identifier: Apache-2.0
// Programs that need more than an empty root: libraries, an interpreter, grants.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
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

/// Neither Landlock nor the filter stands between a program and what is mounted.
bulkhead::spawner& with_mounts_alone() {
  wall_set without;
  without.set(index_of(wall::landlock)).set(index_of(wall::seccomp));
  static launched_spawner by{options(without)};
  return by;
}

constexpr const char* real_loader = "/lib64/ld-linux-x86-64.so.2";

/// What stands in the way of such a program; or nothing.
std::string refusal_of(const temporary_directory& folder, const std::string& program,
                       const std::vector<grant>& grants = {}) {
  write_file(folder / "program", program, 0755);
  const unique_fd opened{::open((folder / "program").c_str(), O_RDONLY | O_CLOEXEC)};
  try {
    libraries_of(opened, grants);
    return "";
  } catch (const missing_content& refused) {
    return refused.what();
  }
}

}  // namespace

TEST_CASE("a dynamic program finds its libraries and nothing else") {
  auto facts = facts_of(said_by(dynamic_inside({"all"})));
  CHECK(facts["pid"] == "2");
  CHECK(facts["descriptors"] == "4");
  CHECK(facts["passwd"] == std::to_string(ENOENT));
  const auto listed = said_by(dynamic_inside({"list", "/"}));
  CHECK(listed == "lib\nlib64\n");
  const auto libraries = said_by(dynamic_inside({"list", "/lib/x86_64-linux-gnu"}));
  CHECK(libraries.find("libc.so.6\n") != std::string::npos);
  CHECK(libraries.find("libssl") == std::string::npos);
  // They are copies, of nobody's to write; and the mount lets nothing be added.
  CHECK(said_by(dynamic_inside({"write", "/lib/x86_64-linux-gnu/libc.so.6"})) == "EACCES\n");
  CHECK(said_by(dynamic_inside({"write", "/lib/x86_64-linux-gnu/libx.so"}), with_mounts_alone()) ==
        "EROFS\n");
}

TEST_CASE("a dynamic program is under the same walls") {
  auto child = start(dynamic_inside({"wait"}));
  const auto& report = *child.report;
  CHECK(report[wall::mount_namespace].state == wall_state::enforced);
  CHECK(report[wall::landlock].state == wall_state::enforced);
  CHECK(report[wall::no_writable_code].state == wall_state::enforced);
  CHECK(report[wall::not_dumpable].observed);
  CHECK(report[wall::namespace_limits].state == wall_state::enforced);
  for (const auto* const what : {"socket", "fork", "exec", "user-namespace", "code-change"}) {
    CAPTURE(what);
    auto attempt_of = start(dynamic_inside({"try", what}));
    REQUIRE(::write(attempt_of.link.get(), "g", 1) == 1);
    text_of(attempt_of.standard_output);
    CHECK(end_of(attempt_of).value == SIGSYS);
  }
}

TEST_CASE("a dynamic program runs without namespaces too, on the host's libraries and no others") {
  auto how = whole(profile::no_userns);
  auto facts = facts_of(said_by(dynamic_inside({"all"}, how)));
  CHECK(facts["passwd"] == std::to_string(EACCES));
}

TEST_CASE("a library that is not there refuses the start by its name") {
  temporary_directory folder;
  // The same program, asking for a library of which there is none.
  std::ifstream from{dynamic_inside_path(), std::ios::binary};
  std::ostringstream bytes;
  bytes << from.rdbuf();
  auto text = bytes.str();
  const auto at = text.find("libc.so.6");
  REQUIRE(at != std::string::npos);
  write_file(folder / "broken", text.replace(at, 9, "libq.so.6"), 0755);
  auto spec = dynamic_inside({"wait"});
  spec.executable = folder / "broken";
  const auto error = start_fails(confined::spawner(), spec);
  CHECK(error.failure == spawn_failure::no_interpreter);
  CHECK(error.why == "a library that it needs, libq.so.6, is not there");
}

TEST_CASE("a program gets no file of the host's by naming it as a library or as its loader") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  write_file(folder / "key", "secret\n", 0644);
  std::filesystem::copy_file("/lib/x86_64-linux-gnu/libc.so.6", folder / "libown.so");
  const std::string refused =
      " is no library that everybody may read in a folder of libraries, or in one that was granted";
  const auto refused_as = [&](std::string what, const std::string& which) {
    return what.append(", ").append(which).append(",").append(refused);
  };
  // A file, whoever may read it; and a library that is not where libraries are.
  for (const auto& name : {"key", "libown.so"}) {
    const auto path = folder / name;
    CAPTURE(path);
    CHECK(refusal_of(folder, program_that_needs(real_loader, path)) ==
          refused_as("a library that it needs", path));
    CHECK(refusal_of(folder, program_that_needs(real_loader, name, folder.path())) ==
          refused_as("a library that it needs", name));
    CHECK(refusal_of(folder, program_that_needs(path, "libc.so.6")) ==
          refused_as("its loader", path));
  }
  CHECK(refusal_of(folder, program_that_needs(real_loader, "/usr/lib/../../etc/passwd"))
            .ends_with(refused));
  CHECK(refusal_of(folder, program_that_needs(real_loader, "/usr/lib/os-release"))
            .ends_with(refused));
  CHECK(refusal_of(folder, program_that_needs(real_loader, "libc.so.6")).empty());
  CHECK(refusal_of(folder, program_that_needs(real_loader, "/lib/x86_64-linux-gnu/libc.so.6"))
            .empty());
}

TEST_CASE("libraries beneath a granted directory are taken, if everybody may read them") {
  temporary_directory folder;
  std::filesystem::copy_file("/lib/x86_64-linux-gnu/libc.so.6", folder / "libown.so");
  REQUIRE(::chmod((folder / "libown.so").c_str(), 0644) == 0);
  const std::vector<grant> granted{{grant_kind::read_directory, folder.path(), "/own"}};
  const auto program = program_that_needs(real_loader, "libown.so", folder.path());
  CHECK(refusal_of(folder, program, granted).empty());
  const std::vector<grant> another{{grant_kind::read_directory, folder.path() + "x", ""},
                                   {grant_kind::descriptor, folder / "libown.so", ""}};
  CHECK_FALSE(refusal_of(folder, program, another).empty());
  REQUIRE(::chmod((folder / "libown.so").c_str(), 0600) == 0);
  CHECK_FALSE(refusal_of(folder, program, granted).empty());
}

TEST_CASE("libraries beneath a granted directory are found by the directory's links too") {
  temporary_directory folder;
  std::filesystem::create_directory(folder / "real");
  std::filesystem::create_symlink(folder / "real", folder / "link");
  write_file(folder / "real/libown.so", program_that_needs("", "libc.so.6"), 0644);
  const std::vector<grant> granted{{grant_kind::read_directory, folder / "link", ""}};
  for (const auto* const named : {"real", "link"})
    CHECK(refusal_of(folder, program_that_needs(real_loader, "libown.so", folder / named), granted)
              .empty());
}

TEST_CASE("a library that is named by its path is found there, and placed there") {
  temporary_directory folder;
  const auto library = folder / "libpath.so";
  write_file(library, program_that_needs("", "libc.so.6"), 0644);
  write_file(folder / "program", program_that_needs(real_loader, library), 0755);
  const unique_fd program{::open((folder / "program").c_str(), O_RDONLY | O_CLOEXEC)};
  const auto found = libraries_of(program, {{grant_kind::read_directory, folder.path(), ""}});
  CHECK(std::count_if(found.begin(), found.end(),
                      [&](const auto& each) { return each.where == library; }) == 1);
}

TEST_CASE("what is no file is not opened for a program that names it") {
  temporary_directory folder;
  const auto fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0755) == 0);  // whose opening would wait for a writer
  const std::vector<grant> all{{grant_kind::read_directory, folder.path(), ""}};
  CHECK(refusal_of(folder, program_that_needs(real_loader, fifo), all) ==
        "a library that it needs, " + fifo + ", is not there");
  CHECK(refusal_of(folder, program_that_needs(fifo, "libc.so.6"), all) ==
        "its loader, " + fifo + ", is not there");
  write_file(folder / "script", "#!" + fifo + "\n", 0755);
  process_spec spec;
  spec.executable = folder / "script";
  spec.confined = std::make_shared<const confinement>(whole(profile::interpreter));
  CHECK(start_fails(confined::spawner(), spec).failure == spawn_failure::not_executable);
}

TEST_CASE("a file that somebody holds a lease on keeps nobody waiting") {
  temporary_directory folder;
  const auto library = folder / "liblease.so";
  write_file(library, program_that_needs(real_loader, "libc.so.6"), 0644);
  std::array<int, 2> ready{};
  REQUIRE(::pipe2(ready.data(), O_CLOEXEC) == 0);
  const unique_fd told{ready[0]};
  const pid_t holder = ::fork();
  if (holder == 0) {
    ::signal(SIGIO, SIG_IGN);  // and lets it go when the kernel takes it
    const int file = ::open(library.c_str(), O_RDWR);
    const bool held = ::fcntl(file, F_SETLEASE, F_WRLCK) == 0;
    if (::write(ready[1], held ? "y" : "n", 1) == 1) ::pause();
    ::_exit(0);
  }
  ::close(ready[1]);
  char held = 0;
  REQUIRE(::read(told.get(), &held, 1) == 1);
  const auto begun = std::chrono::steady_clock::now();
  const auto why = refusal_of(folder, program_that_needs(real_loader, "liblease.so", folder.path()),
                              {{grant_kind::read_directory, folder.path(), ""}});
  const auto took = std::chrono::steady_clock::now() - begun;
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  if (held != 'y') {
    WARN("this file system has no leases");
    return;
  }
  CHECK(why == "a library that it needs, liblease.so, is not there");
  CHECK(took < std::chrono::seconds{10});  // the kernel waits for 45, as a rule
}

TEST_CASE("names out of a program's file are fit to be printed") {
  temporary_directory folder;
  CHECK(refusal_of(folder, program_that_needs(real_loader, "lib\x1b[2J\nq.so")) ==
        "a library that it needs, lib\\x1b[2J\\x0aq.so, is not there");
  CHECK(refusal_of(folder, program_that_needs(real_loader, std::string(4000, 'x'))).size() < 300);
}
