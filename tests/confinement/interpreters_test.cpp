// SPDX-License-Identifier: Apache-2.0
// Scripts: Python, Node and Perl, with the library that each of them comes with.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "actors/confinement/extension_libraries.hpp"
#include "actors/confinement/root_contents.hpp"
#include "tests/confinement/confined.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;
using namespace confined;

namespace {

std::string script_says(const temporary_directory& folder, const std::string& text,
                        std::vector<std::string> words = {}, const std::string& sent = "") {
  const auto path = folder / "script";
  write_file(path, text, 0755);
  process_spec spec;
  spec.executable = path;
  spec.arguments = std::move(words);
  spec.confined = std::make_shared<const confinement>(whole(profile::interpreter));
  return said_by(spec, confined::spawner(), sent);
}

}  // namespace

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

TEST_CASE("the modules in C of a Python script find their libraries") {
  temporary_directory folder;
  CHECK(script_says(
            folder,
            "#!/usr/bin/env python3\n"
            "import bz2, ctypes, curses, dbm, lzma, sqlite3, ssl, uuid\n"
            "print(ssl.create_default_context().verify_mode.name)\n"
            "print(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone())\n"
            "print(ctypes.CDLL(None).abs(-3))\n"
            "print(lzma.decompress(lzma.compress(bz2.decompress(bz2.compress(b'text')))))\n") ==
        "CERT_REQUIRED\n(42,)\n3\nb'text'\n");
}

TEST_CASE("those of a Perl script do too") {
  temporary_directory folder;
  CHECK(script_says(folder,
                    "#!/usr/bin/perl\nuse Compress::Raw::Bzip2;\n"
                    "print Compress::Raw::Bzip2::bzlibversion() =~ /^1/ ? 'yes' : 'no';\n") ==
        "yes");
}

TEST_CASE("a Node script runs with its library and its threads, and reaches nothing") {
  temporary_directory folder;
  const auto said = script_says(
      folder,
      "#!/usr/bin/env node\n"
      "const crypto = require('crypto'), fs = require('fs'), net = require('net');\n"
      "const {Worker} = require('worker_threads'), zlib = require('zlib');\n"
      "console.log(process.pid, process.argv.slice(1));\n"
      "for (const path of ['/etc/passwd', '/usr/bin/env', '/proc/self'])\n"
      "  console.log(path, fs.existsSync(path));\n"
      "console.log(fs.readdirSync('/').includes('script'), fs.existsSync('/usr/share/nodejs'));\n"
      "const done = [\n"
      "  new Promise(ok => crypto.pbkdf2('a', 'b', 9, 8, 'sha256', (e, k) => ok(k.length))),\n"
      "  new Promise(ok => zlib.gzip('text', (e, z) => ok(zlib.gunzipSync(z).toString()))),\n"
      "  new Promise(ok => new Worker('require(\"worker_threads\").parentPort.postMessage(42)',\n"
      "                               {eval: true}).on('message', ok)),\n"
      "  fs.promises.readFile('/etc/passwd').catch(refused => refused.code),\n"
      "  new Promise(ok => net.connect(80, '127.0.0.1').on('error', e => ok(e.code))),\n"
      "];\n"
      "Promise.all(done).then(all => console.log(...all));\n",
      {"one", "two words"});
  CHECK(said ==
        "2 [ '/script', 'one', 'two words' ]\n"
        "/etc/passwd false\n/usr/bin/env false\n/proc/self false\n"
        "true " +
            std::string{std::filesystem::exists("/usr/share/nodejs") ? "true" : "false"} +
            "\n8 text 42 ENOENT EACCES\n");
}

TEST_CASE("a script reads and writes its link") {
  temporary_directory folder;
  CHECK(script_says(folder,
                    "#!/usr/bin/python3\n"
                    "import asyncio, socket\n"
                    "async def main():\n"
                    "  link = socket.socket(fileno=3)\n"
                    "  reader, writer = await asyncio.open_connection(sock=link)\n"
                    "  word = await reader.readline()\n"
                    "  writer.write(word); await writer.drain()\n"
                    "  print(word.decode(), end='')\n"
                    "asyncio.run(main())\n",
                    {}, "ping\n") == "ping\n");
  CHECK(script_says(folder,
                    "#!/usr/bin/env node\n"
                    "const link = new (require('net').Socket)({fd: 3});\n"
                    "link.on('data', word => link.write(word, () => {\n"
                    "  process.stdout.write(word); link.destroy(); }));\n",
                    {}, "ping\n") == "ping\n");
}

TEST_CASE("a Perl script runs too") {
  temporary_directory folder;
  CHECK(script_says(folder, "#!/usr/bin/perl -w\nuse strict;\nprint \"$0 @ARGV\\n\";\n", {"a"}) ==
        "/script a\n");
}

TEST_CASE("the argument in a script's first line is its interpreter's") {
  temporary_directory folder;
  const std::string tells = "\nimport sys\nprint(sys.flags.isolated)\n";
  CHECK(script_says(folder, "#!/usr/bin/python3 -I" + tells) == "1\n");
  CHECK(script_says(folder, "#!/usr/bin/python3" + tells) == "0\n");
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

TEST_CASE("what not everybody may run is no interpreter") {
  temporary_directory folder;
  process_spec spec;
  spec.executable = folder / "script";
  spec.confined = std::make_shared<const confinement>(whole(profile::interpreter));
  write_file(spec.executable, "#!" + (folder / "interpreter") + "\n", 0755);
  std::filesystem::copy_file("/usr/bin/true", folder / "interpreter");
  for (const mode_t mode : {0700, 0711, 0744}) {
    REQUIRE(::chmod((folder / "interpreter").c_str(), mode) == 0);
    CHECK(start_fails(confined::spawner(), spec).error_number == EACCES);
  }
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

TEST_CASE("modules are looked through once, until something of them has changed") {
  temporary_directory folder;
  const auto module = [&](const std::string& name, const std::string& library) {
    write_file(folder / name, program_that_needs("", library), 0644);
  };
  const auto names = [](const std::vector<found_library>& found) {
    std::set<std::string> all;
    for (const auto& each : found) all.insert(each.where);
    return all;
  };
  module("one.so", "libm.so.6");
  module("no-module", "libz.so.1");
  extension_libraries libraries;
  const auto of_them = [&] { return names(libraries.of("python", {folder.path()})); };
  // libm needs libc, and both the loader.
  const auto first = of_them();
  CHECK(first.contains("/lib/x86_64-linux-gnu/libm.so.6"));
  CHECK(first.contains("/lib/x86_64-linux-gnu/libc.so.6"));
  CHECK_FALSE(first.contains("/lib/x86_64-linux-gnu/libz.so.1"));
  CHECK(of_them() == first);
  CHECK(libraries.searches() == 1);
  // A module more; one deeper down; one whose library is not there.
  module("two.so", "libz.so.1");
  CHECK(of_them().contains("/lib/x86_64-linux-gnu/libz.so.1"));
  CHECK(libraries.searches() == 2);
  std::filesystem::create_directory(folder / "deeper");
  module("deeper/three.so", "libnothing.so.7");
  CHECK(of_them().size() == first.size() + 1);
  CHECK(libraries.searches() == 3);
  std::filesystem::remove(folder / "deeper/three.so");
  of_them();
  CHECK(libraries.searches() == 4);
  CHECK(libraries.of("perl", {}).empty());
  CHECK(libraries.searches() == 4);
}

TEST_CASE("no more modules are looked at, and no more libraries taken, than the bounds say") {
  temporary_directory folder;
  write_file(folder / "a.so", program_that_needs("", "libz.so.1"), 0644);
  write_file(folder / "b.so", program_that_needs("", "libm.so.6"), 0644);
  const auto found_within = [&](const extension_bounds& bounds) {
    extension_libraries libraries{bounds};
    const auto found = libraries.of("python", {folder.path()});
    return std::count_if(found.begin(), found.end(), [](const auto& each) {
      return each.where.ends_with("libz.so.1") || each.where.ends_with("libm.so.6");
    });
  };
  CHECK(found_within({}) == 2);
  CHECK(found_within({.files_max = 1}) == 1);
  CHECK(found_within({.libraries_max = 1}) == 1);
  extension_libraries forgetful{{.interpreters_max = 1}};
  for (const auto* const name : {"one", "one", "two", "one"}) forgetful.of(name, {folder.path()});
  CHECK(forgetful.searches() == 3);
}
