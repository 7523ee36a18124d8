// SPDX-License-Identifier: Apache-2.0
// Programs that need more than an empty root: libraries, an interpreter, grants.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "actors/confinement/root_contents.hpp"
#include "tests/confinement/confined.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

process_spec dynamic_inside(std::vector<std::string> words, const confinement& how = whole()) {
  auto spec = inside(std::move(words), how);
  spec.executable = dynamic_inside_path();
  return spec;
}

bulkhead::spawner& without_landlock() {
  wall_set without;
  without.set(index_of(wall::landlock));
  static launched_spawner by{options(without)};
  return by;
}

std::string said_by(const process_spec& spec, bulkhead::spawner& by = confined::spawner()) {
  auto child = start(by, spec);
  auto text = text_of(child.standard_output);
  const auto complaint = text_of(child.standard_error);
  CAPTURE(text, complaint);
  CHECK(sentence(end_of(child)) == "exited with status 0");
  return text;
}

void write_file(const std::string& path, const std::string& text, unsigned mode) {
  std::ofstream{path} << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

confinement with_grant(grant_kind kind, const std::string& what, const std::string& where = "") {
  auto how = whole();
  how.grants.push_back({kind, what, where});
  return how;
}

std::string script_says(const temporary_directory& folder, const std::string& text,
                        std::vector<std::string> words = {}) {
  const auto path = folder / "script";
  write_file(path, text, 0755);
  process_spec spec;
  spec.executable = path;
  spec.arguments = std::move(words);
  spec.confined = std::make_shared<const confinement>(whole(profile::interpreter));
  return said_by(spec);
}

constexpr const char* real_loader = "/lib64/ld-linux-x86-64.so.2";

/// As much of a program as says what it needs.
std::string program_that_needs(const std::string& loader, const std::string& library,
                               const std::string& folder = "") {
  struct {
    Elf64_Ehdr head{};
    std::array<Elf64_Phdr, 3> segments{};
    std::array<Elf64_Dyn, 4> dynamic{};
  } file;
  const std::string text = '\0' + loader + '\0' + library + '\0' + folder + '\0';
  const auto size = sizeof file + text.size();
  std::memcpy(file.head.e_ident, ELFMAG, SELFMAG);
  file.head.e_ident[EI_CLASS] = ELFCLASS64;
  file.head.e_type = ET_DYN;
  file.head.e_phoff = sizeof file.head;
  file.head.e_phentsize = sizeof(Elf64_Phdr);
  file.head.e_phnum = file.segments.size();
  file.segments[0] = {PT_LOAD, PF_R, 0, 0, 0, size, size, 1};
  file.segments[1] = {PT_INTERP,         PF_R, sizeof file + 1, 0, 0, loader.size() + 1,
                      loader.size() + 1, 1};
  file.segments[2] = {
      PT_DYNAMIC, PF_R, sizeof file.head + sizeof file.segments, 0, 0, sizeof file.dynamic, 0, 1};
  const auto at = [](std::size_t value) { return static_cast<Elf64_Sxword>(value); };
  file.dynamic[0] = {DT_STRTAB, {sizeof file}};
  file.dynamic[1].d_tag = DT_NEEDED;
  file.dynamic[1].d_un.d_val = loader.size() + 2;
  if (!folder.empty()) file.dynamic[2].d_tag = at(DT_RUNPATH);
  file.dynamic[2].d_un.d_val = loader.size() + library.size() + 3;
  return std::string(reinterpret_cast<const char*>(&file), sizeof file) + text;
}

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
  CHECK(said_by(dynamic_inside({"write", "/lib/x86_64-linux-gnu/libx.so"}), without_landlock()) ==
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

TEST_CASE("what is no file is not opened for a program that names it") {
  temporary_directory folder;
  const auto fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0755) == 0);  // whose opening would wait for a writer
  CHECK(refusal_of(folder, program_that_needs(real_loader, fifo)) ==
        "a library that it needs, " + fifo + ", is not there");
  CHECK(refusal_of(folder, program_that_needs(fifo, "libc.so.6")) ==
        "its loader, " + fifo + ", is not there");
  write_file(folder / "script", "#!" + fifo + "\n", 0755);
  process_spec spec;
  spec.executable = folder / "script";
  spec.confined = std::make_shared<const confinement>(whole(profile::interpreter));
  CHECK(start_fails(confined::spawner(), spec).failure == spawn_failure::not_executable);
}

TEST_CASE("names out of a program's file are fit to be printed") {
  temporary_directory folder;
  CHECK(refusal_of(folder, program_that_needs(real_loader, "lib\x1b[2J\nq.so")) ==
        "a library that it needs, lib\\x1b[2J\\x0aq.so, is not there");
  CHECK(refusal_of(folder, program_that_needs(real_loader, std::string(4000, 'x'))).size() < 300);
}

TEST_CASE("a Python script runs with its library, and reaches nothing") {
  temporary_directory folder;
  const auto said = script_says(folder,
                                "#!/usr/bin/env python3\n"
                                "import json, os, sys\n"
                                "print(json.dumps({'pid': os.getpid(), 'words': sys.argv}))\n"
                                "for path in ['/etc/passwd', '/usr/bin/env', '/proc/self']:\n"
                                "  print(path, os.path.exists(path))\n"
                                "try:\n"
                                "  import socket; socket.socket()\n"
                                "except OSError as refused:\n"
                                "  print(refused.strerror)\n"
                                "print(sorted(os.listdir('/')))\n",
                                {"one", "two words"});
  CHECK(said ==
        "{\"pid\": 2, \"words\": [\"/script\", \"one\", \"two words\"]}\n"
        "/etc/passwd False\n/usr/bin/env False\n/proc/self False\n"
        "Permission denied\n"
        "['lib', 'lib64', 'script', 'usr']\n");
}

TEST_CASE("a Perl script runs too") {
  temporary_directory folder;
  CHECK(script_says(folder, "#!/usr/bin/perl -w\nuse strict;\nprint \"$0 @ARGV\\n\";\n", {"a"}) ==
        "/script a\n");
}

TEST_CASE("the argument in a script's first line is its interpreter's") {
  temporary_directory folder;
  CHECK(script_says(folder, "#!/usr/bin/perl -l\nprint 'a line';\n") == "a line\n");
}

TEST_CASE("a script wants the profile for interpreters") {
  temporary_directory folder;
  write_file(folder / "script", "#!/usr/bin/python3\n", 0755);
  process_spec spec;
  spec.executable = folder / "script";
  spec.confined = std::make_shared<const confinement>(whole());
  const auto error = start_fails(confined::spawner(), spec);
  CHECK(error.permanent);
  CHECK(error.remedy.find("interpreter") != std::string::npos);
}

TEST_CASE("a granted directory is there, and can be read and not written") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  write_file(folder / "note", "granted\n", 0666);
  const auto how = with_grant(grant_kind::read_directory, folder.path(), "/data");
  CHECK(said_by(inside({"list", "/"}, how)) == "data\n");
  CHECK(said_by(inside({"read", "/data/note"}, how)) == "granted\n");
  CHECK(said_by(inside({"write", "/data/note"}, how)) == "EROFS\n");
  CHECK(said_by(inside({"read", "/data/../etc/passwd"}, how)) == "ENOENT\n");
}

TEST_CASE("a directory granted for writing can be written, within the limit of a file") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  auto how = with_grant(grant_kind::write_directory, folder.path());
  how.limits.file_bytes = 4096;
  CHECK(said_by(inside({"write", folder / "made"}, how)) == "0\n");
  CHECK(std::filesystem::file_size(folder / "made") == 5);
  auto nothing = with_grant(grant_kind::write_directory, folder.path());
  auto child = start(inside({"write", folder / "other"}, nothing));
  CHECK(end_of(child).value == SIGXFSZ);
}

TEST_CASE("who may write a directory may make others in it, and nobody else may ask for that") {
  temporary_directory folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  const auto how = with_grant(grant_kind::write_directory, folder.path());
  CHECK(said_by(inside({"make-directory", folder / "one"}, how)) == "0\n");
  CHECK(said_by(dynamic_inside({"make-directory", folder / "two"}, how)) == "0\n");
  const auto to_read = with_grant(grant_kind::read_directory, folder.path());
  auto child = start(inside({"make-directory", folder / "three"}, to_read));
  CHECK(end_of(child).value == SIGSYS);
  auto dynamic = start(dynamic_inside({"make-directory", folder / "four"}, to_read));
  CHECK(end_of(dynamic).value == SIGSYS);
}

TEST_CASE("a granted device is there, and it alone") {
  const auto how = with_grant(grant_kind::device, "/dev/null");
  CHECK(said_by(inside({"list", "/dev"}, how)) == "null\n");
  CHECK(said_by(inside({"write", "/dev/null"}, how)) == "0\n");
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

TEST_CASE("a grant that is not there refuses the start") {
  const auto how = with_grant(grant_kind::read_directory, "/nonexistent");
  const auto error = start_fails(confined::spawner(), inside({"wait"}, how));
  CHECK(error.why == "the grant read-dir /nonexistent cannot be opened (ENOENT)");
}

TEST_CASE("the first line of a script names its interpreter") {
  temporary_directory folder;
  const auto named = [&](const std::string& line) {
    write_file(folder / "s", line, 0644);
    return interpreter_of(unique_fd{::open((folder / "s").c_str(), O_RDONLY | O_CLOEXEC)});
  };
  CHECK(named("#! /bin/sh -e\n").argument == "-e");
  CHECK(named("#!/bin/sh\n").argument.empty());
  CHECK(named("#!/usr/bin/env sh\nx").interpreter == named("#!/bin/sh\n").interpreter);
  CHECK_THROWS_AS(named("#!/nonexistent/sh\n"), missing_content);
  CHECK_THROWS_AS(named("#!/usr/bin/env nonexistent-interpreter\n"), missing_content);
  CHECK_THROWS_AS(named("#!\n"), missing_content);
}
